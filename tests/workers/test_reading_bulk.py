"""What whole blocks and rough patterns say is what row by row and exact ones say: the same cells, lines, findings and refusals."""

import csv
import io
from itertools import count, pairwise
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kargah.kit.errors import KargahError
from kargah.text import numbers
from kargah.workers.doctor.likeness import LIKE_ENOUGH, LikeTexts, exact_loose_key, loose_key, loose_keys
from kargah.workers.reading import bulk, signs
from kargah.workers.reading.amounts import PLAIN_NUMBER
from kargah.workers.reading.batch import behind, beside, of_rows
from kargah.workers.reading.delimited import DelimitedTable
from kargah.workers.reading.distinct import Distinct
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.source import examine

BLOCK_BYTES = 64
TROUBLE = st.sampled_from(['"', '""', ",", ",,", "\n", "\r\n", "\r", "\n\n", " ", "\ufeff", "سلام", "a", '"x"', '"دو\nسطر"', "\t", ";"])
CELLS = st.sampled_from(["", "سلام", "a,b", 'say "hi"', "دو\nسطر", "\r\n", " ", "1", '"', "x" * 70])


def as_file(rows: list[list[str]], quoting: Any, ending: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=ending).writerows(rows)
    return text.getvalue()


GOOD = st.builds(
    as_file,
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=2, max_size=12)),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


def said(path: Path, by_block: bool) -> Any:
    """All rows with their lines and what was found on the way, or the refusal."""
    findings = Findings()
    try:
        table = DelimitedTable(examine(path, "data.csv", findings, lambda: None), findings, ",")
        batches = table.batches() if by_block else of_rows(table.rows())
        rows = [row for batch in batches for row in zip(batch.lines(), *(column.to_pylist() for column in batch.columns), strict=True)]
    except KargahError as error:
        return error.code, error.params
    return table.names, rows, findings.report(len(rows))


@given(content=st.one_of(GOOD, st.lists(TROUBLE, max_size=40).map("".join), st.text(max_size=80)))
@example(content='a,b\n"x"y,1\n')
@example(content='a,b\n1,2\n3,"never\nclosed\n')
@example(content='a,b\n1,2\n""""\n\n,\n5,6,,\n7\n')
@example(content="\ufeff\ufeffa,b\n1,2\n")
@example(content='""""\n"a"\n')
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_and_rows_agree_on_any_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(bulk, "BLOCK_BYTES", BLOCK_BYTES)
    path = tmp_path / "data.csv"
    path.write_bytes(content.encode())
    assert said(path, by_block=True) == said(path, by_block=False)


def test_a_good_file_is_read_by_blocks_to_its_end_and_a_bad_quote_leaves_only_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BLOCK_BYTES", 20_000)
    rows = [[f'جمله، «{number}», "{number}"\nسطر دوم', "الف"] for number in range(1000)]
    good = as_file([["متن", "برچسب"], *rows], csv.QUOTE_MINIMAL, "\n")
    path = tmp_path / "data.csv"
    path.write_bytes(good.encode())
    pieces = list(bulk.blocks(path, ",", 2))
    assert len(pieces) > 2
    assert all(isinstance(piece, bulk.Block) and piece.columns is not None for piece in pieces)
    path.write_bytes((good + 'x"y,z\n').encode())
    *blocks, rest = bulk.blocks(path, ",", 2)
    assert blocks == pieces[: len(blocks)]
    assert len(blocks) >= len(pieces) - 2
    assert isinstance(rest, bulk.Rest)
    assert path.read_bytes()[rest.offset :].decode().startswith('"جمله')


@given(pieces=st.lists(st.sampled_from(["a\n", "\r\n", "b\r", "\n", "سلام\r\n", "x" * 70 + "\n"]), max_size=30), asked=st.randoms())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_line_of_a_row_is_the_same_in_whatever_order_rows_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[str], asked: Any
) -> None:
    monkeypatch.setattr(bulk, "BLOCK_BYTES", BLOCK_BYTES)
    path = tmp_path / "data.csv"
    content = "".join(pieces).encode()
    path.write_bytes(content)
    starts = [0, *(place + 1 for place, byte in enumerate(content) if byte == ord("\n"))]
    lines = {start: len(io.StringIO(content[:start].decode(), newline=None).read().split("\n")) for start in starts}
    asked.shuffle(starts)
    numbers = bulk.LineNumbers(path)
    assert {start: numbers.at(start) for start in starts} == lines


def test_rows_with_personal_data_are_known_of_one_stretch() -> None:
    known = signs.PersonalRows()
    assert known.within(1, 5) is None
    known.add(11, 10, [0, 9])
    known.add(21, 10, [3])
    known.add(41, 10, [0])  # does not go on where the stretch ended
    assert known.within(11, 20) == [0, 9, 13]
    assert known.within(12, 9) == [8]
    assert known.within(21, 3) == []
    assert [known.within(10, 5), known.within(30, 2), known.within(41, 5)] == [None] * 3


