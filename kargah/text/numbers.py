"""Numbers as people write them in Persian and in English."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_TO_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬٪−‐\u2012\u2013", "01234567890123456789.'%----")
#: What does not show, besides blanks; as a class of a regular expression.
BLANK_CHARACTERS = "\u00ad\u200b-\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff"
_MARKS = re.compile("[\u200b-\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\u0640]")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([,'\u00a0 \u2009\u202f])\d{3})(?:\1\d{3})*(?:\.\d+)?")
#: No number: the word of a currency stands alone, before or after it. Most texts are told from numbers by their first words.
_TWO_WORDS = re.compile(r"[^\W\d_]\s+[^\W\d_]")
_MAX_DIGITS = 15
_SEPARATORS = re.compile(r"[,'\u00a0 \u2009\u202f]")


def parse_number(text: str) -> float | None:
    """The number that ``text`` says, or None when it says none.

    Persian and Arabic digits, ``٫`` and ``٬``, thousands in threes, U+2212 and a minus at the end (``250-``), a currency
    word before or after. A percentage is its share: ``12٪`` is 0.12. No infinities: ``1e400`` is None.
    """
    text = text.strip()
    if not _PLAIN.fullmatch(text):
        if _TWO_WORDS.search(text):
            return None
        text = _plain(text)
    if text.endswith("%"):
        number = parse_number(text[:-1])
        return None if number is None else number / 100
    if _GROUPED.fullmatch(text):
        text = _SEPARATORS.sub("", text)
    if not _PLAIN.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) != float("inf") else None


def is_identifier(text: str) -> bool:
    """Digits that are a name and no amount: a number would lose a leading zero (``0912…``) or the end of more than 15 digits."""
    text = text.strip()
    if not any(map(str.isdigit, text[:2])):
        return False
    plain = text.translate(_TO_LATIN).removeprefix("-")
    return plain.isdigit() and len(plain) > 1 and (plain[0] == "0" or len(plain) > _MAX_DIGITS)


def is_missing(text: str) -> bool:
    """Whether a cell says "nothing here": blank, or one of the usual words for it."""
    return (len(text) <= _missing()[1] and text.strip() in _missing()[0]) or is_blank(text)


def is_blank(text: str) -> bool:
    """Whether nothing visible stands in a cell."""
    return text.isspace() or not text or (text[0] in "\u200b\u200c\u200d\u200e\u200f\ufeff \t\u00a0\u00ad" and not _BLANKS.sub("", text))


def _plain(text: str) -> str:
    """Western digits and signs, without currency words and marks; still with separators."""
    text = _currency().sub("", _MARKS.sub("", text)).strip().translate(_TO_LATIN)
    if text.endswith("-") and not text.startswith("-"):
        text = "-" + text[:-1].rstrip()
    return re.sub(r"\A([+-])\s+(?=\d)", r"\1", text)


_BLANKS = re.compile(f"[\\s{BLANK_CHARACTERS}]+")


@cache
def words() -> dict[str, Any]:
    """The word lists of ``tables.toml``."""
    with Path(__file__).with_name("tables.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def _missing() -> tuple[frozenset[str], int]:
    """The words for "missing", and how long a cell with one can be, a few blanks around it included."""
    known = frozenset(words()["missing"])
    return known, max(map(len, known)) + 8


@cache
def _currency() -> re.Pattern[str]:
    names = "|".join(re.escape(word) for word in words()["currency"])
    return re.compile(rf"\A(?:{names})\s*(?=[\d.+\-−])|(?<=[\d.%٪\s])(?:{names})\Z", re.IGNORECASE)
