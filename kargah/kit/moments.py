"""Moments as people write them: «۱۴۰۵/۰۹/۰۲ ۲۳:۰۰», 2026-11-23 23:00, 23:00, or ISO 8601 with its zone."""

import re
from datetime import datetime, time, timedelta, tzinfo

from kargah.kit.i18n import latin_digits

_DAY = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[\s,،T]+(?:ساعت\s*)?(\d{1,2}):(\d{2}))?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
#: Years before this are of the Jalali calendar: nobody plans for the Middle Ages.
_FIRST_GREGORIAN_YEAR = 1700


def moment_of(written: str, zone: tzinfo, now: datetime) -> datetime:
    """In ``zone`` where no other is written; a clock alone is its next time after ``now``. Raises ValueError."""
    text = latin_digits(written).strip()
    clock, day = _CLOCK.fullmatch(text), _DAY.fullmatch(text)
    if clock:
        return _next(time(int(clock[1]), int(clock[2])), zone, now)
    if day is None:
        told = datetime.fromisoformat(text)
        return told if told.tzinfo is not None else told.replace(tzinfo=zone)
    hour, minute = int(day[4] or 0), int(day[5] or 0)
    year, month, of_month = _gregorian(int(day[1]), int(day[2]), int(day[3]))
    return datetime(year, month, of_month, hour, minute, tzinfo=zone)


def clock_of(written: str) -> time:
    """``22:00``, «۲۲:۰۰», or the hour alone. Raises ValueError."""
    text = latin_digits(written).strip()
    found = _CLOCK.fullmatch(text)
    return time(int(found[1]), int(found[2])) if found else time(int(text))


def _next(clock: time, zone: tzinfo, now: datetime) -> datetime:
    today = datetime.combine(now.astimezone(zone).date(), clock, zone)
    return today if today > now else today + timedelta(days=1)


def _gregorian(year: int, month: int, day: int) -> tuple[int, int, int]:
    if year >= _FIRST_GREGORIAN_YEAR:
        return year, month, day
    from persiantools.jdatetime import JalaliDate

    found = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
    return found.year, found.month, found.day
