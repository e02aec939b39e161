from datetime import UTC, datetime

import pytest

from kargah.kit import i18n

NOON = datetime(2026, 11, 21, 10, 51, tzinfo=UTC)


def test_persian_dates_are_jalali_in_tehran_time() -> None:
    assert i18n.date("fa", NOON) == "۳۰ آبان ۱۴۰۵، ساعت ۱۴:۲۱"


def test_english_dates_are_gregorian_in_utc() -> None:
    assert i18n.date("en", NOON) == "21 Nov 2026, 10:51 UTC"


@pytest.mark.parametrize(
    ("value", "fa", "en"),
    [(1234567, "۱٬۲۳۴٬۵۶۷", "1,234,567"), (0.5, "۰٫۵۰۰۰", "0.5000"), (-3.14159, "\u200e\u2212۳٫۱۴", "\u200e\u22123.14"), (0, "۰", "0")],
)
def test_numbers_are_written_in_the_readers_digits(value: float, fa: str, en: str) -> None:
    assert (i18n.number("fa", value), i18n.number("en", value)) == (fa, en)


def test_what_a_person_typed_in_persian_digits_is_a_number() -> None:
    assert float(i18n.latin_digits("۱۲٫۵")) == 12.5
    assert int(i18n.latin_digits("٤٢")) == 42


def test_an_id_inside_a_persian_sentence_is_isolated() -> None:
    assert "\u2068job_1\u2069" in i18n.text("fa", "error.NOT_FOUND", id="job_1")
    assert "\u2068" not in i18n.text("en", "error.NOT_FOUND", id="job_1")


def test_a_missing_text_shows_its_key_and_raises_nothing() -> None:
    assert i18n.text("fa", "no.such.key", n=1) == "no.such.key"


def test_a_place_without_a_parameter_stays_visible() -> None:
    assert "{id}" in i18n.text("en", "error.NOT_FOUND")


def test_durations_have_at_most_two_units() -> None:
    assert i18n.duration("fa", 4151) == "۱ ساعت و ۹ دقیقه"
    assert i18n.duration("en", 59.6) == "1 min"
    assert i18n.duration("en", 0) == "0 s"


def test_sizes_are_decimal() -> None:
    assert i18n.size("en", 1_234_567) == "1.23 MB"
    assert i18n.size("en", 999) == "999 B"


def test_what_its_name_says_to_be_an_amount_has_its_unit() -> None:
    assert "2 GB are needed and 1.5 kB are free" in i18n.text("en", "error.DISK_FULL", needed_bytes=2_000_000_000, free_bytes=1_500)
    assert "۱ دقیقه و ۱ ثانیه" in i18n.text("fa", "error.RATE_LIMITED", retry_after_seconds=61)
    assert i18n.amount("en", "leaked_share", 0.125) == "12.5%"
    assert i18n.amount("en", "peak_memory_bytes", 2**30) == "1 GiB"
    assert (i18n.amount("en", "bytes", 5), i18n.amount("en", "name_bytes", "x")) == (5, "x")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "fa"),
        ("", "fa"),
        ("en-US,en;q=0.9,fa;q=0.8", "en"),
        ("de,fr;q=0.5", "fa"),
        ("fa;q=0.2,en;q=0.1", "fa"),
        ("en;q=0, fa", "fa"),
        (";;;q=x,", "fa"),
    ],
)
def test_the_best_of_our_languages_is_chosen(header: str | None, language: str) -> None:
    assert i18n.preferred(header) == language


def test_po_strings_may_continue_and_escape() -> None:
    assert i18n.parse_po('msgid "a"\nmsgstr ""\n"one \\"two\\"\\n"\n"three"\n') == {"a": 'one "two"\nthree'}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\u2069x\u2068", "⟨U+2069⟩x⟨U+2068⟩"),
        ("\u2068x\u2069 و \u2067\u2066y\u2069\u2069", "\u2068x\u2069 و \u2067\u2066y\u2069\u2069"),
        ("نیم\u200cفاصله \u200f", "نیم\u200cفاصله \u200f"),
    ],
)
def test_what_would_turn_a_text_around_is_shown_by_its_code(given: str, shown: str) -> None:
    assert i18n.visible(given) == shown


def test_a_text_that_does_not_name_its_file_stands_behind_the_files_name() -> None:
    def told(code: str, **params: object) -> str:
        return i18n.with_file("en", f"error.{code}", params, i18n.text("en", f"error.{code}", **params))

    assert told("UNCLOSED_QUOTE", line=3, file="test.csv").startswith("In the file “test.csv”: A quote opened on line 3")
    assert told("UNSEEN_LABEL", file="test.csv", line=3, label="x", column="y").startswith("In test.csv, line 3")
    assert told("EMPTY_FILE").startswith("The file is empty")
