"""Old step events, sealed: many rows become one compressed row that says the same."""

import json
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from kargah.jobs.schemas import EventOut
from kargah.jobs.tables import EventRow, Job, StepBlock
from kargah.kit.clock import iso

BLOCK_STEPS = 1024
HOT_STEPS = 4096
BUCKETS = 64


def seal(session: Session, job: Job, *, all_of_it: bool) -> int:
    """Seal the oldest steps of ``job`` (locked) into one block. Returns how many; 0 when nothing is to be sealed.

    Everything when the job is over (``all_of_it``), else only what lies beyond the last HOT_STEPS.
    """
    query = select(EventRow).where(EventRow.job_id == job.id, EventRow.kind == "Step").order_by(EventRow.seq)
    if not all_of_it and _hot_count(session, job.id) <= HOT_STEPS:
        return 0
    rows = session.scalars(query.limit(BLOCK_STEPS)).all()
    if rows:
        session.add(_block(job.id, rows))
        session.execute(delete(EventRow).where(EventRow.position.in_([row.position for row in rows])))
    return len(rows)


def event_of(row: EventRow) -> EventOut:
    return EventOut.model_construct(
        position=row.position, job_id=row.job_id, seq=row.seq, attempt=row.attempt, kind=row.kind, at=row.at, payload=row.payload
    )


def events_of(block: StepBlock, after: int = 0) -> Iterator[EventOut]:
    """Those at positions > ``after``."""
    for line in zlib.decompress(block.content).splitlines():
        if int(line[1 : line.index(b",")]) <= after:  # its position, without reading the rest
            continue
        position, seq, attempt, _, at, payload = json.loads(line)
        moment = datetime.fromisoformat(at)
        yield EventOut.model_construct(
            position=position, job_id=block.job_id, seq=seq, attempt=attempt, kind="Step", at=moment, payload=payload
        )


def points_of(block: StepBlock) -> Iterator[tuple[int, dict[str, Any]]]:
    """(seq, payload) of each event, for those who need no more."""
    for line in zlib.decompress(block.content).splitlines():
        _, seq, _, _, _, payload = json.loads(line)
        yield seq, payload


def _hot_count(session: Session, job_id: str) -> int:
    return session.scalar(select(func.count()).where(EventRow.job_id == job_id, EventRow.kind == "Step")) or 0


def _block(job_id: str, rows: Sequence[EventRow]) -> StepBlock:
    lines = [
        json.dumps([row.position, row.seq, row.attempt, row.line, iso(row.at), row.payload], separators=(",", ":"), ensure_ascii=False)
        for row in rows
    ]
    return StepBlock(
        job_id=job_id,
        first_seq=rows[0].seq,
        last_seq=rows[-1].seq,
        first_position=rows[0].position,
        last_position=rows[-1].position,
        count=len(rows),
        content=zlib.compress("\n".join(lines).encode(), 6),
        summary=summarise([(row.payload["step"], row.payload["metrics"]) for row in rows]),
    )


def summarise(points: Sequence[tuple[int, dict[str, float | None]]]) -> dict[str, Any]:
    """{first_step, last_step, metrics: {key: [[step of min, min, step of max, max, mean, last step, last] …]}}."""
    steps = [step for step, _ in points]
    series: dict[str, list[tuple[int, float]]] = {}
    for step, metrics in points:
        for key, value in metrics.items():
            if value is not None:
                series.setdefault(key, []).append((step, value))
    return {
        "first_step": min(steps),
        "last_step": max(steps),
        "metrics": {key: [_bucket(part) for part in parts(found, BUCKETS)] for key, found in series.items()},
    }


def parts(points: Sequence[tuple[int, float]], count: int) -> Iterator[Sequence[tuple[int, float]]]:
    """At most ``count`` runs of neighbours of about the same length."""
    count = min(count, len(points))
    for index in range(count):
        yield points[index * len(points) // count : (index + 1) * len(points) // count]


def _bucket(points: Sequence[tuple[int, float]]) -> list[float]:
    low, high = min(points, key=lambda point: point[1]), max(points, key=lambda point: point[1])
    mean = sum(value for _, value in points) / len(points)
    return [*low, *high, mean, *points[-1]]
