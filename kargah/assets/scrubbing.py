"""Checking that every file of the store is still what it was: a job reads them all again (workers.scrub), its end is written down here."""

import time
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from kargah.accounts.tables import Membership, User
from kargah.assets import blobs, damage
from kargah.assets.damage import Damage
from kargah.assets.tables import Asset, Blob
from kargah.contract.events import Event, Finished
from kargah.contract.plans import ScrubPlan
from kargah.contract.results import ScrubResult
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor, Role
from kargah.store.database import Database

KIND = "scrub"
MOST_SHOWN = 200
LOOK_SECONDS = 600.0
LAST = -100


class DamagedFile(BaseModel):
    """``assets``: names of what it is a file of, so far as the asker may see them; ``hidden``: how many besides."""

    sha256: str
    size_bytes: int
    damage: Damage
    assets: list[str]
    hidden: int = 0


class ScrubState(BaseModel):
    """``job``: the latest check, which may still run. ``next_at``: when one begins by itself, ``every_days``; null where none does.

    ``damaged``: what is wrong as far as is known, ``damaged_count`` of them in all.
    """

    job: JobOut | None
    checked_at: datetime | None
    next_at: datetime | None
    every_days: float
    unchecked: int
    damaged: list[DamagedFile]
    damaged_count: int


def start(session: Session, actor: Actor, threads: int = 1, priority: int = 0) -> JobOut:
    """Queue a check of all files; one that is not over yet is given back instead."""
    access.require_admin(actor)
    active = session.scalars(select(Job).where(Job.kind == KIND, Job.state.not_in(TERMINAL)).order_by(Job.id).limit(1)).first()
    if active is not None:
        return JobOut.model_validate(active)
    plan = ScrubPlan(job_id="").model_dump(mode="json")
    return JobOut.model_validate(jobs.submit(session, actor, KIND, KIND, plan, threads_wanted=threads, priority=priority))


def next_at(session: Session, every_days: float) -> datetime | None:
    """So long after the latest check was asked for, or after the first file came; null where nothing is checked by itself."""
    if not every_days:
        return None
    latest = session.scalar(select(func.max(Job.created_at)).where(Job.kind == KIND))
    since = latest or session.scalar(select(func.min(Blob.created_at)))
    return since + timedelta(days=every_days) if since else None


class Schedule:
    """Asks for a check when one is due: as the longest-standing admin, and behind everything that people wait for."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._every_days = database, settings.scrub_days
        self._looked_seconds: float | None = None

    def tick(self) -> None:
        """Looks every ten minutes."""
        now = time.monotonic()
        if not self._every_days or (self._looked_seconds is not None and now < self._looked_seconds + LOOK_SECONDS):
            return
        self._looked_seconds = now
        with self._database.read() as session:
            is_due = self._is_due(session)
        if is_due:
            with self._database.write() as session:
                admin = _longest_standing_admin(session)
                if admin is not None and self._is_due(session):
                    start(session, admin, priority=LAST)

    def _is_due(self, session: Session) -> bool:
        due_at = next_at(session, self._every_days)
        return due_at is not None and due_at <= utc_now()


def _longest_standing_admin(session: Session) -> Actor | None:
    admins = select(User.id, Membership.workspace_id).join(Membership, Membership.user_id == User.id)
    found = session.execute(admins.where(User.role == Role.ADMIN, User.status == "active").order_by(User.id).limit(1)).first()
    return None if found is None else Actor(found.id, Role.ADMIN, found.workspace_id, frozenset({found.workspace_id}))


def state(session: Session, actor: Actor, every_days: float = 0.0) -> ScrubState:
    access.require_admin(actor)
    job = session.scalars(select(Job).where(Job.kind == KIND).order_by(Job.id.desc()).limit(1)).first()
    wrong = list(session.scalars(select(Blob).where(Blob.damage.is_not(None)).order_by(Blob.sha256)))
    unchecked = session.scalar(select(func.count()).select_from(Blob).where(Blob.checked_at.is_(None))) or 0
    return ScrubState(
        job=JobOut.model_validate(job) if job else None,
        checked_at=session.scalar(select(func.max(Blob.checked_at))),
        next_at=next_at(session, every_days),
        every_days=every_days,
        unchecked=unchecked,
        damaged=_shown(session, actor, wrong[:MOST_SHOWN]),
        damaged_count=len(wrong),
    )


def _shown(session: Session, actor: Actor, wrong: list[Blob]) -> list[DamagedFile]:
    users = damage.users_of(session, {row.sha256 for row in wrong}) if wrong else {}
    ids = {asset_id for found in users.values() for asset_id in found}
    named = select(Asset.id, Asset.name).where(Asset.id.in_(ids), access.visible_to(actor, Asset))
    names = {row.id: row.name for row in session.execute(named)}
    shown = []
    for row in wrong:
        seen = sorted({names[asset_id] for asset_id in users[row.sha256] if asset_id in names})
        hidden = sum(asset_id not in names for asset_id in users[row.sha256])
        shown.append(
            DamagedFile(sha256=row.sha256, size_bytes=row.size_bytes, damage=Damage(row.damage or ""), assets=seen, hidden=hidden)
        )  # fmt: skip
    return shown


def prepare(home: Path, _: Job, event: Event) -> None:
    """Before the transaction: what is damaged is set aside, so that nothing is made of it. May run twice, to the same effect."""
    if isinstance(event, Finished):
        for sha256 in ScrubResult.model_validate(event.result).damaged:
            blobs.set_aside(home, sha256)


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    """What is known and not there is found here: the worker knows no database."""
    if not isinstance(event, Finished):
        return
    result = ScrubResult.model_validate(event.result)
    began = job.started_at or job.created_at
    known = session.execute(select(Blob.sha256, Blob.size_bytes, Blob.created_at)).all()
    wrong = {*result.damaged, *result.unreadable}
    missing = [row.sha256 for row in known if row.sha256 not in wrong and not _is_there(home, row.sha256, row.size_bytes)]
    session.execute(update(Blob).where(Blob.created_at <= began).values(checked_at=event.at, damage=None))
    for kind, hashes in ((Damage.DAMAGED, result.damaged), (Damage.UNREADABLE, result.unreadable), (Damage.MISSING, missing)):
        damage.mark(session, kind, hashes)
    damage.settle(session)
    counts = {"damaged": len(result.damaged), "unreadable": len(result.unreadable), "missing": len(missing)}
    job.result = {"files": result.files, "size_bytes": result.size_bytes, **counts}


def _is_there(home: Path, sha256: str, size_bytes: int) -> bool:
    path = blobs.path_of(home, sha256)
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False
