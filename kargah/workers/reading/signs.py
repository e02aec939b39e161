"""What single cells are looked through for while they stream by: a rough pattern over a whole Arrow array, Python for what it lets through.

Arrow's patterns (RE2) look neither ahead nor behind and know no Unicode blanks: a rough one matches all that the exact one does.
"""

import re
from functools import cache
from typing import Any

import pyarrow.compute as pc

from kargah.text import numbers
from kargah.workers.reading.findings import Severity

SIGNS: tuple[tuple[str, Severity, re.Pattern[str]], ...] = (
    ("BIDI_CONTROLS", "warning", re.compile("[\u202a-\u202e\u2066-\u2069]")),
    ("FORMULA_CELLS", "info", re.compile(r"\A(?:[=@\t\r]|[+\-](?![\d.,\s۰-۹٠-٩]|$))")),
    ("MOJIBAKE", "warning", re.compile(numbers.words()["mojibake"])),
)
_ROUGH_FORMULA = r"\A[=@\t\r+\-]"


def suspicious(values: Any) -> list[str]:
    """The values, each once, that may have a sign. ``values``: an Arrow array of strings."""
    return _matching(values, "|".join((SIGNS[0][2].pattern, _ROUGH_FORMULA, SIGNS[2][2].pattern)))


def missing(values: Any) -> set[str]:
    """The spellings of "missing" among the values."""
    return {value for value in _matching(values, _rough_missing()) if numbers.is_missing(value)}


def _matching(values: Any, pattern: str) -> list[str]:
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    return pc.unique(values.filter(found)).to_pylist() if pc.any(found).as_py() else []


@cache
def _rough_missing() -> str:
    """Nothing but blanks, or one of the words between blanks."""
    blank = f"[{numbers.BLANK_CHARACTERS}{_spaces()}]*"
    words = "|".join(f"\\Q{word}\\E" for word in sorted(numbers.words()["missing"]))
    return rf"\A{blank}(?:{words})?{blank}\z"


def _spaces() -> str:
    return "".join(f"\\x{{{point:x}}}" for point in range(0x3001) if chr(point).isspace())
