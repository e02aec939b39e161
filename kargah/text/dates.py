"""Dates as people write them in Persian and in English: which calendar they are of, and whether there is such a day."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from kargah.text import numbers

Calendar = Literal["jalali", "gregorian"]
_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_NUMERIC = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[ T،,]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_NAMED = re.compile(r"(\d{1,2})\s+(\S+)(?:\s+ماه)?\s+(\d{4})")
#: Years by which the calendars are told apart; a year that is in neither makes no date.
_JALALI_YEARS, _GREGORIAN_YEARS = range(1200, 1600), range(1700, 2200)
MAX_CHARACTERS = 40


@dataclass(frozen=True)
class Day:
    """``exists`` is False of a date such as 1402/12/30 or 1403/13/01."""

    calendar: Calendar
    exists: bool


def parse_day(text: str) -> Day | None:
    """What a cell says, or None when it has not the form of a date. Digits may be Persian, months named in Persian."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS or not text[:1].isdigit():
        return None
    plain = text.translate(_LATIN)
    if match := _NUMERIC.fullmatch(plain):
        return _day(int(match[1]), int(match[3]), int(match[4]))
    if match := _NAMED.fullmatch(plain):
        months: list[str] = numbers.words()["jalali_months"]
        return _day(int(match[3]), months.index(match[2]) + 1, int(match[1])) if match[2] in months else None
    return None


def is_jalali_leap(year: int) -> bool:
    """By the 33-year cycle, which holds for all years of this and the last century."""
    return (25 * year + 11) % 33 < 8


def _day(year: int, month: int, day: int) -> Day | None:
    if year in _JALALI_YEARS:
        return Day("jalali", 1 <= month <= 12 and 1 <= day <= _jalali_days(year, month))
    if year not in _GREGORIAN_YEARS:
        return None
    try:
        date(year, month, day)
    except ValueError:
        return Day("gregorian", exists=False)
    return Day("gregorian", exists=True)


def _jalali_days(year: int, month: int) -> int:
    if month <= 6:
        return 31
    return 30 if month < 12 or is_jalali_leap(year) else 29
