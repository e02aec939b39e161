"""Moments as people write them, in either calendar and with any digits."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from kargah.kit.moments import clock_of, moment_of

TEHRAN = ZoneInfo("Asia/Tehran")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("۱۴۰۵/۰۹/۰۲ ۲۳:۰۰", datetime(2026, 11, 23, 23, 0, tzinfo=TEHRAN)),
        ("1405-9-2، ساعت ۲۳:۰۰", datetime(2026, 11, 23, 23, 0, tzinfo=TEHRAN)),
        ("۱۴۰۵/۹/۲", datetime(2026, 11, 23, 0, 0, tzinfo=TEHRAN)),
        ("٢٠٢٦/١١/٢٣ 23:00", datetime(2026, 11, 23, 23, 0, tzinfo=TEHRAN)),
        ("2026-11-23T23:00", datetime(2026, 11, 23, 23, 0, tzinfo=TEHRAN)),
        ("2026-11-23T23:00:00Z", datetime(2026, 11, 23, 23, 0, tzinfo=UTC)),
        ("۲۳:۰۰", datetime(2026, 11, 21, 23, 0, tzinfo=TEHRAN)),
        ("08:15", datetime(2026, 11, 22, 8, 15, tzinfo=TEHRAN)),  # the next one: today it has been
    ],
)
def test_a_moment_is_understood_however_it_is_written(written: str, meant: datetime) -> None:
    assert moment_of(written, TEHRAN, NOW) == meant


@pytest.mark.parametrize("written", ["", "فردا", "1405/13/01", "1405/09/31", "2026-02-30", "25:00", "1405/09/02 23", "🌙"])
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        moment_of(written, TEHRAN, NOW)


def test_a_clock_may_be_an_hour_alone() -> None:
    assert [clock_of("۲۲"), clock_of("6:30")] == [time(22), time(6, 30)]
    with pytest.raises(ValueError):
        clock_of("شب")
