"""The events of jobs: written once, in one order, and read again by anyone from any position."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Select, Table, select
from sqlalchemy.orm import Session

from kargah.contract.events import Asked, Event, Queued
from kargah.jobs import blocks, notices, positions
from kargah.jobs.curves import curve, life_cycle, steps
from kargah.jobs.positions import latest_position
from kargah.jobs.schemas import EventOut
from kargah.jobs.tables import EVENTS, EventRow, Job, StepBlock
from kargah.store import wake
from kargah.store.access import Actor, visible_to
from kargah.store.rows import Rows

__all__ = ["append", "append_lines", "curve", "events_after", "latest_position", "life_cycle", "steps"]


def append(session: Session, job: Job, *events: Event) -> int:
    """Write the scheduler's own events of ``job``, which is locked by, or new in, this transaction. Returns the last position."""
    return append_lines(session, job, 0, [(None, event) for event in events])


def append_lines(session: Session, job: Job, attempt: int, lines: Sequence[tuple[int | None, Event]]) -> int:
    """Write events of an attempt, each with its line in ``events.jsonl``; a line that is there already is an IntegrityError."""
    return append_batches(session, [(job, attempt, lines)])


def append_batches(
    session: Session,
    batches: Sequence[tuple[Job, int, Sequence[tuple[int | None, Event]]]],
    *beside: tuple[Table, Rows],
    counted: bool = False,
) -> int:
    """As ``append_lines``, of several jobs at once; each job comes once. ``counted``: these are in the jobs' ``last_seq`` already.
    ``beside``: rows of other tables that are written with them.
    """
    count = sum(len(lines) for _, _, lines in batches)
    if not count:
        return latest_position(session)
    with session.no_autoflush:  # what is pending of the jobs is none of these statements' business, and is written once
        rows: list[dict[str, Any]] = []
        said = []
        for job, attempt, lines in batches:
            for seq, (line, event) in enumerate(lines, job.last_seq + 1 - (len(lines) if counted else 0)):
                rows.append(_row(job, attempt, line, event, len(rows), seq))
                said.append((job, event))
            if not counted:
                job.last_seq += len(lines)
        first = positions.insert_in_order(session, count, (EVENTS, rows), *beside, *notices.of_events(session, said))
    if any(isinstance(event, Queued | Asked) for _, event in said):
        wake.after_commit(session)
    return first + count - 1


def events_after(
    session: Session,
    position: int,
    *,
    job_id: str | None = None,
    job_ids: Collection[str] | None = None,
    workspace_ids: Iterable[str] | None = None,
    actor: Actor | None = None,
    limit: int = 500,
) -> list[EventOut]:
    """The next events in order, sealed ones included: of one job or some, of workspaces, of what ``actor`` may see, or of all."""
    wanted = [job_id] if job_id is not None else job_ids

    def narrowed(query: Select[Any], column: Any) -> Select[Any]:
        if wanted is not None:
            query = query.where(column.in_(list(wanted)))
        if workspace_ids is not None or actor is not None:
            query = query.join(Job, Job.id == column)
        if workspace_ids is not None:
            query = query.where(Job.workspace_id.in_(list(workspace_ids)))
        return query if actor is None else query.where(visible_to(actor, Job))

    hot = select(EventRow).where(EventRow.position > position).order_by(EventRow.position).limit(limit)
    # Rows first, blocks after: what is sealed between the two readings is then seen twice, never lost.
    found = {row.position: blocks.event_of(row) for row in session.scalars(narrowed(hot, EventRow.job_id))}
    sealed = select(StepBlock).where(StepBlock.last_position > position).order_by(StepBlock.first_position)
    for event in _unsealed(session, narrowed(sealed, StepBlock.job_id), position, limit):
        found[event.position] = event
    return [found[place] for place in sorted(found)[:limit]]


def _row(job: Job, attempt: int, line: int | None, event: Event, position: int, seq: int) -> dict[str, Any]:
    payload = event.model_dump(mode="json", exclude={"kind", "at"})
    return {
        "position": position, "job_id": job.id, "seq": seq, "attempt": attempt, "line": line,
        "kind": event.kind, "at": event.at, "payload": payload,
    }  # fmt: skip


def _unsealed(session: Session, query: Select[Any], position: int, limit: int) -> Iterator[EventOut]:
    """At least the first ``limit`` sealed events after ``position``; blocks of several jobs may overlap."""
    places: list[int] = []
    for block in session.scalars(query.execution_options(yield_per=4)):
        if len(places) >= limit and block.first_position > sorted(places)[limit - 1]:
            return
        for event in blocks.events_of(block, after=position):
            places.append(event.position)
            yield event
