"""Dates of both calendars, read as people write them and told in ISO form: held against the calendar of persiantools."""

from datetime import date, timedelta

import pytest
from persiantools.jdatetime import JalaliDate

from kargah.text import dates
from kargah.text.dates import Day


def test_the_days_of_two_centuries_have_the_same_name_in_both_calendars_as_elsewhere() -> None:
    first, last = date(1921, 3, 21), date(2121, 3, 20)
    for passed in range(0, (last - first).days, 5):
        day = first + timedelta(days=passed)
        jalali = JalaliDate(day)
        told = Day("gregorian", True, day.year, day.month, day.day)
        assert told.iso("jalali") == f"{jalali.year:04}-{jalali.month:02}-{jalali.day:02}"
        assert Day("jalali", True, jalali.year, jalali.month, jalali.day).number == day.toordinal()


@pytest.mark.parametrize(
    ("written", "gregorian", "jalali"),
    [
        ("1403/01/01", "2024-03-20", "1403-01-01"),
        ("۱۴۰۲/۱۲/۲۹ ۹:۰۵", "2024-03-19T09:05", "1402-12-29T09:05"),
        ("۵ مهر ماه ۱۴۰۲", "2023-09-27", "1402-07-05"),
        ("2021-03-20T23:30:00Z", "2021-03-20T23:30:00Z", "1399-12-30T23:30:00Z"),
        ("1402/12/30", None, None),
        ("2023-02-29", None, None),
        ("1402", None, None),
        ("نامعلوم", None, None),
    ],
)
def test_a_date_is_told_in_either_calendar_and_what_is_none_is_not(written: str, gregorian: str | None, jalali: str | None) -> None:
    assert (dates.to_iso(written, "gregorian"), dates.to_iso(written, "jalali")) == (gregorian, jalali)
