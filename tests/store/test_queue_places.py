"""Where one stands in the line, taking a move back, and when a training would start."""

from datetime import timedelta

import pytest
from support.databases import person

from kargah.jobs import queue
from kargah.jobs import service as jobs
from kargah.jobs.tables import Agent, Attempt, Job
from kargah.jobs.terms import Terms, Window
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden
from kargah.monitoring import outlook
from kargah.runs import service as runs
from kargah.store.access import Actor, Role
from kargah.store.database import Database, now_of


def submit(database: Database, actor: Actor, title: str, priority: int = 0) -> str:
    with database.write() as session:
        job = jobs.submit(session, actor, "train", title, {"kind": "train"}, priority=priority)
        runs.create_for_job(session, actor, job, "tabular")
        return job.id


def line(database: Database, actor: Actor) -> list[str]:
    with database.read() as session:
        return list(queue.standings(session, actor))


def test_moves_are_taken_back_by_the_places_that_were_before_also_when_others_came(database: Database, actor: Actor) -> None:
    first, second, third, fourth = [submit(database, actor, title) for title in "abcd"]
    with database.write() as session:
        before = queue.standings(session, actor)
        for job_id in (fourth, third):
            queue.move(session, actor, job_id, "first")
    assert line(database, actor) == [third, fourth, first, second]
    late = submit(database, actor, "e")
    with database.write() as session:
        assert queue.put(session, actor, {job_id: before[job_id].own for job_id in (third, fourth)}) == 2
    assert line(database, actor) == [first, second, third, fourth, late]
    with database.write() as session:
        jobs.stop(session, actor, second)
        assert queue.put(session, actor, {second: 1, late: 99}) == 1
    assert line(database, actor) == [first, third, fourth, late]


def test_places_count_among_ones_own_of_one_priority_and_over_all(database: Database, actor: Actor) -> None:
    other = person(database, Role.TRAINER)
    mine, urgent, theirs = submit(database, actor, "a"), submit(database, actor, "b", priority=3), submit(database, other, "c")
    with database.read() as session:
        found = queue.standings(session, actor)
    assert list(found) == [urgent, mine, theirs]
    assert [(one.place, one.own, one.own_of) for one in found.values()] == [(1, 1, 1), (2, 1, 1), (3, 1, 1)]
    with database.write() as session, pytest.raises(Forbidden):
        queue.put(session, other, {mine: 1})


def test_the_start_is_told_only_as_far_as_it_is_known(database: Database, actor: Actor) -> None:
    waiting = [submit(database, actor, title) for title in "ab"]

    def of_second() -> tuple[str, dict[str, object]]:
        with database.read() as session:
            found = outlook.of_queued(session, actor, waiting[1])
            assert found is not None
            return found.code, found.params

    assert of_second()[0] == "outlook.no_agent"
    with database.write() as session:
        session.add(Agent(id="agt_1", host="here", pid=1, pid_started_at=1.0, cores=2, heartbeat_at=now_of(session)))
    assert of_second() == ("outlook.ahead", {"ahead": 1})  # nothing like it was ever completed here
    done = submit(database, actor, "done")
    running = submit(database, actor, "running")
    with database.write() as session:
        for job_id, state in ((done, "COMPLETED"), (running, "RUNNING")):
            session.get_one(Job, job_id).state = state
        run = runs.of_job(session, done)
        assert run is not None
        run.status, run.started_at, run.finished_at = "COMPLETED", utc_now() - timedelta(seconds=100), utc_now()
        session.get_one(Job, running).progress = {"eta_seconds": 30.0}
        session.add(Attempt(job_id=running, number=1, host="here", threads=2, offset_bytes=0, line=0))
        session.get_one(Job, running).attempt = 1
    assert of_second() == ("outlook.ahead_about", {"ahead": 1, "about_seconds": 130})


def test_a_training_that_may_not_start_yet_is_told_when_it_may(database: Database, actor: Actor) -> None:
    later = utc_now() + timedelta(days=2)
    before = submit(database, actor, "آموزش نخست")
    with database.read() as session:
        assert outlook.of_new(session, actor, 0, Terms(not_before=later)).params == {"starts_at": later.isoformat()}
        assert outlook.of_new(session, actor, 0, Terms(after=[before])).params == {"title": "آموزش نخست"}
        hour = (now_of(session) + timedelta(hours=2)).time().replace(microsecond=0)
        closed = Window(start=hour, end=(now_of(session) + timedelta(hours=3)).time().replace(microsecond=0), zone="UTC")
        assert outlook.of_new(session, actor, 0, Terms(window=closed)).code == "outlook.at"
