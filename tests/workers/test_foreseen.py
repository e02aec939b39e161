"""A table that is written while it is read is the very one that is written afterwards, whatever its first rows promised."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.imports import Imported, read

from kargah.workers import ingest
from kargah.workers.reading import batch, typed
from kargah.workers.reading.foreseen import Foreseen

#: Rows a row group, so that few rows are many batches.
FEW = 3
VALUES = {
    "whole": ["1", "2", "12", "30000000000", "-4"],
    "pointed": ["1.0", "2.0", "2.5", "0.25"],
    "persian": ["۱۲٬۳۴۵", "۴٫۵", "۱۲"],
    "huge": ["99999999999999999999.5", "12345678901234567890.25"],
    "labels": ["خوب", "بد"],
    "texts": [f"جملهٔ شمارهٔ {number} دربارهٔ این کالا که خریدم" for number in range(40)],
    "truths": ["true", "False", " TRUE "],
    "nothing": ["", "NA", "—"],
    "personal": ["نشانی من ali@example.org", "۰۹۱۲۳۴۵۶۷۸۹", "1234567891"],
    "long": ["بسیار " * 500, "خیلی " * 900],
}
STRETCH = st.tuples(st.sampled_from(sorted(VALUES)), st.integers(1, 12))
COLUMN = st.lists(STRETCH, min_size=1, max_size=3)


def cells(column: list[tuple[str, int]], rows: int) -> list[str]:
    """Stretches of values of one sort, the last one to the end."""
    made = [VALUES[sort][number % len(VALUES[sort])] for sort, count in column for number in range(count)]
    last = VALUES[column[-1][0]]
    return (made + [last[number % len(last)] for number in range(rows)])[:rows]


def content_of(columns: list[list[tuple[str, int]]], rows: int) -> str:
    names = ["متن", "label", "امتیاز"][: len(columns)]
    return "\n".join(["\t".join(names), *map("\t".join, zip(*(cells(column, rows) for column in columns), strict=True))]) + "\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_ROWS", FEW)
    monkeypatch.setattr(typed, "BATCH_ROWS", FEW)


def foreseeing_nothing(folder: Path, _guess: Any, see: Any) -> Foreseen:
    return Foreseen(folder, lambda: None, see)


def both(tmp_path: Path, content: str) -> tuple[Imported, Imported]:
    """Of the same file: foreseen, and written after all was read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "Foreseen", foreseeing_nothing)
        after = read(tmp_path / "after", content)
    return read(tmp_path / "foreseen", content), after


def left(imported: Imported) -> Any:
    file = pq.ParquetFile(imported.folder / "data.parquet")
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    return imported.columns, imported.report, imported.preview(), file.schema_arrow, groups, str(imported.table())


@given(columns=st.lists(COLUMN, min_size=1, max_size=3), rows=st.integers(2, 30))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small")
def test_both_ways_leave_the_same(columns: list[list[tuple[str, int]]], rows: int) -> None:
    with TemporaryDirectory() as folder:
        foreseen, after = both(Path(folder), content_of(columns, rows))
        assert left(foreseen) == left(after)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("stretches", "kind"),
    [
        ([("whole", 6), ("pointed", 4)], "number"),
        ([("whole", 6), ("texts", 20)], "text"),
        ([("nothing", 6), ("whole", 20)], "integer"),
        ([("truths", 6), ("labels", 20)], "category"),
        ([("whole", 6), ("huge", 20)], "number"),
        ([("labels", 6), ("whole", 700)], "integer"),
        ([("labels", 6), ("texts", 40)], "text"),
    ],
)
def test_a_column_that_turns_out_otherwise_is_what_all_of_it_says(
    tmp_path: Path, stretches: list[tuple[str, int]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    holds = Foreseen.holds

    def noted(foreseen: Foreseen, columns: Any) -> bool:
        answers.append(holds(foreseen, columns))
        return answers[-1]

    monkeypatch.setattr(Foreseen, "holds", noted)
    content = content_of([[("texts", 40)], stretches], sum(count for _, count in stretches))
    foreseen, after = both(tmp_path, content)
    assert foreseen.kinds()["label"] == kind
    assert left(foreseen) == left(after)
    assert answers == [False, kind in ("text", "category") and stretches[0][0] == "labels"]


@pytest.mark.usefixtures("small")
def test_what_holds_is_written_once_and_cells_that_stay_as_they_came_do_not_wait(tmp_path: Path) -> None:
    seen: list[Any] = []
    columns = read(tmp_path / "a", content_of([[("texts", 9)], [("whole", 9)]], 9)).result.columns
    described = [ingest.Column.model_validate(column) for column in columns]
    with (foreseen := Foreseen(tmp_path, lambda: described, lambda columns: seen.append)).growing() as take:
        for _ in range(4):
            take(strings(["یک", "دو"], ["1", "۲"]))
    assert foreseen.holds(described)
    assert [each.to_pydict() for each in foreseen.strings()] == [{"0": ["یک", "دو"] * 2, "1": ["1", "۲"] * 2}] * 2
    assert [each.to_pydict() for each in seen] == [{"متن": ["یک", "دو"] * 2, "label": [1, 2] * 2}] * 2
    assert pq.read_table(tmp_path / "foreseen.parquet").num_rows == 8
    assert foreseen.keep_at(tmp_path / "data.parquet")[0] == {"متن": "یک", "label": 1}
    assert not (tmp_path / "foreseen.parquet").exists()


def strings(*columns: list[str]) -> Any:
    import pyarrow as pa

    return pa.record_batch([pa.array(column, pa.string()) for column in columns], names=list(map(str, range(len(columns)))))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fails", ["guess", "see"])
def test_what_goes_wrong_on_the_way_comes_out(tmp_path: Path, fails: str) -> None:
    def broken(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    columns = read(tmp_path / "a", content_of([[("texts", 9)]], 9)).result.columns
    described = [ingest.Column.model_validate(column) for column in columns]
    guess = broken if fails == "guess" else lambda: described
    foreseen = Foreseen(tmp_path, guess, lambda columns: partial(broken, columns))
    with pytest.raises(OSError, match="No space"), foreseen.growing() as take:
        for _ in range(10):
            take(strings(["یک", "دو"]))
