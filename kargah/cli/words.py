"""The terminal's language, and texts in it."""

import os
import sys
from datetime import datetime
from functools import cache
from typing import Any

from kargah.kit import i18n

_VARIABLES = ("KARGAH_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@cache
def language() -> str:
    """The first that is one of ours: ``--language``, KARGAH_LANGUAGE, the locale; else English, since few terminals join Persian letters.

    The command line is read here by hand because help texts are made before it is parsed.
    """
    wanted = [_option(sys.argv), *(os.environ.get(name, "") for name in _VARIABLES)]
    names = (name.split("_")[0].split(".")[0].lower() for name in wanted if name)
    return next((name for name in names if name in i18n.LANGUAGES), "en")


def t(key: str, /, **params: Any) -> str:
    return i18n.text(language(), key, **params)


def error_text(code: str, params: dict[str, Any]) -> str:
    """What happened, why, what to do; for a code without a text, the code itself."""
    if not i18n.has_text(language(), f"error.{code}"):
        return t("cli.error.unknown", code=code, params=str(params or ""))
    reason = f"reason.{params.get('reason')}"
    shown = {**params, "reason": t(reason, **params)} if i18n.has_text(language(), reason) else params
    return i18n.with_file(language(), f"error.{code}", params, t(f"error.{code}", **shown))


def waiting_text(code: str, params: dict[str, Any]) -> str:
    """Why a job waits. Amounts come with their unit, by the ending of their name."""
    if not i18n.has_text(language(), f"waiting.{code}"):
        return t("cli.error.unknown", code=code, params=str(params or ""))
    return t(f"waiting.{code}", **_amounts(params))


def outlook_text(found: dict[str, Any]) -> str:
    return t(str(found["code"]), **_amounts(found.get("params") or {}))


def _amounts(params: dict[str, Any]) -> dict[str, Any]:
    return {name: _amount(name, value) for name, value in params.items()}


def _amount(name: str, value: Any) -> Any:
    if name.endswith("_seconds"):
        return i18n.duration(language(), value)
    if name.endswith("_bytes"):
        return i18n.size(language(), value)
    return i18n.date(language(), datetime.fromisoformat(value)) if name.endswith("_at") else value


def _option(arguments: list[str]) -> str:
    for place, argument in enumerate(arguments):
        if argument == "--language" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--language="):
            return argument.partition("=")[2]
    return ""
