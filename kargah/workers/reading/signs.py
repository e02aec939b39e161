"""What single cells are looked through for while they stream by: a rough pattern over a whole Arrow array, Python for what it lets through.

Arrow's patterns (RE2) look neither ahead nor behind and know no Unicode blanks: a rough one matches all that the exact one does.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow.compute as pc

from kargah.text import mojibake, numbers
from kargah.workers.reading.findings import Severity

SIGNS: tuple[tuple[str, Severity, re.Pattern[str]], ...] = (
    ("BIDI_CONTROLS", "warning", re.compile("[\u202a-\u202e\u2066-\u2069]")),
    ("FORMULA_CELLS", "info", re.compile(r"\A(?:[=@\t\r]|[+\-](?![\d.,\s۰-۹٠-٩]|$))")),
    ("MOJIBAKE", "warning", mojibake.signs()),
)
_ROUGH_FORMULA = r"\A[=@\t\r+\-]"
_ROUGH_SIGNS = "|".join((SIGNS[0][2].pattern, _ROUGH_FORMULA, SIGNS[2][2].pattern))
#: All that an address, or the number of a person, a phone, a card or an account, consists of.
_ROUGH_PERSONAL = "@|[0-9۰-۹٠-٩](?:[ \u200c-]?[0-9۰-۹٠-٩]){8,}"
#: Of a column; what comes after is looked for when it is wanted.
MOST_PERSONAL_ROWS = 100_000


@dataclass(frozen=True)
class Remarkable:
    """What one pass over an array finds: the spellings of "missing", the values that may have a sign, and where personal data may be.

    ``places``: an Arrow array of where all of them are, and perhaps others.
    """

    missing: set[str]
    suspicious: list[str]
    personal: list[int]
    places: Any


class PersonalRows:
    """In which rows, from 1, of one stretch of a column there may be personal data; of other rows nothing is known."""

    def __init__(self) -> None:
        self._rows = array("q")
        self._start = self._end = 0

    def add(self, first_row: int, count: int, places: Sequence[int]) -> None:
        """What was seen in ``count`` rows. Kept while it goes on where the stretch ends, and while it is few."""
        if self._start == 0:
            self._start = self._end = first_row
        if first_row == self._end and len(self._rows) + len(places) <= MOST_PERSONAL_ROWS:
            self._rows.extend(first_row + place for place in places)
            self._end += count

    def within(self, first_row: int, count: int) -> list[int] | None:
        """The places among these rows, from 0; None when not all of them were looked at."""
        if not self._start <= first_row <= first_row + count <= self._end:
            return None
        low, high = bisect_left(self._rows, first_row), bisect_left(self._rows, first_row + count)
        return [row - first_row for row in self._rows[low:high]]


def remarkable(values: Any) -> Remarkable:
    """The same as the three below, in the time of one. ``values``: an Arrow array of strings."""
    places = pc.indices_nonzero(_matches(values, f"{_rough_missing()}|{_ROUGH_SIGNS}|{_ROUGH_PERSONAL}"))
    few = values.take(places)
    return Remarkable(missing(few), suspicious(few), places.take(pc.indices_nonzero(_matches(few, _ROUGH_PERSONAL))).to_pylist(), places)


def suspicious(values: Any) -> list[str]:
    """The values, each once, that may have a sign."""
    return _matching(values, _ROUGH_SIGNS)


def personal(values: Any) -> list[int]:
    """The places of those in which there may be personal data."""
    return list(pc.indices_nonzero(_matches(values, _ROUGH_PERSONAL)).to_pylist())


def missing(values: Any) -> set[str]:
    """The spellings of "missing" among the values."""
    return {value for value in _matching(values, _rough_missing()) if numbers.is_missing(value)}


def _matching(values: Any, pattern: str) -> list[str]:
    found = _matches(values, pattern)
    return pc.unique(values.filter(found)).to_pylist() if pc.any(found).as_py() else []


def _matches(values: Any, pattern: str) -> Any:
    return pc.fill_null(pc.match_substring_regex(values, pattern), False)


@cache
def _rough_missing() -> str:
    """Nothing but blanks, or one of the words between blanks."""
    blank = f"[{numbers.BLANK_CHARACTERS}{_spaces()}]*"
    words = "|".join(f"\\Q{word}\\E" for word in sorted(numbers.words()["missing"]))
    return rf"\A{blank}(?:{words})?{blank}\z"


def _spaces() -> str:
    return "".join(f"\\x{{{point:x}}}" for point in range(0x3001) if chr(point).isspace())
