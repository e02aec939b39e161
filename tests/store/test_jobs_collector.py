"""The collector: each line once, whatever happens in between; and nothing that a worker writes stops it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session
from support.agents import seat, trades

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event
from kargah.contract.wire import EventWriter
from kargah.jobs import claims, history, rescue, service, states
from kargah.jobs.afterwards import tell_ends
from kargah.jobs.collector import BATCH_LINES, Collector, Place
from kargah.jobs.states import Fence, LeaseLost
from kargah.jobs.supervision import hold
from kargah.jobs.tables import Attempt, EventRow, Job
from kargah.kit.errors import DiskFull
from kargah.store.access import Actor
from kargah.store.database import Database


class Started:
    """A claimed job whose worker is this test."""

    def __init__(self, database: Database, actor: Actor, home: Path, **known: Any) -> None:
        self.database, self.actor = database, actor
        mine = seat()
        with database.serialised() as session:
            self.job_id = service.submit(session, actor, "count", "count", {}).id
        with database.serialised() as session:
            claims.claim_next(session, mine)
        self.fence = Fence(1, mine.agent_id)
        self.directory = AttemptDirectory.of(home, self.job_id, 1)
        self.worker = EventWriter(self.directory.events)
        self.held = hold(home, self.job_id, "count", self.fence)
        self.collector = Collector(database, home, trades(**known))

    def carry(self) -> int:
        return self.collector.carry(self.held)

    def carry_all(self) -> None:
        while self.carry():
            pass

    def step(self, number: int) -> None:
        self.worker.write("Step", step=number, epoch=0.0, metrics={"loss": 1 / number})

    def job(self) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, self.job_id)

    def steps(self) -> list[int]:
        with self.database.read() as session:
            events = history.events_after(session, 0, job_id=self.job_id, limit=100_000)
        return [event.payload["step"] for event in events if event.kind == "Step"]


def test_what_runs_and_checkpoints_read_of_a_job_comes_with_its_lock(database: Database, actor: Actor, tmp_path: Path) -> None:
    """Each column that does not is asked for with every batch of every training."""
    started = Started(database, actor, tmp_path)
    with database.write() as session:
        job, attempt = states.lock_attempts(session, {started.job_id: started.fence})[started.job_id]
        read = {"kind", "title", "state", "owner_id", "workspace_id", "visibility", "started_at", "finished_at", "progress", "last_seq"}
        assert not inspect(job).unloaded & read
        assert not inspect(attempt).unloaded & {"offset_bytes", "line", "ended_at", "outcome"}


@pytest.fixture
def started(database: Database, actor: Actor, tmp_path: Path) -> Started:
    return Started(database, actor, tmp_path)


def test_every_line_is_carried_once_in_batches(started: Started) -> None:
    for number in range(1, 2 * BATCH_LINES + 2):
        started.step(number)
    started.carry_all()
    assert started.steps() == list(range(1, 2 * BATCH_LINES + 2))
    assert started.carry() == 0


def test_a_collector_that_dies_in_a_batch_leaves_no_trace_of_it(database: Database, actor: Actor, tmp_path: Path) -> None:
    started = Started(database, actor, tmp_path)
    for number in range(1, 8):
        started.step(number)

    class Dead(BaseException):
        pass

    def die(session: Session, told: Sequence[tuple[Job, Sequence[Event]]]) -> None:
        raise Dead

    known = trades()
    doomed = Collector(database, tmp_path, type(known)(known.by_kind, known.lay_out, [die]))
    with pytest.raises(Dead):
        doomed.carry(started.held)
    assert started.steps() == []
    started.carry_all()
    assert started.steps() == list(range(1, 8))


def test_a_collector_that_forgot_its_place_doubles_nothing(started: Started) -> None:
    started.step(1)
    started.carry_all()
    started.step(2)
    started.held.place = Place()
    started.carry_all()
    assert started.steps() == [1, 2]


def test_an_unterminated_line_is_not_carried(started: Started) -> None:
    started.step(1)
    with started.directory.events.open("ab") as file:
        file.write(b'{"kind":"Step","step":2')
    started.carry_all()
    assert started.steps() == [1]


@pytest.mark.parametrize("line", [b"", b"\xff\xfe\0", b"[]", b'{"kind":"Nonsense"}', b'{"kind":"Queued","at":"2026-01-01T00:00:00Z"}'])
def test_a_line_that_is_no_event_becomes_a_warning(started: Started, line: bytes) -> None:
    with started.directory.events.open("ab") as file:
        file.write(line + b"\n")
    started.step(1)
    started.carry_all()
    with started.database.read() as session:
        (warning,) = history.life_cycle(session, started.job_id, "Logged")
    assert (warning.payload["level"], warning.payload["code"], warning.payload["params"]["line"]) == ("warning", "job.unreadable_line", 1)
    assert started.steps() == [1]


def test_a_line_longer_than_a_reading_is_carried(started: Started) -> None:
    started.worker.write("Logged", level="info", code="x", params={"text": "ی" * (3 << 20)})
    started.step(1)
    started.carry_all()
    assert started.steps() == [1]


def test_the_events_of_a_worker_move_its_job(started: Started) -> None:
    seen = []
    for kind, fields in (
        ("Started", {"pid": 1, "threads": 1}),
        ("Running", {"total_steps": 4}),
        ("Step", {"step": 1, "epoch": 0.25, "metrics": {"loss": 2.0}}),
        ("Finished", {"result": {"steps": 4}}),
    ):
        started.worker.write(kind, **fields)
        started.carry_all()
        job = started.job()
        seen.append((job.state, job.progress.get("percent")))
    assert seen == [("LOADING", None), ("RUNNING", None), ("RUNNING", 25.0), ("COMPLETED", 100.0)]
    assert started.job().result == {"steps": 4} and started.job().finished_at is not None


def test_a_worker_may_finish_without_having_said_that_it_runs(started: Started) -> None:
    started.worker.write("Finished", result={})
    started.carry_all()
    assert started.job().state == "COMPLETED"


def test_a_stale_agent_carries_nothing(started: Started) -> None:
    started.step(1)
    with started.database.write() as session:
        session.get_one(Job, started.job_id).lease_owner = "agent_new"
    with pytest.raises(LeaseLost):
        started.carry()
    assert started.steps() == []


def test_a_result_that_cannot_be_kept_fails_the_job_with_its_reason(database: Database, actor: Actor, tmp_path: Path) -> None:
    def project(session: Session, home: Path, job: Job, event: Event) -> None:
        if event.kind == "Finished":
            job.title = "must not stay"
            session.flush()
            raise DiskFull(needed_bytes=2, free_bytes=1)

    started = Started(database, actor, tmp_path, project=project)
    started.worker.write("Finished", result={})
    started.carry_all()
    job = started.job()
    assert (job.state, job.error, job.title) == ("FAILED", {"code": "DISK_FULL", "params": {"needed_bytes": 2, "free_bytes": 1}}, "count")
    with database.read() as session:
        assert [row.kind for row in session.scalars(select(EventRow).where(EventRow.attempt == 1))] == ["Failed"]


def test_what_a_domain_stores_and_the_completed_state_are_one_transaction(database: Database, actor: Actor, tmp_path: Path) -> None:
    order: list[str] = []

    def prepare(home: Path, job: Job, event: Event) -> None:
        order.append(f"prepare in {started.job().state}")

    def project(session: Session, home: Path, job: Job, event: Event) -> None:
        if event.kind == "Finished":
            order.append(f"project in {started.job().state}")
            job.result = {"kept": True}

    started = Started(database, actor, tmp_path, prepare=prepare, project=project)
    started.worker.write("Finished", result={})
    started.carry_all()
    assert order == ["prepare in STARTING", "project in STARTING"]
    assert (started.job().state, started.job().result) == ("COMPLETED", {"kept": True})


def test_an_end_that_no_worker_said_is_told_to_the_domain_once(database: Database, actor: Actor, tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    def project(session: Session, home: Path, job: Job, event: Event) -> None:
        heard.append((job.id, event.kind))
        if len(heard) == 2:
            raise DiskFull(needed_bytes=2, free_bytes=1)  # a domain that refuses one must not keep the next from being told

    known = trades(project=project)
    with database.write() as session:
        jobs = [service.submit(session, actor, "count", "count", {}).id for _ in range(3)]
    for job_id in jobs:
        with database.write() as session:
            service.stop(session, actor, job_id)
    seen = tell_ends(database, tmp_path, known, 0)
    tell_ends(database, tmp_path, known, seen)
    tell_ends(database, tmp_path, known, 0)  # an agent that has just started
    assert heard == [(job_id, "Stopped") for job_id in jobs]


def test_the_offset_moves_with_the_rows(started: Started) -> None:
    started.step(1)
    started.step(2)
    started.carry_all()
    with started.database.read() as session:
        attempt = session.get_one(Attempt, (started.job_id, 1))
    assert (attempt.line, attempt.offset_bytes) == (2, started.directory.events.stat().st_size)


def test_attempts_that_are_carried_together_are_carried_each_as_alone(database: Database, actor: Actor, tmp_path: Path) -> None:
    several = [Started(database, actor, tmp_path) for _ in range(2)]
    for number, one in enumerate(several, 1):
        for step in range(1, number + 1):
            one.step(step)
    several[0].worker.write("Finished", result={})
    for _ in range(2):  # the second time there is nothing left
        several[0].collector.carry_together([load(one, is_over=one is several[0]) for one in several if not one.held.place.is_closed])
    assert [one.steps() for one in several] == [[1], [1, 2]]
    assert [one.held.place.is_closed for one in several] == [True, False]
    assert (several[0].job().state, several[0].job().lease_owner) == ("COMPLETED", None)
    with database.read() as session:
        events = history.events_after(session, 0)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    for one in several:
        assert [event.seq for event in events if event.job_id == one.job_id] == list(range(1, one.job().last_seq + 1))


def test_one_bad_attempt_among_several_leaves_no_trace_and_keeps_none_from_being_carried(
    database: Database, actor: Actor, tmp_path: Path
) -> None:
    good, lost = Started(database, actor, tmp_path), Started(database, actor, tmp_path)
    good.step(1)
    lost.step(1)
    with database.write() as session:
        session.get_one(Job, lost.job_id).lease_owner = "agent_new"
    with pytest.raises(LeaseLost):
        good.collector.carry_together([load(good), load(lost)])
    assert good.steps() == [] and good.held.place == Place()
    good.carry_all()
    assert good.steps() == [1] and lost.steps() == []


def load(one: Started, is_over: bool = False) -> tuple[Any, ...]:
    return one.held, partial(rescue.close, held=one.held) if is_over else None
