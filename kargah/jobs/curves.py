"""A job's metrics over its steps, as they count today: later points of superseded attempts are left out."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.jobs import blocks, positions
from kargah.jobs.schemas import Curve, EventOut, StepPoint
from kargah.jobs.tables import EventRow, StepBlock

Point = tuple[int, float]


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


def curve(session: Session, job_id: str, keys: Iterable[str] | None = None, max_points: int = 1000) -> Curve:
    """Metrics of steps and of evaluations of the model itself, at most ``max_points`` a series (least and greatest kept).

    A job longer than that is drawn from the summaries of its sealed blocks, so that any length opens in about the same time.
    """
    position = positions.latest_position(session)
    cuts = cuts_of(session, job_id)
    wanted = None if keys is None else set(keys)
    series: dict[str, dict[int, float]] = {}
    for key, step, value in [*_step_values(session, job_id, cuts, max_points), *_evaluation_values(session, job_id, cuts)]:
        if wanted is None or key in wanted:
            series.setdefault(key, {})[step] = value
    return Curve(series={key: thin(sorted(points.items()), max_points) for key, points in series.items()}, position=position)


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


def _step_values(session: Session, job_id: str, cuts: Cuts, max_points: int) -> Iterator[tuple[str, int, float]]:
    """(metric, step, value), from summaries where a block is kept whole and the job is long."""
    hot = session.scalars(select(EventRow).where(EventRow.job_id == job_id, EventRow.kind == "Step").order_by(EventRow.seq)).all()
    sealed = session.scalar(select(func.coalesce(func.sum(StepBlock.count), 0)).where(StepBlock.job_id == job_id)) or 0
    is_long = sealed + len(hot) > max_points
    for block in session.scalars(select(StepBlock).where(StepBlock.job_id == job_id).order_by(StepBlock.first_seq)):
        if is_long and block.summary["last_step"] <= cuts.last_step_that_counts(block.first_seq):
            yield from _summary_values(block)
        elif block.summary["first_step"] <= cuts.last_step_that_counts(block.last_seq):
            yield from _values(blocks.events_of(block), cuts)
    yield from _values(map(blocks.event_of, hot), cuts)


def _summary_values(block: StepBlock) -> Iterator[tuple[str, int, float]]:
    for key, buckets in block.summary["metrics"].items():
        for step_of_min, least, step_of_max, greatest, *_ in buckets:
            yield key, step_of_min, least
            yield key, step_of_max, greatest


def _evaluation_values(session: Session, job_id: str, cuts: Cuts) -> Iterator[tuple[str, int, float]]:
    evaluated = life_cycle(session, job_id, "Evaluated")
    return _values((event for event in evaluated if event.payload.get("model") == "model"), cuts)


def _values(events: Iterable[EventOut], cuts: Cuts) -> Iterator[tuple[str, int, float]]:
    for event in events:
        if cuts.keep(event.seq, event.payload["step"]):
            for key, value in event.payload["metrics"].items():
                if value is not None:
                    yield key, event.payload["step"], value
