"""A job's metrics over its steps, as they count today: later points of superseded attempts are left out."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.jobs import blocks, positions
from kargah.jobs.schemas import Curve, EventOut, StepPoint
from kargah.jobs.tables import EventRow, StepBlock

Point = tuple[int, float]
#: (seq, payload) of a Step or an Evaluated.
Said = tuple[int, dict[str, Any]]
#: The first and the last step of a part.
Span = tuple[float, float]
WHOLE: Span = (float("-inf"), float("inf"))


class Cuts:
    """Where later attempts went on from: a point said before a cut counts only if its step is not beyond it."""

    def __init__(self, resumptions: Sequence[tuple[int, int]]) -> None:
        """``resumptions``: (seq, from_step), in the order of seq."""
        self._seqs = [seq for seq, _ in resumptions]
        self._limits: list[float] = [float("inf")]
        for _, from_step in reversed(resumptions):
            self._limits.append(min(from_step, self._limits[-1]))
        self._limits.reverse()

    def last_step_that_counts(self, seq: int) -> float:
        return self._limits[bisect_right(self._seqs, seq)]

    def keep(self, seq: int, step: int) -> bool:
        return step <= self.last_step_that_counts(seq)


def life_cycle(session: Session, job_id: str, *kinds: str) -> list[EventOut]:
    """All events of these kinds (any but Step), in order."""
    query = select(EventRow).where(EventRow.job_id == job_id, EventRow.kind.in_(kinds)).order_by(EventRow.seq)
    return [blocks.event_of(row) for row in session.scalars(query)]


def cuts_of(session: Session, job_id: str) -> Cuts:
    """From ``Resumed``; an attempt after the first that runs without having said it began at the beginning."""
    said = life_cycle(session, job_id, "Resumed", "Running")
    resumed = {event.attempt for event in said if event.kind == "Resumed"}
    return Cuts([
        (event.seq, event.payload["from_step"] if event.kind == "Resumed" else 0)
        for event in said
        if event.kind == "Resumed" or (event.attempt > 1 and event.attempt not in resumed)
    ])  # fmt: skip


def steps(session: Session, job_id: str) -> list[StepPoint]:
    """All steps that count, in the order of step, each as it was said last."""
    cuts = cuts_of(session, job_id)
    kept: dict[int, StepPoint] = {}
    for event in _all_steps(session, job_id):
        if cuts.keep(event.seq, event.payload["step"]):
            point = StepPoint(seq=event.seq, attempt=event.attempt, at=event.at, **event.payload)
            kept[point.step] = point
    return [kept[step] for step in sorted(kept)]


def curve(session: Session, job_id: str, keys: Iterable[str] | None = None, max_points: int = 1000, within: Span = WHOLE) -> Curve:
    """Metrics of steps and of evaluations of the model itself, at most ``max_points`` a series (least and greatest kept).

    A part longer than that is drawn from the summaries of its sealed blocks, so that any length opens in about the same time.
    ``within``: the first and the last step that are wanted.
    """
    position = positions.latest_position(session)
    cuts = cuts_of(session, job_id)
    hot = _said(session, job_id, "Step")
    sealed = [block for block in _outlines(session, job_id) if block.first_step <= within[1] and block.last_step >= within[0]]
    is_long = sum(block.count_within(within) for block in sealed) + len(hot) > max_points
    found = chain(
        _sealed_values(session, job_id, sealed, cuts, in_full=not is_long), _values(hot, cuts), _evaluation_values(session, job_id, cuts)
    )
    series: dict[str, dict[int, float]] = defaultdict(dict)
    for key, step, value in found:
        series[key][step] = value
    wanted = series.keys() if keys is None else series.keys() & set(keys)
    drawn = {key: thin(points, max_points) for key in sorted(wanted) if (points := _within(series[key], within))}
    return Curve(series=drawn, position=position, thinned=is_long)


def _within(points: dict[int, float], within: Span) -> list[Point]:
    """In the order of steps."""
    first, last = within
    return sorted(point for point in points.items() if first <= point[0] <= last)


def thin(points: Sequence[Point], max_points: int) -> list[Point]:
    """Keep the least and the greatest of each bucket, and both ends."""
    if len(points) <= max(max_points, 4):
        return list(points)
    kept = {points[0], points[-1]}
    for bucket in blocks.parts(points, max(1, (max_points - 2) // 2)):
        kept |= {min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])}
    return sorted(kept)


def _all_steps(session: Session, job_id: str) -> Iterator[EventOut]:
    hot = session.scalars(select(EventRow).where(EventRow.job_id == job_id, EventRow.kind == "Step").order_by(EventRow.seq)).all()
    for block in session.scalars(select(StepBlock).where(StepBlock.job_id == job_id).order_by(StepBlock.first_seq)):
        yield from blocks.events_of(block)
    yield from map(blocks.event_of, hot)


@dataclass(frozen=True)
class Outline:
    """A sealed block without its content, which is unpacked only where it is drawn in full."""

    first_seq: int
    last_seq: int
    count: int
    summary: dict[str, Any]

    @property
    def first_step(self) -> int:
        return int(self.summary["first_step"])

    @property
    def last_step(self) -> int:
        return int(self.summary["last_step"])

    def count_within(self, within: Span) -> float:
        """At most so many of its steps lie there."""
        return min(self.count, min(self.last_step, within[1]) - max(self.first_step, within[0]) + 1)


def _sealed_values(
    session: Session, job_id: str, sealed: Sequence[Outline], cuts: Cuts, *, in_full: bool
) -> Iterator[tuple[str, int, float]]:
    """(metric, step, value), from summaries where a block counts as a whole, unless all is wanted ``in_full``."""
    for outline in sealed:
        if not in_full and outline.last_step <= cuts.last_step_that_counts(outline.first_seq):
            yield from _summary_values(outline.summary)
        elif outline.first_step <= cuts.last_step_that_counts(outline.last_seq):
            block = session.get_one(StepBlock, (job_id, outline.first_seq))
            yield from _values(blocks.points_of(block), cuts)


def _said(session: Session, job_id: str, kind: str) -> list[Said]:
    """Only what a curve needs of each event: rows as objects would cost more than all the rest."""
    columns = select(EventRow.seq, EventRow.payload).where(EventRow.job_id == job_id, EventRow.kind == kind)
    return [(seq, payload) for seq, payload in session.execute(columns.order_by(EventRow.seq))]


def _outlines(session: Session, job_id: str) -> list[Outline]:
    columns = (StepBlock.first_seq, StepBlock.last_seq, StepBlock.count, StepBlock.summary)
    rows = session.execute(select(*columns).where(StepBlock.job_id == job_id).order_by(StepBlock.first_seq))
    return [Outline(*row) for row in rows]


def _summary_values(summary: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    for key, buckets in summary["metrics"].items():
        for step_of_min, least, step_of_max, greatest, *_ in buckets:
            yield key, step_of_min, least
            yield key, step_of_max, greatest


def _evaluation_values(session: Session, job_id: str, cuts: Cuts) -> Iterator[tuple[str, int, float]]:
    return _values(((seq, said) for seq, said in _said(session, job_id, "Evaluated") if said.get("model") == "model"), cuts)


def _values(events: Iterable[Said], cuts: Cuts) -> Iterator[tuple[str, int, float]]:
    for seq, payload in events:
        if cuts.keep(seq, payload["step"]):
            for key, value in payload["metrics"].items():
                if value is not None:
                    yield key, payload["step"], value
