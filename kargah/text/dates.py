"""Dates as people write them in Persian and in English: which calendar they are of, whether there is such a day, and in ISO form."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from kargah.text import numbers

Calendar = Literal["gregorian", "jalali"]
CALENDARS: tuple[Calendar, ...] = get_args(Calendar)
_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_NUMERIC = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[ T،,]+(\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?))?")
_NAMED = re.compile(r"(\d{1,2})\s+(\S+)(?:\s+ماه)?\s+(\d{4})")
#: Years by which the calendars are told apart; a year that is in neither makes no date.
_JALALI_YEARS, _GREGORIAN_YEARS = range(1200, 1600), range(1700, 2200)
MAX_CHARACTERS = 40
#: So that the first of Farvardin 1400 is the 21st of March 2021.
_BEFORE_JALALI = date(2021, 3, 21).toordinal() - (365 * 1400 + (8 * 1400 - 12) // 33 + 1)


@dataclass(frozen=True)
class Day:
    """``exists`` is False of a date such as 1402/12/30 or 1403/13/01. ``time``: what stands behind the day, such as ``12:30:00Z``."""

    calendar: Calendar
    exists: bool
    year: int
    month: int
    day: int
    time: str = ""

    @property
    def number(self) -> int:
        """Days since the beginning of the Gregorian calendar, as ``date.toordinal`` counts them. Of a day that exists."""
        if self.calendar == "gregorian":
            return date(self.year, self.month, self.day).toordinal()
        return _jalali_new_year(self.year) + 31 * (self.month - 1) - max(0, self.month - 7) + self.day - 1

    def iso(self, calendar: Calendar) -> str:
        """``2024-03-20``, in ``calendar`` ``1403-01-01``; with ``T`` and the time where there is one. Of a day that exists."""
        year, month, day = (self.year, self.month, self.day) if calendar == self.calendar else _of_number(self.number, calendar)
        time = f"0{self.time}" if self.time[1:2] == ":" else self.time
        return f"{year:04}-{month:02}-{day:02}" + (f"T{time}" if time else "")


def parse_day(text: str) -> Day | None:
    """What a cell says, or None when it has not the form of a date. Digits may be Persian, months named in Persian."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS or not text[:1].isdigit():
        return None
    plain = text.translate(_LATIN)
    if match := _NUMERIC.fullmatch(plain):
        return _day(int(match[1]), int(match[3]), int(match[4]), match[5] or "")
    if match := _NAMED.fullmatch(plain):
        months: list[str] = numbers.words()["jalali_months"]
        return _day(int(match[3]), months.index(match[2]) + 1, int(match[1])) if match[2] in months else None
    return None


def to_iso(text: str, calendar: Calendar) -> str | None:
    """A date in either calendar as one of ``calendar``; None for what is no date, or none that there is."""
    day = parse_day(text)
    return day.iso(calendar) if day is not None and day.exists else None


def is_jalali_leap(year: int) -> bool:
    """By the 33-year cycle, which holds for all years of this and the last century."""
    return (25 * year + 11) % 33 < 8


def _day(year: int, month: int, day: int, time: str = "") -> Day | None:
    if year in _JALALI_YEARS:
        return Day("jalali", 1 <= month <= 12 and 1 <= day <= _jalali_days(year, month), year, month, day, time)
    if year not in _GREGORIAN_YEARS:
        return None
    try:
        date(year, month, day)
    except ValueError:
        return Day("gregorian", False, year, month, day, time)
    return Day("gregorian", True, year, month, day, time)


def _jalali_days(year: int, month: int) -> int:
    if month <= 6:
        return 31
    return 30 if month < 12 or is_jalali_leap(year) else 29


def _jalali_new_year(year: int) -> int:
    """The number of its first day: eight leap years in 33, placed as ``is_jalali_leap`` has them."""
    return _BEFORE_JALALI + 365 * year + (8 * year - 12) // 33 + 1


def _of_number(number: int, calendar: Calendar) -> tuple[int, int, int]:
    if calendar == "gregorian":
        found = date.fromordinal(number)
        return found.year, found.month, found.day
    year = (number - _BEFORE_JALALI) * 33 // 12053
    year += 1 if number >= _jalali_new_year(year + 1) else -1 if number < _jalali_new_year(year) else 0
    place = number - _jalali_new_year(year)
    month = place // 31 if place < 186 else 6 + (place - 186) // 30
    return year, month + 1, place - (31 * month - max(0, month - 6)) + 1
