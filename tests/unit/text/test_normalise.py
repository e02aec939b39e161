import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kargah.text.normalise import Normaliser, NormaliserSettings, fold, in_another_language, label_key

ALPHABET = (
    "abZ 09۰۱٣ \n\r\t\u00a0\u2009\u0085\u2028"
    "سلامپچژگیيىكکڪہھۀۂەة أإٱؤئءآ\u0653\u0654\u0655\u064b\u0651\u0652\u0670"
    "\u200c\u200d\u200b\u200e\u200f\u202e\u2066\u00ad\u00ac\ufeff\u0640\ufb50\ufb8a\ufe71\ufe76\ufefb\ufdf2ﷺ﷼"
    "ٹےټښڵ👩⚕\ufe0f🏽،؛!=\u0338é\u0301e\u212b\u1100\u1161\u11a8"
)
TEXTS = st.one_of(st.text(st.sampled_from(ALPHABET), max_size=40), st.text(max_size=40))
SETTINGS = st.builds(
    NormaliserSettings,
    **{name: st.booleans() for name in ("compose", "presentation_forms", "letters", "spare_other_languages", "zwnj", "invisible")},
    **{name: st.booleans() for name in ("bidi_controls", "kashida", "harakat", "hamza", "whitespace")},
    digits=st.sampled_from(["keep", "latin", "persian"]),
)


@given(TEXTS)
@example("\u06d5\u0654")  # Kurdish apart, Persian when composed
@settings(max_examples=1500, deadline=None)
def test_normalising_twice_gives_what_once_gives(text: str) -> None:
    for normaliser in (Normaliser(), Normaliser(NormaliserSettings(harakat=True, hamza=True, digits="latin"))):
        once = normaliser.apply(text)
        assert normaliser.apply(once) == once


@given(TEXTS, SETTINGS)
@settings(max_examples=800, deadline=None)
def test_counting_and_mapping_give_the_same_text_as_applying(text: str, chosen: NormaliserSettings) -> None:
    normaliser = Normaliser(chosen)
    expected = normaliser.apply(text)
    counted, counts = normaliser.apply_counted(text)
    mapped, offsets = normaliser.apply_mapped(text)
    assert counted == mapped == expected
    assert bool(counts) or expected == text
    assert len(offsets) == len(expected) + 1
    assert offsets == sorted(offsets)
    assert offsets[-1] == len(text)
    assert all(0 <= offset < len(text) for offset in offsets[:-1])


@given(TEXTS, SETTINGS)
@settings(max_examples=400, deadline=None)
def test_a_step_counts_as_many_edits_as_it_makes(text: str, chosen: NormaliserSettings) -> None:
    for step in Normaliser(chosen).steps:
        assert step.counted(text) == (step.apply(text), len(step.edits(text)))


@given(TEXTS)
def test_keys_do_not_change_when_taken_again(text: str) -> None:
    assert label_key(label_key(text)) == label_key(text)
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("علي كتاب", "علی کتاب"),
        ("می\u200c\u200cروم", "می\u200cروم"),
        ("می\u200fروم", "میروم"),
        ("مـیـ\u200cروم", "می\u200cروم"),
        ("\u200cسلام\u200c دنیا\u200c.", "سلام دنیا."),
        ("ﺳﻼم", "سلام"),
        ("۱۲ ﷼", "۱۲ ﷼"),
        ("خانۀ", "خانه\u0654"),
        ("👩\u200d⚕️ می\u200dروم", "👩\u200d⚕️ میروم"),
        ("  یک\u00a0\u2009 دو \n\n\n سه ", "یک دو\n\nسه"),
        ("سَلام مسئول أثر ۱۲٣", "سَلام مسئول أثر ۱۲٣"),
        ("x² ﬁ ½", "x² ﬁ ½"),
    ],
)
def test_defaults_mend_what_harms_and_leave_what_means(raw: str, expected: str) -> None:
    assert Normaliser().apply(raw) == expected


@pytest.mark.parametrize("text", ["هذا كتاب جيد في البيت", "مدرسة علي", "یہ کتاب ہے اور ٹھیک", "دا کتاب ښه دی", "ئەم کتێبە باشە"])
def test_rows_in_other_languages_keep_their_letters(text: str) -> None:
    assert in_another_language(text)
    assert Normaliser().apply(text) == text


def test_a_persian_row_with_an_arabic_phrase_is_still_mended() -> None:
    assert Normaliser().apply("دايرة المعارف بزرگ فارسي") == "دایرة المعارف بزرگ فارسی"


def test_each_step_can_be_switched_off() -> None:
    raw = "علي\u200c\u200cكـ\u200f  \u00adﺳ\u0627\u0653"
    off = NormaliserSettings(
        compose=False,
        presentation_forms=False,
        letters=False,
        zwnj=False,
        invisible=False,
        bidi_controls=False,
        kashida=False,
        whitespace=False,
    )
    assert Normaliser(off).apply(raw) == raw


def test_counts_name_the_steps_that_changed_something() -> None:
    assert Normaliser().apply_counted("علي كتاب  خوب\u200f")[1] == {"bidi_controls": 1, "letters": 2, "whitespace": 1}
    assert Normaliser().apply_counted("سلام") == ("سلام", {})


def test_the_map_leads_back_to_the_raw_text() -> None:
    raw = "شهر  بُـزرگِ ﻻهور و علي"
    text, offsets = Normaliser().apply_mapped(raw)
    start = text.index("لاهور")
    assert raw[offsets[start] : offsets[start + len("لاهور")]] == "ﻻهور"


@pytest.mark.parametrize("pair", [("منفي ", "منفی"), ("Positive", "positive"), ("نیم\u200cفاصله", "نیمفاصله"), ("كلاس ١", "کلاس 1")])
def test_labels_that_only_look_different_have_one_key(pair: tuple[str, str]) -> None:
    assert label_key(pair[0]) == label_key(pair[1])


def test_search_folds_hamza_and_labels_do_not() -> None:
    assert fold("مسئول") == fold("مسيول")
    assert label_key("مسئول") != label_key("مسیول")


def test_settings_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        NormaliserSettings.model_validate({"version": 2})
