"""``kargah doctor``: is everything here that is needed, and what to do about what is not."""

import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

from kargah.cli.words import language
from kargah.contract import attempt
from kargah.hardware import profile
from kargah.kit import i18n
from kargah.kit.settings import Settings
from kargah.store import schema
from kargah.store.database import Database, now_of

LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES, COMFORTABLE_FREE_BYTES = 500_000_000, 5_000_000_000
MOST_CLOCK_DIFFERENCE_SECONDS = 2.0
#: What each extra brings, by a module that tells whether it is there.
EXTRAS = {
    "train": ("torch", "transformers", "sklearn", "peft"),
    "serve": ("onnxruntime",),
    "llm": ("trl",),
    "sweep": ("optuna",),
    "s3": ("botocore",),
}
NEEDED_EXTRAS = frozenset({"train"})


class Verdict(StrEnum):
    GOOD = "good"
    OPTIONAL = "optional"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """``code`` is the text key below ``cli.doctor``: what was found and, unless it is good, what to do."""

    check: str
    verdict: Verdict
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, one after the other; one that breaks is a finding, the others go on."""
    checks: tuple[Callable[[Settings], Finding], ...] = (_python, _disk, _database, _clock, _port, _agent)
    for check in checks:
        yield check(settings)
    for extra, modules in EXTRAS.items():
        yield _extra(extra, modules)


def _python(_: Settings) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= LEAST_PYTHON
    return Finding("python", Verdict.GOOD if good else Verdict.BROKEN, "python_good" if good else "python_old", {"version": version})


def _disk(settings: Settings) -> Finding:
    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    params = {"free": i18n.size(language(), free_bytes), "free_bytes": free_bytes, "path": str(settings.home)}
    if free_bytes < LEAST_FREE_BYTES:
        return Finding("disk", Verdict.BROKEN, "disk_full", params)
    if free_bytes < COMFORTABLE_FREE_BYTES:
        return Finding("disk", Verdict.WARNING, "disk_tight", params)
    return Finding("disk", Verdict.GOOD, "disk_good", params)


def _database(settings: Settings) -> Finding:
    from sqlalchemy.exc import SQLAlchemyError

    kind = "SQLite" if settings.url_of_database.startswith("sqlite") else "PostgreSQL"
    if kind == "SQLite" and not (settings.home / "kargah.db").exists():
        return Finding("database", Verdict.WARNING, "database_new", {"path": str(settings.home)})
    try:
        revision = _revision(settings)
    except SQLAlchemyError as error:
        return Finding("database", Verdict.BROKEN, "database_unreachable", {"kind": kind, "reason": str(error.__cause__ or error)})
    if revision == schema.HEAD:
        return Finding("database", Verdict.GOOD, "database_good", {"kind": kind, "revision": revision})
    return Finding("database", Verdict.WARNING, "database_behind", {"kind": kind, "revision": revision or "–", "head": schema.HEAD})


def _revision(settings: Settings) -> str | None:
    database = Database(settings.url_of_database)
    try:
        return schema.revision_of(database)
    finally:
        database.close()


def _clock(settings: Settings) -> Finding:
    """Leases are measured by the database's clock; one that runs apart from this machine's makes every time shown wrong."""
    from sqlalchemy.exc import SQLAlchemyError

    if settings.url_of_database.startswith("sqlite"):
        return Finding("clock", Verdict.GOOD, "clock_own")
    database = Database(settings.url_of_database)
    try:
        with database.read() as session:
            difference = now_of(session).timestamp() - time.time()
    except SQLAlchemyError:
        return Finding("clock", Verdict.WARNING, "clock_unknown")
    finally:
        database.close()
    good = abs(difference) <= MOST_CLOCK_DIFFERENCE_SECONDS
    return Finding(
        "clock", Verdict.GOOD if good else Verdict.BROKEN, "clock_good" if good else "clock_apart", {"seconds": round(difference, 1)}
    )


def _port(settings: Settings) -> Finding:
    params = {"host": settings.host, "port": str(settings.port)}
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((settings.host, settings.port)) != 0:
            return Finding("port", Verdict.GOOD, "port_free", params)
    ours = _answers_as_kargah(settings)
    return Finding("port", Verdict.GOOD if ours else Verdict.BROKEN, "port_ours" if ours else "port_taken", params)


def _answers_as_kargah(settings: Settings) -> bool:
    from kargah.client import Kargah
    from kargah.kit.errors import KargahError

    try:
        with Kargah(f"http://{settings.host}:{settings.port}", timeout_seconds=2.0) as kargah:
            return kargah.health().get("service") == "kargah"
    except KargahError:
        return False


def _agent(settings: Settings) -> Finding:
    alive = attempt.is_held(settings.run_folder / f"agent-{profile.host_name()}.lock")
    return Finding("agent", Verdict.GOOD if alive else Verdict.WARNING, "agent_alive" if alive else "agent_absent")


def _extra(name: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if find_spec(module) is None]
    params = {"extra": name, "missing": ", ".join(missing), "command": f'pip install "kargah[{name}]"'}
    if not missing:
        return Finding("extra", Verdict.GOOD, "extra_good", params)
    if name in NEEDED_EXTRAS:
        return Finding("extra", Verdict.WARNING, "extra_missing", params)
    return Finding("extra", Verdict.OPTIONAL, "extra_absent", params)
