"""Who runs next: by priority, then each owner in turn, as long as there is room. No two agents look at once."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, Text, bindparam, cast, exists, func, literal_column, or_, select
from sqlalchemy.orm import Session

from kargah.contract.events import Claimed, Waiting
from kargah.jobs import history, states
from kargah.jobs.cards import CardsWanted
from kargah.jobs.resources import Grant, Lack, Room, Wants, free_memory_bytes, room_of, running_on
from kargah.jobs.states import State
from kargah.jobs.tables import ATTEMPTS, DEPENDENCIES, JOBS, Attempt, Job
from kargah.jobs.terms import Terms, estimated_memory_bytes
from kargah.kit.clock import utc_now
from kargah.store.database import began_at, now_of

LOOKED_AT = 100
#: Those who wait for these keep nobody behind them from starting.
NOT_FOR_ROOM = frozenset({"USER_LIMIT", "TIME_WINDOW", "GPUS_ABSENT", "GPUS_ABSENT_OF"})
#: Written out, not bound: only so can a database know that its index of queued jobs is enough.
IS_QUEUED = JOBS.c.state == literal_column(f"'{State.QUEUED}'")
_OWNERS_AT_BOTH_ENDS = select(*(select(end(JOBS.c.owner_id)).where(IS_QUEUED).scalar_subquery() for end in (func.min, func.max)))


@dataclass(frozen=True)
class Seat:
    """An agent's place: who it is, on which host, and what it may give out. ``memory_bytes`` null: memory is not counted.
    ``gpus``: the memory of each by its id, 0 where nobody knows.

    ``jobs_per_user``: how many of one user's jobs may run at once on all hosts, light ones aside.
    """

    agent_id: str
    host: str
    boot_id: str
    cores: int
    job_threads: int | None
    lease_seconds: float
    kinds: frozenset[str]
    light_kinds: frozenset[str] = frozenset()
    memory_bytes: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    jobs_per_user: int | None = None
    free_memory: Callable[[], int] = free_memory_bytes


@dataclass
class Look:
    """What one look at the queue led to: the jobs claimed, each with what it gets; why others must wait, and of whom to say so.

    ``leaves_some``: more are due than were claimed.
    """

    claims: list[tuple[Job, Grant]] = field(default_factory=list)
    waiting: dict[str, Lack] = field(default_factory=dict)
    news: list[str] = field(default_factory=list)
    leaves_some: bool = False

    @property
    def claimed(self) -> Job | None:
        return self.claims[0][0] if self.claims else None

    @property
    def grant(self) -> Grant | None:
        return self.claims[0][1] if self.claims else None


def claim_next(session: Session, seat: Seat, left_alone: frozenset[str] = frozenset(), at_most: int = 1) -> Look:
    """To be called in ``database.serialised()``. ``left_alone``: jobs whose last attempt is still on its way out.

    A claim changes no turns (who leaves the line is one more that runs), so one look is enough for as many as there is room for.
    """
    line = _Line(session, seat, left_alone)
    look, granted = Look(), dict[str, Grant]()
    for row in line.queue:
        answer = line.answer(row)
        if isinstance(answer, Grant):
            line.take(row, answer)
            granted[row.id] = answer
            if len(granted) == at_most:
                break
        elif isinstance(answer, Lack):
            look.waiting[row.id] = answer
            if _is_news(json.loads(row.waiting) if row.waiting else None, answer):
                look.news.append(row.id)
            if answer.code not in NOT_FOR_ROOM:
                line.keep_room_for(row)
    if granted:
        look.claims = [(job, granted[job.id]) for job in _claim(session, seat, line.now, granted)]
    look.leaves_some = len(line.queue) > len(granted)
    return look


class _Line:
    """Those that are due, in turn, and the room that is left for them as one after the other is answered."""

    def __init__(self, session: Session, seat: Seat, left_alone: frozenset[str]) -> None:
        self.now = began_at(session)
        self._seat = seat
        terms = {"kinds": sorted(seat.kinds), "now": self.now}
        self.queue = [row for row in _in_turn(session, terms) if row.id not in left_alone]
        self._heavy = [row for row in self.queue if row.kind not in seat.light_kinds]
        self._active = _active_of_owners(session, seat) if self._heavy else Counter()
        self._waiting = Counter(row.owner_id for row in self._heavy)
        running = running_on(session, seat.host, seat.light_kinds)
        free_bytes = 0 if seat.memory_bytes is None else seat.free_memory()
        self._room = room_of(seat.cores, seat.memory_bytes, free_bytes, seat.gpus, running)
        self._wants = _wants(session, seat, self._heavy, self._room)

    def answer(self, row: Row[Any]) -> Grant | Lack | None:
        """What one queued job gets, or why not; None for a light one that waits its short while."""
        window = Terms.model_validate_json(row.terms).window if '"window"' in row.terms else None
        if window is not None and not window.is_open(self.now):
            return Lack("TIME_WINDOW", {"opens_at": window.opens_at(self.now).isoformat()})
        if row.id not in self._wants:
            return Grant(1) if self._room.light > 0 else None
        if self._is_full(row.owner_id):
            return Lack("USER_LIMIT", {"limit": self._seat.jobs_per_user})
        sharing = sum(count for owner_id, count in self._waiting.items() if not self._is_full(owner_id))
        return self._room.grant(self._wants[row.id], sharing)

    def take(self, row: Row[Any], grant: Grant) -> None:
        is_light = row.id not in self._wants
        self._room = self._room.after(grant, is_light)
        if not is_light:
            self._active[row.owner_id] += 1
            self._waiting[row.owner_id] -= 1

    def keep_room_for(self, row: Row[Any]) -> None:
        self._room = self._room.without(self._wants[row.id])

    def _is_full(self, owner_id: str) -> bool:
        return self._seat.jobs_per_user is not None and self._active[owner_id] >= self._seat.jobs_per_user


def say_waiting(session: Session, job_id: str, code: str, params: dict[str, Any]) -> None:
    """Each reason once, however long it takes; its figures are kept fresh for lists."""
    job = states.lock(session, job_id)
    if job.state != State.QUEUED:
        return
    said = (job.waiting or {}).get("code")
    job.waiting = {"code": code, "params": params}
    if code == "TIME_WINDOW":
        job.not_before = datetime.fromisoformat(params["opens_at"])  # so that no claim looks at it before
    if said != code:
        history.append(session, job, Waiting(at=utc_now(), code=code, params=params))


def _is_news(waiting: dict[str, Any] | None, lack: Lack) -> bool:
    """Whether people should be told: another reason, or a forecast that has moved by more than a tenth."""
    if waiting is None or waiting["code"] != lack.code:
        return True
    before, now = waiting["params"].get("about_seconds"), lack.params.get("about_seconds")
    return before is not None and now is not None and abs(now - before) > max(5.0, before / 10)


def has_queue(session: Session, seat: Seat) -> bool:
    """Whether a claim is worth the lock."""
    kinds = {"kinds": sorted(seat.kinds)}
    if session.get_bind().dialect.name == "sqlite":  # whose own word for the present knows whole seconds only
        return session.scalar(_ANY, {**kinds, "now": now_of(session)}) is not None
    return session.scalar(_ANY_NOW, kinds) is not None


def unfinished_dependency() -> Any:
    """The condition that a job waits for another, for a query over jobs."""
    before = JOBS.alias()
    waits_for = (DEPENDENCIES.c.job_id == JOBS.c.id, before.c.id == DEPENDENCIES.c.after_id)
    return exists().where(*waits_for, before.c.state != State.COMPLETED)


def _in_turn(session: Session, terms: dict[str, Any]) -> Sequence[Row[Any]]:
    """Most often one owner is alone in the line: no turns need be reckoned, and the order can be read from an index."""
    rows = session.execute(_OF_ONE_OWNER, terms).all()
    are_all = len(rows) < LOOKED_AT
    owners = {row.owner_id for row in rows} if are_all else set(session.execute(_OWNERS_AT_BOTH_ENDS).one())
    return session.execute(_OF_MANY_OWNERS, terms).all() if len(owners) > 1 else rows


def _of_one_owner() -> Select[Any]:
    return _due(*_LOOKED_AT).order_by(JOBS.c.priority.desc(), JOBS.c.place, JOBS.c.queued_at, JOBS.c.id).limit(LOOKED_AT)


def _of_many_owners() -> Select[Any]:
    """Within a priority owners take turns: one who has little running goes before one who has much."""
    active = select(JOBS.c.owner_id, func.count().label("jobs")).where(JOBS.c.state.in_(states.ACTIVE)).group_by(JOBS.c.owner_id).subquery()
    own = func.row_number().over(partition_by=(JOBS.c.priority, JOBS.c.owner_id), order_by=(JOBS.c.place, JOBS.c.queued_at, JOBS.c.id))
    turn = own + func.coalesce(active.c.jobs, 0)
    due = _due(*_LOOKED_AT).outerjoin(active, active.c.owner_id == JOBS.c.owner_id)
    return due.order_by(JOBS.c.priority.desc(), turn, JOBS.c.place, JOBS.c.queued_at, JOBS.c.id).limit(LOOKED_AT)


def _due(*columns: Any, now: Any = None) -> Select[Any]:
    """For execution with ``kinds`` and, unless it is given here, ``now``."""
    now = bindparam("now", type_=JOBS.c.not_before.type) if now is None else now
    due = or_(JOBS.c.not_before.is_(None), JOBS.c.not_before <= now)
    return select(*columns).where(IS_QUEUED, JOBS.c.kind.in_(bindparam("kinds", expanding=True)), due, ~unfinished_dependency())


# As text: of a hundred that are looked at few are read so far.
_TERMS, _WAITING = (cast(told, Text).label(told.key) for told in (JOBS.c.terms, JOBS.c.waiting))
# Put together once: making a statement costs more than executing it.
_LOOKED_AT = (JOBS.c.id, JOBS.c.kind, JOBS.c.owner_id, JOBS.c.threads_wanted, JOBS.c.attempt, _TERMS, _WAITING)
_OF_ONE_OWNER, _OF_MANY_OWNERS = _of_one_owner(), _of_many_owners()
_ANY, _ANY_NOW = _due(JOBS.c.id).limit(1), _due(JOBS.c.id, now=func.now()).limit(1)


def _active_of_owners(session: Session, seat: Seat) -> Counter[str]:
    if seat.jobs_per_user is None:
        return Counter()
    active = select(Job.owner_id, func.count().label("jobs")).where(Job.state.in_(states.ACTIVE), Job.kind.not_in(seat.light_kinds))
    return Counter({row.owner_id: row.jobs for row in session.execute(active.group_by(Job.owner_id))})


def _wants(session: Session, seat: Seat, heavy: Sequence[Row[Any]], room: Room) -> dict[str, Wants]:
    """By job. One that goes on gets what it began with: other counts of threads change the last bits."""
    terms = {row.id: Terms.model_validate_json(row.terms) for row in heavy}
    counts = seat.memory_bytes is not None and room.free_cores > 0  # without a core nobody's memory matters
    guessed = [job_id for job_id, its in terms.items() if its.memory_bytes is None] if counts else []
    guesses = _guessed_memory_bytes(session, guessed)
    begun = _first_attempts(session, [row.id for row in heavy if row.attempt])
    wants = {}
    for row in heavy:
        its = terms[row.id]
        threads, gpus = begun.get(row.id, (row.threads_wanted or seat.job_threads, its.gpus_wanted(bool(seat.gpus))))
        if its.gpus is None and its.gpu_memory_bytes is None and not seat.gpus:
            gpus = 0  # it began with one that it had not asked for: it goes on without
        of_gpus = CardsWanted(gpus, its.gpu_memory_bytes)
        wants[row.id] = Wants(threads, its.memory_bytes or guesses.get(row.id, 0), of_gpus, its.memory_bytes is None)
    return wants


def _guessed_memory_bytes(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    if not job_ids:
        return {}
    plans = session.execute(select(Job.id, Job.plan).where(Job.id.in_(job_ids)))
    return {job_id: estimated_memory_bytes(sum(file.get("size_bytes", 0) for file in plan.get("inputs", []))) for job_id, plan in plans}


def _first_attempts(session: Session, job_ids: Sequence[str]) -> dict[str, tuple[int | None, int]]:
    if not job_ids:
        return {}
    first = select(Attempt.job_id, Attempt.threads, Attempt.gpus).where(Attempt.job_id.in_(job_ids), Attempt.number == 1)
    return {job_id: (threads, len(gpus)) for job_id, threads, gpus in session.execute(first)}


def _claim(session: Session, seat: Seat, now: datetime, grants: Mapping[str, Grant]) -> list[Job]:
    """Those of ``grants`` that are still queued, in its order: one may have been stopped a moment ago."""
    until = now + timedelta(seconds=seat.lease_seconds)
    jobs = states.start(session, list(grants), seat.agent_id, now, until)
    if jobs:
        at = utc_now()
        attempts = [
            {
                "job_id": job.id, "number": job.attempt, "host": seat.host, "boot_id": seat.boot_id, "threads": grants[job.id].threads,
                "memory_bytes": grants[job.id].memory_bytes, "gpus": grants[job.id].gpus, "offset_bytes": 0, "line": 0, "created_at": at,
            }
            for job in jobs
        ]  # fmt: skip
        said = {job.id: Claimed(at=at, attempt=job.attempt, threads=grants[job.id].threads) for job in jobs}
        history.append_batches(session, [(job, 0, [(None, said[job.id])]) for job in jobs], (ATTEMPTS, attempts), counted=True)
    return jobs
