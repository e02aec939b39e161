"""Every code that an import can say has its text in both languages."""

import re
from pathlib import Path

import pytest

import kargah
from kargah.kit import i18n
from kargah.workers.reading import errors

ROOT = Path(kargah.__file__).parent
SOURCES = [*(ROOT / "workers" / "reading").glob("*.py"), ROOT / "workers" / "ingest.py"]
_NOTE = re.compile(r'"([A-Z_]{5,})", "(?:error|warning|info)"')
NOTED = sorted({code for path in SOURCES for code in _NOTE.findall(path.read_text())})
FAILURES = sorted({kind.code for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__})


@pytest.mark.parametrize("language", i18n.LANGUAGES)
@pytest.mark.parametrize("code", [*NOTED])
def test_a_finding_has_a_text(code: str, language: str) -> None:
    assert i18n.has_text(language, f"problem.{code}")


@pytest.mark.parametrize("language", i18n.LANGUAGES)
@pytest.mark.parametrize("code", [*FAILURES, "TITLE_MISSING", "NOT_IMPORTED", "IMPORT_STOPPED"])
def test_a_refusal_has_a_text(code: str, language: str) -> None:
    assert i18n.has_text(language, f"error.{code}")


def test_both_languages_have_the_same_keys_and_places() -> None:
    texts = {language: i18n.parse_po((i18n.LOCALE / language / "datasets.po").read_text(encoding="utf-8")) for language in i18n.LANGUAGES}
    assert texts["fa"].keys() == texts["en"].keys()
    places = {language: {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in found.items()} for language, found in texts.items()}
    assert places["fa"] == places["en"]


def test_the_findings_are_found() -> None:
    assert len(NOTED) > 20
    assert len(FAILURES) > 12
