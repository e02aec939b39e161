import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kargah.text.numbers import is_blank, is_identifier, is_missing, parse_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12), ("+3", 3), (" -۱۲٫۵ ", -12.5), ("٣٤٠٠٠٠٠.٥", 3400000.5), ("۳٬۴۰۰٬۰۰۰٫۵", 3400000.5), ("3,310,000", 3310000),
        ("\u2212۷", -7), ("250-", -250), ("۱۲ تومان", 12), ("-۲۵۰ ریال", -250), ("$12.5", 12.5),
        ("۲۰٪", 0.2), ("5 %", 0.05), ("1.5e3", 1500), (".5", 0.5),
        ("۱۲\u200f", 12), ("1 000 000", 1000000),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, number: float) -> None:
    assert parse_number(text) == pytest.approx(number)


NO_NUMBERS = ["", "-", "abc", "1,2", "1,234,56", "12 سیب", "1e400", "nan", "inf", "%", "۱۴۰۳/۰۱/۰۲", "1.2.3", "تومان", "0x10"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_stays_none(text: str) -> None:
    assert parse_number(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_by_python_is_read_back(number: float) -> None:
    assert parse_number(repr(number)) == number


@given(st.integers(-(10**12), 10**12))
def test_grouped_persian_digits_are_read_back(number: int) -> None:
    shown = f"{number:,}".translate(str.maketrans("0123456789,", "۰۱۲۳۴۵۶۷۸۹٬"))
    assert parse_number(shown) == number


@given(st.text(max_size=30))
def test_any_text_gives_a_finite_number_or_none(text: str) -> None:
    number = parse_number(text)
    assert number is None or math.isfinite(number)


NAMES = [("007", True), ("۰۹۱۲۳۴۵۶۷۸۹", True), ("0", False), ("0.5", False), ("1234567890123456", True), ("120", False)]


@pytest.mark.parametrize(("text", "expected"), NAMES)
def test_a_number_that_would_lose_digits_is_a_name(text: str, expected: bool) -> None:
    assert is_identifier(text) is expected


@pytest.mark.parametrize("text", ["", "  ", "NULL", " nan ", "-", "N/A", "\u200c", "\u200f \u00a0", " " * 5000])
def test_spellings_of_nothing_are_missing(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize("text", ["None", "0", "خالی", "منفی", "\u200cمی", "no"])
def test_words_are_not_missing(text: str) -> None:
    assert not is_missing(text)
    assert not is_blank(text)