@pytest.mark.parametrize("most_bytes", [0, 40, 1 << 20])
def test_what_is_given_away_is_done_in_order_and_its_failure_comes_back(most_bytes: int) -> None:
    done: list[int] = []

    def work(batch: Any) -> None:
        if len(batch) == 3:
            raise OSError(28, "No space left on device")
        done.append(len(batch))

    with pytest.raises(OSError, match="No space"), behind(work, most_bytes) as give:
        for count in range(9):
            give(pa.array([0] * count, pa.int64()))
    assert done[:3] == [0, 1, 2]
    with pytest.raises(OSError, match="No space"), behind(work, most_bytes) as give:
        give(pa.array([0] * 3))


def test_what_waits_is_left_when_something_goes_wrong_here() -> None:
    worked: list[int] = []
    may_go_on = Event()

    def work(batch: Any) -> None:
        may_go_on.wait(10)
        worked.append(batch[0].as_py())

    with pytest.raises(KeyError), behind(work, 1 << 20) as give:
        for number in range(100):
            give(pa.array([number]))
        Timer(0.2, may_go_on.set).start()
        raise KeyError
    assert len(worked) <= 2


def test_what_goes_on_beside_is_done_in_order_and_its_failure_comes_out_at_the_end() -> None:
    seen: list[int] = []
    with beside(seen.append, iter(range(100))):
        pass
    assert seen == list(range(100))
    done: list[str] = []
    with pytest.raises(ZeroDivisionError), beside(lambda number: 1 // number, [0]):
        done.append("all the same")
    assert done == ["all the same"]


def test_what_goes_on_beside_ends_with_what_it_stands_beside() -> None:
    with pytest.raises(KeyError), beside(lambda number: None, count()):  # or else for ever
        raise KeyError


SIGNED = st.lists(
    st.sampled_from(
        ["123 456-789", "۱۲۳۴۵", *"=+-@\t\r\n 5۵.\u202a\u2069\u200c\u00a0\u2003\ufeff", "Ø§", "Ù…", "ط§ظ„", "NaN", "N/A", "—", "a"]
    ),
    max_size=6,
)


@given(values=st.lists(st.one_of(SIGNED.map("".join), st.text(max_size=12)), max_size=20))
@settings(max_examples=300, deadline=None)
def test_the_rough_patterns_let_nothing_through_that_the_exact_ones_find(values: list[str]) -> None:
    column = pa.array(values, pa.string())
    assert signs.missing(column) == {value for value in values if numbers.is_missing(value)}
    suspicious = set(signs.suspicious(column))
    found = signs.remarkable(column)
    assert (found.missing, found.suspicious, found.personal) == (signs.missing(column), signs.suspicious(column), signs.personal(column))
    assert {*found.missing, *found.suspicious} <= set(column.take(found.places).to_pylist())
    assert {value for value in values for _, _, exact in signs.SIGNS if exact.search(value)} <= suspicious


@given(value=st.one_of(st.from_regex(PLAIN_NUMBER.replace(r"\z", r"\Z")), st.text("0123456789.-eE+ ", max_size=18)))
@settings(max_examples=300, deadline=None)
def test_a_plain_number_is_one_number_to_arrow_and_to_python(value: str) -> None:
    column = pa.array([value])
    if pc.match_substring_regex(column, PLAIN_NUMBER)[0].as_py():
        assert not numbers.is_identifier(value)
        assert pc.cast(column, pa.float64())[0].as_py() == numbers.parse_number(value)


FOLDED = st.one_of(st.text("سلامكيىةأؤئ۱٢3aZ_ \t\x1e\u200c\u064b\u0640،«»!.\u00a0\u0654ۀ", max_size=30), st.text(max_size=30))


@given(texts=st.lists(FOLDED, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_table_of_bytes_folds_texts_together_as_the_exact_rules_do_each(texts: list[str]) -> None:
    assert loose_keys(texts) == [loose_key(text) for text in texts] == [exact_loose_key(text) for text in texts]


@given(texts=st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=30), min_size=2, max_size=12), changed=st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_a_text_is_like_one_before_where_they_share_nearly_all_pairs_of_words(texts: list[list[str]], changed: int) -> None:
    words = [*texts, *([*text[:changed], "z", *text[changed:]] for text in texts)]
    pairs = [set(pairwise(text)) for text in words]
    known = LikeTexts()
    for number, text in enumerate(words):
        shares = [len(pairs[number] & other) / len(pairs[number] | other) for other in pairs[:number] if len(other) >= 5]
        is_like = known.add(" ".join(text))
        assert is_like <= any(share >= LIKE_ENOUGH for share in shares)
        assert is_like or len(pairs[number]) < 5 or 1.0 not in shares


@given(
    batches=st.lists(st.lists(st.integers(-9, 40), max_size=12), max_size=12),
    ignored=st.sets(st.integers(-9, 9), max_size=4),
    most=st.integers(1, 60),
)
@settings(max_examples=500, deadline=None)
def test_different_values_are_counted_exactly_until_there_are_too_many(batches: list[list[int]], ignored: set[int], most: int) -> None:
    distinct, expected = Distinct(most), set[int]()
    for batch in batches:
        distinct.add(pa.array(batch, pa.int64()), ignored.intersection(batch))
        if len(expected) < most:
            expected = (expected | set(batch)) - ignored
        assert len(distinct) == len(expected)
