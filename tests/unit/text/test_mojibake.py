"""Persian read in a wrong encoding is read again where that is certain, and nothing else is touched."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kargah.text.mojibake import repaired

PERSIAN = st.text("آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی\u200c ،؛؟۰۱۲۳«»()abc12.", min_size=8, max_size=60)
#: The letters that Windows-1256 has.
OLD_PERSIAN = st.text("ابپتثجچحخدذرزژسشصضطظعغفقكگلمنوهي ،12", min_size=8, max_size=60)


def as_windows_1252(written: bytes) -> str:
    """As most programs read: the five bytes that have no character become control characters."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in written)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PERSIAN)
def test_what_was_utf_8_comes_back_as_it_was_or_is_left_alone(text: str) -> None:
    for broken in (as_windows_1252(text.encode()), text.encode().decode("cp1256")):
        assert repaired(broken) in (text, None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(OLD_PERSIAN)
def test_what_was_windows_1256_comes_back_as_it_was_or_is_left_alone(text: str) -> None:
    assert repaired(as_windows_1252(text.encode("cp1256"))) in (text, None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PERSIAN)
def test_a_text_in_order_is_never_touched(text: str) -> None:
    assert repaired(text) is None


@pytest.mark.parametrize("text", ["سلام بر شما، این «کتاب» خوب است.", "خیلی خوب بود"])
def test_whole_sentences_come_back(text: str) -> None:
    assert repaired(as_windows_1252(text.encode())) == text
    assert repaired(text.encode().decode("cp1256")) == text
    old = text.replace("ی", "ي").replace("ک", "ك").replace("«", "").replace("»", "")
    assert repaired(as_windows_1252(old.encode("cp1256"))) == old


@pytest.mark.parametrize("text", ["café à la mode, Été", "naïve ÀÉÈÊÀÉ test", "Ø³Ù„Ø§Ù… \ufffd", "سلام Ø³Ù„Ø§Ù…", "Þórður ÞÆTTI", "ÉÉÉÉ"])
def test_other_languages_and_texts_that_lost_something_stay(text: str) -> None:
    assert repaired(text) is None
