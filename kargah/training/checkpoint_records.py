"""Checkpoints among the assets: a record for each that stands on this host's disk, by reference to its training.

Workers make checkpoints and prune them, and know no database. So the records follow the disk: whenever a training says
something after which there may be others, and once an hour for what it could not say.
"""

import logging
import time
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kargah.assets.manifest import content_sha256
from kargah.assets.tables import Asset
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Failed, Finished, Interrupted, Paused, Resumed, Saved, Stopped
from kargah.jobs import service as jobs
from kargah.jobs import states
from kargah.jobs.tables import Job
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.runs.tables import checkpoint_key
from kargah.store.access import Actor
from kargah.store.database import Database
from kargah.text.normalise import fold
from kargah.training import checkpoints
from kargah.training.checkpoints import CheckpointOut, Condition

LOOK_SECONDS = 3600.0

log = logging.getLogger(__name__)


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    """Of jobs whose worker writes checkpoints."""
    if isinstance(event, Saved | Resumed | Paused | Stopped | Interrupted | Failed | Finished):
        settle(session, home, job)


def settle(session: Session, home: Path, job: Job) -> None:
    """A record for each checkpoint that stands, none for one that is gone. Nothing of a training that ran on another host's disk."""
    if not AttemptDirectory.of(home, job.id, 1).job_path.is_dir():
        return
    known = {row.place: row for row in session.scalars(select(Asset).where(Asset.job_id == job.id))}
    standing = {one.name: one for one in checkpoints.standing(home, job.id)}
    gone = [row.id for place, row in known.items() if place not in standing]
    if gone:
        session.execute(delete(Asset).where(Asset.id.in_(gone)))
    for name, found in standing.items():
        if row := known.get(name):
            row.status = _status(found)
            if found.files:  # a script may save the same step again
                row.size_bytes, row.sha256 = found.size_bytes, content_sha256(found.files)
        else:
            session.add(_record(job, found))
    session.flush()


def refresh(session: Session, actor: Actor, job_id: str, home: Path) -> None:
    """After somebody has looked at its files."""
    jobs.get_for(session, actor, job_id)
    settle(session, home, states.lock(session, job_id))  # its agent may be doing the same


def _record(job: Job, found: CheckpointOut) -> Asset:
    name = f"{job.title[:250]} · {found.name}"
    return Asset(
        id=new_id("ast"), kind="checkpoint", source="training", name=name, name_folded=fold(name)[:300], status=_status(found),
        subject_id=checkpoint_key(job.id, found.step), job_id=job.id, place=found.name, size_bytes=found.size_bytes,
        sha256=content_sha256(found.files) if found.files else None, files=[], owner_id=job.owner_id, workspace_id=job.workspace_id,
        visibility=job.visibility,
    )  # fmt: skip


def _status(found: CheckpointOut) -> str:
    return "error" if found.condition is Condition.DAMAGED else "ready"


class Looking:
    """At the start of an agent and hourly: what a training could not say, because it was killed, or ran before there were records."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._home = database, settings.home
        self._looked_seconds: float | None = None

    def tick(self) -> None:
        now = time.monotonic()
        if self._looked_seconds is not None and now < self._looked_seconds + LOOK_SECONDS:
            return
        self._looked_seconds = now
        self.look()

    def look(self) -> int:
        """Returns how many trainings had others than were written down. Each in a transaction of its own."""
        with self._database.read() as session:
            recorded: dict[str, set[str]] = {}
            for job_id, place in session.execute(select(Asset.job_id, Asset.place).where(Asset.job_id.is_not(None))):
                recorded.setdefault(job_id or "", set()).add(place or "")
        differ = [path.name for path in self._jobs() if checkpoints.names(self._home, path.name) != recorded.get(path.name, set())]
        for job_id in differ:
            with self._database.write() as session:
                job = session.get(Job, job_id)
                if job is not None:
                    settle(session, self._home, job)
        if differ:
            log.info("checkpoints of %d trainings were written down", len(differ))
        return len(differ)

    def _jobs(self) -> list[Path]:
        folder = self._home / "jobs"
        return sorted(folder.iterdir()) if folder.is_dir() else []
