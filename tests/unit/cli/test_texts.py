"""Every sentence that the terminal can say is there in both languages."""

import re
from pathlib import Path

import pytest

import kargah.cli
from kargah.cli import words
from kargah.kit import i18n

SOURCES = sorted(Path(kargah.cli.__file__).parent.glob("*.py"))
KEY = re.compile(r'"((?:cli|spec)\.[a-z_]+(?:\.[A-Za-z_]+)+)"')


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_no_command_uses_a_text_that_is_not_there(language: str) -> None:
    keys = {key for source in SOURCES for key in KEY.findall(source.read_text(encoding="utf-8"))}
    assert len(keys) > 100
    assert sorted(key for key in keys if not i18n.has_text(language, key)) == []


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        (["kargah", "--language", "fa"], {"LANG": "en_US.UTF-8"}, "fa"),
        (["kargah", "--language=en", "jobs"], {"KARGAH_LANGUAGE": "fa"}, "en"),
        (["kargah"], {"KARGAH_LANGUAGE": "fa", "LANG": "en_US.UTF-8"}, "fa"),
        (["kargah"], {"LANG": "fa_IR.UTF-8"}, "fa"),
        (["kargah"], {"LANG": "de_DE.UTF-8"}, "en"),
        (["kargah"], {"LANG": "C"}, "en"),
    ],
)
def test_the_language_is_what_was_said_last_and_nearest(
    arguments: list[str], environment: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KARGAH_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", arguments)
    words.language.cache_clear()
    assert words.language() == language
    words.language.cache_clear()


def test_an_error_without_a_text_still_says_its_code() -> None:
    assert "STRANGE" in words.error_text("STRANGE", {"path": "x"})
