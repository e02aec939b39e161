"""What is written for people: every setting explained, every error in both languages, the same keys in both."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import kargah
from kargah.kit.errors import KargahError
from kargah.kit.i18n import LANGUAGES, LOCALE, has_text, parse_po
from kargah.kit.settings import Settings

ROOT = Path(__file__).parents[2]
#: Passed on with another process's own code, so they have no text of their own.
WITHOUT_TEXT = {"AnswerRefused", "WorkerFailed"}


def catalogues() -> list[str]:
    return sorted({path.name for language in LANGUAGES for path in (LOCALE / language).glob("*.po")})


@pytest.mark.parametrize("name", catalogues())
def test_both_languages_have_the_same_texts_with_the_same_places(name: str) -> None:
    persian, english = (parse_po((LOCALE / language / name).read_text(encoding="utf-8")) for language in ("fa", "en"))
    assert persian.keys() == english.keys()
    places = re.compile(r"\{(\w+)\}")
    differ = [key for key in persian if set(places.findall(persian[key])) != set(places.findall(english[key]))]
    assert differ == []
    assert [key for key, text in {**persian, **english}.items() if not text] == []


def all_errors() -> set[type[KargahError]]:
    for module in pkgutil.walk_packages(kargah.__path__, "kargah."):
        if not re.search(r"\.(migrations|__main__)", module.name) and not re.search(r"recipes\.\w+\.(?!spec)\w+", module.name):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:  # an extra that is not installed
                assert not (error.name or "").startswith("kargah")
    found, waiting = set(), [KargahError]
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting.extend(kind.__subclasses__())
    return {kind for kind in found if kind.__module__.startswith("kargah.") and kind.__name__ not in WITHOUT_TEXT}


def test_every_error_says_in_both_languages_what_happened() -> None:
    said = {(kind.__module__, kind.code, language) for kind in all_errors() for language in LANGUAGES}
    assert sorted(error for error in said if not has_text(error[2], f"error.{error[1]}")) == []


def test_no_persian_text_has_what_the_guide_forbids() -> None:
    faults = []
    for path in (LOCALE / "fa").glob("*.po"):
        for key, text in parse_po(path.read_text(encoding="utf-8")).items():
            if re.search(r"\w[يك]\w|لطفا|!|\bمی [آ-ی]| ها\b", text):
                faults.append((path.name, key, text))
    assert faults == []


def test_every_setting_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    missing = [name for name in Settings.model_fields if f"`KARGAH_{name.upper()}`" not in page]
    assert missing == []
    named = {name.lower() for name in re.findall(r"`KARGAH_([A-Z_]+)`", page)}
    assert named - set(Settings.model_fields) - {"server", "token", "home"} == set(), "the page explains a setting that is none"
