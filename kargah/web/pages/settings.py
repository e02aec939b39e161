"""The settings of this server, for admins to read: what each is, where it comes from, what it means."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.kit.settings import Settings
from kargah.store.access import require_admin
from kargah.web.deps import Ask
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
GROUPS = {
    "place": ("home", "database_url", "import_roots", "log_level", "log_json"),
    "door": ("host", "port", "profile", "https_only", "trusted_proxies", "cors_origins"),
    "people": ("language", "sign_ups", "session_days"),
    "limits": (
        "body_limit_bytes", "upload_limit_bytes", "user_quota_bytes", "workspace_quota_bytes", "trash_days", "scrub_days",
        "rate_limit_per_minute", "login_rate_limit_per_minute",
    ),
    "hubs": (
        "offline", "hub_urls", "hub_token", "hub_token_url", "hub_proxy_url", "hub_cache", "hub_connections", "hub_bytes_per_second",
        "hub_patience_minutes",
    ),
    "work": (
        "cores", "job_threads", "jobs_per_user", "jobs_memory_bytes", "lease_seconds", "predictor_idle_seconds", "predictor_limit",
        "custom_scripts", "script_user",
    ),
}  # fmt: skip
UNITS = {"_bytes": Words.size, "_seconds": Words.duration}


@dataclass(frozen=True)
class SettingRow:
    """``value``: empty when none is given. ``readable``: the same for reading, where it is an amount."""

    name: str
    value: str
    readable: str
    source: str
    is_default: bool
    meaning: str


@dataclass(frozen=True)
class SettingGroup:
    title: str
    rows: list[SettingRow]


@router.get("/settings")
def settings(request: Request, ask: Ask) -> Response:
    require_admin(ask.actor)
    page = page_of(request, "settings")
    return render("settings.html", page, groups=groups_of(page.words, ask.settings), file=str(ask.settings.home / "kargah.toml"))


def groups_of(words: Words, settings: Settings) -> list[SettingGroup]:
    """All settings; those that no group names stand under the last."""
    from kargah.web.pages.manual import setting_texts

    named = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in Settings.model_fields if name not in named)
    meanings, kept = setting_texts(words.language), _without_options(settings)
    return [
        SettingGroup(words.text(f"settings.group.{group}"), [_row(words, settings, kept, name, meanings.get(name, "")) for name in names])
        for group, names in {**GROUPS, "other": others}.items()
        if names
    ]


def _without_options(settings: Settings) -> Settings | None:
    """What environment and file alone would give; None when they no longer can be read."""
    try:
        return Settings(home=settings.home)
    except ValueError:
        return None


def _row(words: Words, settings: Settings, kept: Settings | None, name: str, meaning: str) -> SettingRow:
    value, source = getattr(settings, name), _source(settings, kept, name)
    readable = next((show(words, value) for unit, show in UNITS.items() if name.endswith(unit) and value), "")
    return SettingRow(
        f"KARGAH_{name.upper()}", _shown(name, value), readable, words.text(f"settings.source.{source}"), source == "default", meaning
    )


def _source(settings: Settings, kept: Settings | None, name: str) -> str:
    if name not in settings.model_fields_set:
        return "default"
    from_environment = f"KARGAH_{name.upper()}" in os.environ
    if name == "home":
        return "environment" if from_environment else "start"
    if kept is None or getattr(kept, name) != getattr(settings, name):
        return "start"
    return "environment" if from_environment else "file"


def _shown(name: str, value: Any) -> str:
    """As it is written in a file, nothing when it is not given; a token, and a password within an address, are not shown."""
    if value is None:
        return ""
    if name.endswith("_token"):
        return "•••"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if name.endswith("_url"):
        secret = urlsplit(value).password
        return value.replace(f":{secret}@", ":•••@") if secret else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
