"""One order of all events, the same for all readers, also when old steps have been sealed; and curves that count."""

import threading

import pytest
from sqlalchemy import func, select

from kargah.contract.events import AnyEvent, Event
from kargah.jobs import blocks, history, service, states
from kargah.jobs.tables import EventRow, Job, StepBlock
from kargah.kit.clock import iso, utc_now
from kargah.store.access import Actor
from kargah.store.database import Database


def said(kind: str, **fields: object) -> Event:
    return AnyEvent.validate_python({"kind": kind, "at": iso(utc_now()), **fields})


def step(number: int, loss: float | None = None) -> Event:
    return said("Step", step=number, epoch=0.0, metrics={"loss": 1 / number if loss is None else loss})


def submitted(database: Database, actor: Actor) -> str:
    with database.write() as session:
        return service.submit(session, actor, "count", "count", {}).id


def told(database: Database, job_id: str, attempt: int, *events: Event) -> None:
    with database.write() as session:
        job = states.lock(session, job_id)
        done = session.scalar(select(func.max(EventRow.line)).where(EventRow.job_id == job_id, EventRow.attempt == attempt)) or 0
        history.append_lines(session, job, attempt, [(done + index, event) for index, event in enumerate(events, 1)])


def sealed(database: Database, job_id: str) -> int:
    count = 0
    while True:
        with database.write() as session:
            moved = blocks.seal(session, states.lock(session, job_id), all_of_it=True)
        if not moved:
            return count
        count += moved


def test_a_reader_that_follows_misses_nothing_that_many_writers_say(database: Database, actor: Actor) -> None:
    jobs = [submitted(database, actor) for _ in range(4)]
    with database.read() as session:
        position = history.latest_position(session)
    heard: list[int] = []

    def write(job_id: str) -> None:
        for number in range(1, 16):
            told(database, job_id, 1, step(number))

    writers = [threading.Thread(target=write, args=(job_id,)) for job_id in jobs]
    for writer in writers:
        writer.start()
    while len(heard) < 60:
        with database.read() as session:
            fresh = history.events_after(session, position)
        heard += [event.position for event in fresh]
        position = heard[-1] if heard else position
    for writer in writers:
        writer.join()
    assert heard == list(range(heard[0], heard[0] + 60))


@pytest.mark.parametrize("limit", [70, 5000])
def test_sealing_changes_nothing_that_a_reader_sees(database: Database, actor: Actor, limit: int) -> None:
    jobs = [submitted(database, actor) for _ in range(2)]
    for start in range(1, 1400, 100):
        for job_id in jobs:
            steps = [step(number) for number in range(start, start + 100)]
            told(database, job_id, 1, *steps, said("Saved", step=start, path="x", size_bytes=1))

    def all_events(**which: object) -> list[tuple[int, str, int, dict[str, object]]]:
        position, events = 0, []
        with database.read() as session:
            while found := history.events_after(session, position, limit=limit, **which):  # type: ignore[arg-type]
                events += [(event.position, event.kind, event.seq, event.payload) for event in found]
                position = found[-1].position
        return events

    whole, one = all_events(), all_events(job_id=jobs[0])
    assert [sealed(database, job_id) for job_id in jobs] == [1400, 1400]
    with database.read() as session:
        assert session.scalar(select(func.count()).where(EventRow.kind == "Step")) == 0
        assert session.scalar(select(func.count()).select_from(StepBlock)) == 4
    assert all_events() == whole
    assert all_events(job_id=jobs[0]) == one
    assert all_events(workspace_ids=["ws_default"]) == whole
    assert all_events(workspace_ids=["ws_other"]) == []


def test_resuming_drops_the_later_points_of_earlier_attempts(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    told(database, job_id, 1, said("Running"), *(step(number, 1.0) for number in range(1, 8)))
    told(database, job_id, 2, said("Resumed", from_step=4), said("Running"), *(step(number, 2.0) for number in range(5, 7)))
    told(database, job_id, 3, said("Resumed", from_step=5), said("Running"), step(6, 3.0))
    expected = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 3.0)]
    for _ in range(2):
        with database.read() as session:
            assert [(point.step, point.metrics["loss"]) for point in history.steps(session, job_id)] == expected
            assert history.curve(session, job_id).series == {"loss": expected}
        sealed(database, job_id)


def test_an_attempt_that_begins_again_supersedes_all_before(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    told(database, job_id, 1, said("Running"), step(1, 1.0), step(2, 1.0))
    told(database, job_id, 2, said("Running"), step(1, 2.0))
    with database.read() as session:
        assert history.curve(session, job_id).series == {"loss": [(1, 2.0)]}


def test_a_long_curve_keeps_its_peaks_sealed_or_not(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    peaks = {777: 50.0, 1500: -9.0}
    told(database, job_id, 1, said("Running"), *(step(number, peaks.get(number, 1.0)) for number in range(1, 3001)))
    told(database, job_id, 1, said("Evaluated", step=3000, epoch=1.0, metrics={"accuracy": 0.5}))
    for _ in range(2):
        with database.read() as session:
            series = history.curve(session, job_id, max_points=200).series
        assert len(series["loss"]) <= 202
        assert (777, 50.0) in series["loss"] and (1500, -9.0) in series["loss"]
        assert series["accuracy"] == [(3000, 0.5)]
        sealed(database, job_id)


def test_a_job_that_runs_keeps_its_last_steps_unsealed(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    for start in range(1, blocks.HOT_STEPS + 1, 1024):
        told(database, job_id, 1, *(step(number) for number in range(start, start + 1024)))
    with database.write() as session:
        assert blocks.seal(session, session.get_one(Job, job_id), all_of_it=False) == 0
    told(database, job_id, 1, step(5000))
    with database.write() as session:
        assert blocks.seal(session, session.get_one(Job, job_id), all_of_it=False) == blocks.BLOCK_STEPS


def test_a_part_of_a_long_curve_is_drawn_finer_than_the_whole(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    told(database, job_id, 1, said("Running"), *(step(number, float(number % 7)) for number in range(1, 6001)))
    sealed(database, job_id)
    with database.read() as session:
        whole = history.curve(session, job_id, max_points=200).series["loss"]
        part = history.curve(session, job_id, max_points=200, within=(2000, 2100)).series["loss"]
    assert sum(2000 <= place <= 2100 for place, _ in whole) < len(part)
    assert [place for place, _ in part] == list(range(2000, 2101))
    assert all(value == place % 7 for place, value in part)
