"""Tokens that are kept: the very ones that would be made anew, never those of something else, and never in anybody's way."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kargah.recipes import token_rows
from kargah.recipes.encoders import fast_tokenizer, items_of
from kargah.recipes.token_rows import KeptTokens, TokenRows
from kargah.recipes.tokenizing import train_tokenizer

TEXTS = ["این فیلم خوب بود", "بد", "", "نه خوب نه بد و نه هیچ چیز دیگر"] * 300
ROWS = st.lists(st.lists(st.integers(0, 255), max_size=6), max_size=8)


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return fast_tokenizer(train_tokenizer(TEXTS, 200, None))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where even little is kept."""
    monkeypatch.setattr(token_rows, "LEAST_CHARACTERS", 0)
    return tmp_path / "tokens-1" / "a"


def values(rows: TokenRows) -> list[list[list[int]]]:
    return [[part.tolist() for part in row] for row in rows]


def read(tokenizer: object, folder: Path, texts: list[str] = TEXTS, max_length: int | None = None) -> tuple[TokenRows, bool]:
    """(the rows, whether the tokenizer was asked)"""
    asked = []
    rows = items_of(tokenizer, [texts], lambda: asked.append(1), KeptTokens(folder), max_length)
    return rows, bool(asked)


@given(ROWS)
def test_rows_are_what_was_put_in(rows: list[list[int]]) -> None:
    made = TokenRows.of(((np.array(row), np.array(row) % 2) for row in rows), (np.int32, np.uint8))
    assert values(made) == [[row, [number % 2 for number in row]] for row in rows]
    assert made.lengths.tolist() == list(map(len, rows))
    assert [part.dtype for part in made.columns] == [np.int32, np.uint8]
    assert len(made[1:3]) == len(rows[1:3])
    with pytest.raises(IndexError):
        made[len(rows)]


def test_the_second_time_nothing_is_asked_and_the_same_is_there(tokenizer: object, folder: Path) -> None:
    first, was_asked = read(tokenizer, folder)
    again, is_asked = read(tokenizer, folder)
    assert (was_asked, is_asked) == (True, False)
    assert values(again) == values(first) == values(items_of(tokenizer, [TEXTS], lambda: None))
    assert not again.columns[0].flags.writeable  # it is the file


def test_little_is_not_kept(tokenizer: object, tmp_path: Path) -> None:
    read(tokenizer, tmp_path / "tokens-1" / "a")
    assert not list(tmp_path.iterdir())


def test_whatever_else_is_asked_has_its_own_file(tokenizer: object, folder: Path) -> None:
    other = fast_tokenizer(train_tokenizer([text[::-1] for text in TEXTS], 200, None))
    moved = [TEXTS[0] + TEXTS[1], *TEXTS[2:], ""]  # the same letters in the same order
    found = [
        items_of(of, fields, lambda: None, KeptTokens(folder), length, special)
        for of, fields, length, special in (
            (tokenizer, [TEXTS], None, True), (tokenizer, [TEXTS], 4, True), (tokenizer, [TEXTS], None, False),
            (tokenizer, [TEXTS, TEXTS], None, True), (tokenizer, [TEXTS + TEXTS], None, True), (tokenizer, [moved], None, True),
            (other, [TEXTS], None, True),
        )
    ]  # fmt: skip
    assert len(list(folder.iterdir())) == len(found)
    assert len({str(values(rows)) for rows in found}) == len(found)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "foreign"])
def test_what_is_damaged_is_made_anew(tokenizer: object, folder: Path, damage: str) -> None:
    expected = values(read(tokenizer, folder)[0])
    (path,) = folder.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"flipped": flipped, "cut": content[:-40], "empty": b"", "foreign": b"PAR1" * 50}[damage])
    found, was_asked = read(tokenizer, folder)
    assert was_asked
    assert values(found) == expected
    assert not read(tokenizer, folder)[1]


def test_what_was_not_asked_for_longest_goes_first_and_what_died_half_written(
    tokenizer: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder.parent / "b"
    read(tokenizer, folder)
    (first,) = folder.iterdir()
    read(tokenizer, other, max_length=5)
    (second,) = other.iterdir()
    half, fresh = folder / ".x.arrow.1.a.tmp", other / ".y.arrow.1.a.tmp"
    for path, age in ((first, 50.0), (second, 100.0), (half, 7200.0), (fresh, 5.0)):
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    monkeypatch.setattr(token_rows, "MOST_BYTES", 2 * first.stat().st_size)
    read(tokenizer, folder, max_length=6)
    assert first.exists()
    assert fresh.exists()
    assert not second.exists()
    assert not half.exists()
    monkeypatch.setattr(token_rows, "MOST_BYTES", first.stat().st_size)
    read(tokenizer, folder, max_length=7)
    assert len(list(folder.iterdir())) == 2, "what would take more than half of all is not kept"


def test_where_nothing_can_be_written_tokens_are_made_all_the_same(tokenizer: object, folder: Path) -> None:
    folder.parent.write_text("a file in the place of the folder")
    assert values(read(tokenizer, folder)[0]) == values(items_of(tokenizer, [TEXTS], lambda: None))


def test_an_end_that_is_asked_for_meanwhile_leaves_nothing_behind(tokenizer: object, folder: Path) -> None:
    def end() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        items_of(tokenizer, [TEXTS], end, KeptTokens(folder))
    assert not folder.exists()
