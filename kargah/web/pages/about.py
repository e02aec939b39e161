"""What this is: its version, what it runs on, and the licences of everything it brings along."""

import platform
import re
import sqlite3
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

import kargah
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages import assets
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Part:
    """``href``: its licence, when its text is among our files."""

    name: str
    version: str
    licence: str
    href: str = ""


#: Files of others that are served to browsers: name, version, licence, the file with its text.
VENDORED = (
    ("Vazirmatn", "33.003", "OFL-1.1", "fonts/OFL-Vazirmatn.txt"),
    ("IBM Plex Mono", "2.3", "OFL-1.1", "fonts/OFL-IBMPlexMono.txt"),
    ("uPlot", "1.6.32", "MIT", "vendor/uPlot-LICENSE.txt"),
    ("Swagger UI", "5.35.0", "Apache-2.0", "api-docs/LICENSE"),
)


@router.get("/about")
async def about(request: Request, ask: Ask) -> Response:
    page = page_of(request, "about")
    database = await ask.read(_database)
    return render(
        "about.html",
        page,
        version=kargah.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        database=database,
        home=str(ask.settings.home.resolve()) if ask.actor.is_admin else "",
        vendored=[Part(name, version, licence, assets.address(file)) for name, version, licence, file in VENDORED],
        packages=packages(),
    )


def _database(session: Session, actor: Actor) -> str:  # noqa: ARG001 - the shape of a use-case
    if session.get_bind().dialect.name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    return f"PostgreSQL {session.execute(text('SHOW server_version')).scalar_one()}"


@cache
def packages() -> list[Part]:
    """What the server needs of Python's packages, as their own records say it."""
    try:
        wanted = metadata.requires("kargah") or []
    except metadata.PackageNotFoundError:
        return []
    names = sorted({re.split(r"[\s<>=!~;\[]", line)[0] for line in wanted if "extra ==" not in line}, key=str.lower)
    return [part for name in names if (part := _part(name)) is not None]


def _part(name: str) -> Part | None:
    try:
        record = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classified = [line.rpartition("::")[2].strip() for line in record.get_all("Classifier") or [] if line.startswith("License ::")]
    stated = next(iter(record.get_all("License") or []), "").strip().partition("\n")[0]
    expressed = next(iter(record.get_all("License-Expression") or []), "")
    licence = expressed or (stated if 0 < len(stated) < 40 else "") or ", ".join(classified)
    return Part(record["Name"], record["Version"], licence)
