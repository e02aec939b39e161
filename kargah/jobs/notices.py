"""Notices: what somebody should know of a job without having watched it, and the outbox from which other channels send them on.

A notice, its outgoing form and the event that it tells of stand in one transaction: there is none without the others.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Table, func, or_, select, update
from sqlalchemy.orm import Session

from kargah.contract.events import Event, Failed, Finished, Logged, Paused
from kargah.jobs.tables import NOTICES, OUTBOX, EventRow, Job, Notice, Outgoing
from kargah.kit.clock import utc_now
from kargah.kit.ids import new_id
from kargah.store.access import Actor
from kargah.store.database import now_of
from kargah.store.rows import Rows

PAGE = 30
FINISHED, FAILED, ATTENTION = "finished", "failed", "attention"
RETRY_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 3600.0
#: Warnings after which everything goes on, but not from where one thinks.
WORTH_KNOWING = frozenset({"train.checkpoint_damaged"})

JsonDict = dict[str, Any]


class NoticeOut(BaseModel):
    """``kind``: finished, failed, attention. ``code`` is a text key; ``reason`` is the {code, params} of an error or a message."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    code: str
    params: JsonDict
    reason: JsonDict | None = None
    job_id: str
    position: int
    created_at: datetime
    read_at: datetime | None = None


class NoticePage(BaseModel):
    """The newest first. ``unread`` counts all of them, not only this page's. ``next_cursor`` is null on the last page."""

    items: list[NoticeOut]
    unread: int
    next_cursor: str | None = None


def of_events(session: Session, said: Iterable[tuple[Job, Event]]) -> list[tuple[Table, Rows]]:
    """What the owner of each job is told of events that are about to be stored, in rows to be written with them.

    A notice's ``position`` is its event's place in ``said``, from 0.
    """
    told, outgoing = [], []
    for position, (job, event) in enumerate(said):
        found = _worth_telling(session, job, event)
        if found is None:
            continue
        kind, reason = found
        words: JsonDict = {"kind": kind, "code": f"notice.{kind}", "params": {"title": job.title}, "reason": reason}
        notice_id = new_id("not")
        of_whom = {"user_id": job.owner_id, "job_id": job.id}
        told.append({"id": notice_id, "created_at": event.at, "position": position, **of_whom, **words})
        payload = {**words, **of_whom, "id": notice_id, "job_kind": job.kind, "at": event.at.isoformat()}
        outgoing.append({"notice_id": notice_id, "payload": payload, "tries": 0, "created_at": utc_now()})
    return [(NOTICES, told), (OUTBOX, outgoing)] if told else []


def _worth_telling(session: Session, job: Job, event: Event) -> tuple[str, JsonDict | None] | None:
    if isinstance(event, Finished):
        return FINISHED, None
    if isinstance(event, Failed):
        return FAILED, {"code": f"error.{event.code}", "params": event.params}
    if isinstance(event, Logged) and (event.level == "error" or event.code in WORTH_KNOWING):
        return ATTENTION, {"code": event.code, "params": event.params}
    if isinstance(event, Paused) and not _was_asked_for(session, job.id):
        return ATTENTION, {"code": f"paused.{event.code}", "params": event.params} if event.code else None
    return None


def _was_asked_for(session: Session, job_id: str) -> bool:
    """Whether somebody asked for the pause since the attempt was claimed."""
    said = select(EventRow).where(EventRow.job_id == job_id, EventRow.kind.in_(("Asked", "Claimed")))
    last = session.scalars(said.order_by(EventRow.seq.desc()).limit(1)).first()
    return last is not None and last.kind == "Asked" and last.payload.get("action") == "pause"


def list_for(session: Session, actor: Actor, *, cursor: str | None = None, limit: int = PAGE, unread: bool = False) -> NoticePage:
    """One's own. ``cursor``: the id of the last notice of the page before."""
    found = select(Notice).where(Notice.user_id == actor.user_id).order_by(Notice.position.desc()).limit(limit + 1)
    if cursor is not None:
        before = select(Notice.position).where(Notice.id == cursor, Notice.user_id == actor.user_id).scalar_subquery()
        found = found.where(Notice.position < before)
    if unread:
        found = found.where(Notice.read_at.is_(None))
    items = [NoticeOut.model_validate(row) for row in session.scalars(found)]
    next_cursor = items[limit - 1].id if len(items) > limit else None
    return NoticePage(items=items[:limit], unread=unread_of(session, [actor.user_id])[actor.user_id], next_cursor=next_cursor)


def mark_read(session: Session, actor: Actor, ids: Collection[str] | None, until: int | None = None) -> int:
    """Mark one's notices read: those of ``ids``, or all up to position ``until``, or all. Returns how many are still unread."""
    mine = update(Notice).where(Notice.user_id == actor.user_id, Notice.read_at.is_(None))
    if ids is not None:
        mine = mine.where(Notice.id.in_(list(ids)))
    if until is not None:
        mine = mine.where(Notice.position <= until)
    session.execute(mine.values(read_at=utc_now()))
    return unread_of(session, [actor.user_id])[actor.user_id]


def unread_of(session: Session, user_ids: Collection[str]) -> Mapping[str, int]:
    counted = select(Notice.user_id, func.count().label("unread")).where(Notice.user_id.in_(list(user_ids)), Notice.read_at.is_(None))
    found = {row.user_id: row.unread for row in session.execute(counted.group_by(Notice.user_id))}
    return {user_id: found.get(user_id, 0) for user_id in user_ids}


def told_between(session: Session, after: int, until: int) -> Mapping[str, int]:
    """The unread counts of those who got a notice at positions in (after, until]."""
    users = session.scalars(select(Notice.user_id).where(Notice.position > after, Notice.position <= until).distinct()).all()
    return unread_of(session, users) if users else {}


def waiting(session: Session, limit: int = 50) -> list[Outgoing]:
    """What a channel has to carry out next, oldest first. To be called in ``database.serialised()``, so that no two drain the same."""
    due = or_(Outgoing.not_before.is_(None), Outgoing.not_before <= now_of(session))
    found = select(Outgoing).where(Outgoing.drained_at.is_(None), due).order_by(Outgoing.created_at, Outgoing.notice_id)
    return list(session.scalars(found.limit(limit)))


def drained(outgoing: Outgoing) -> None:
    outgoing.drained_at = utc_now()


def not_drained(session: Session, outgoing: Outgoing) -> None:
    """Try again later, and ever later."""
    outgoing.tries += 1
    wait_seconds = min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * 2 ** (outgoing.tries - 1))
    outgoing.not_before = now_of(session) + timedelta(seconds=wait_seconds)
