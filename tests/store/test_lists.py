"""What pages list of jobs and runs: the right ones in the right order, found by an index and not by going through all there are."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session
from support.databases import person, planned

from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.monitoring import activity, trainings
from kargah.runs.tables import Run
from kargah.store.access import Actor, Role, owned_by
from kargah.store.database import Database
from kargah.text.normalise import fold

NOW = utc_now()


def trained(session: Session, actor: Actor, number: int, state: State, *, took_seconds: int = 60, **run: Any) -> None:
    """The ids of jobs and runs rise with their numbers, as real ones do with time."""
    title, over = f"آموزش {number}", state in (State.COMPLETED, State.FAILED, State.STOPPED)
    when = {"started_at": NOW - timedelta(seconds=took_seconds), "finished_at": NOW if over else None}
    common = {"title": title, "title_folded": fold(title), **when, **owned_by(actor)}
    session.add(Job(id=f"job_{number:05}", kind="train", state=state, plan={}, queued_at=NOW, result={"long": "result"}, **common))
    session.flush()
    session.add(Run(**{"id": f"run_{number:05}", "job_id": f"job_{number:05}", "recipe": "tabular", "status": state, **common, **run}))


@pytest.fixture
def many(database: Database, actor: Actor) -> Database:
    fill(database, actor)
    return database


def fill(database: Database, actor: Actor) -> None:
    with database.write() as session:
        for number in range(60):
            state = State.FAILED if number % 10 == 3 else State.INTERRUPTED if number == 41 else State.COMPLETED
            trained(session, actor, number, state, recipe="text-classification" if number % 20 == 5 else "tabular")


def listed(database: Database, actor: Actor, **wanted: Any) -> tuple[list[str], str | None]:
    with database.read() as session:
        page = trainings.list_for(session, actor, **wanted)
    return [item.job.id for item in page.items], page.next_cursor


def ids(*numbers: int) -> list[str]:
    return [f"job_{number:05}" for number in numbers]


def test_a_list_is_gone_through_page_by_page_without_a_gap(many: Database, actor: Actor) -> None:
    found, cursor = listed(many, actor, limit=25)
    while cursor:
        more, cursor = listed(many, actor, limit=25, cursor=cursor)
        found += more
    assert found == ids(*range(59, -1, -1))


def test_filters_narrow_a_list_together(many: Database, actor: Actor) -> None:
    assert listed(many, actor, states=[State.FAILED]) == (ids(53, 43, 33, 23, 13, 3), None)
    assert listed(many, actor, states=[State.QUEUED]) == (ids(41), None), "an interrupted job shows as queued"
    assert listed(many, actor, recipe="text-classification", limit=2) == (ids(45, 25), "job_00025")
    assert listed(many, actor, recipe="text-classification", limit=2, cursor="job_00025") == (ids(5), None)
    assert listed(many, actor, recipe="text-classification", states=[State.FAILED]) == ([], None)
    assert listed(many, actor, query="آموزش ۵۷", states=[State.COMPLETED]) == (ids(57), None)


def test_a_long_job_that_has_just_ended_is_the_last_thing_done(many: Database, actor: Actor) -> None:
    with many.write() as session:
        session.get_one(Job, "job_00000").finished_at = NOW + timedelta(seconds=5)
    with many.read() as session:
        done = activity.latest(session, actor, 8)
    assert done[0].id == "job_00000"
    assert len(done) == 8


def test_dry_runs_and_failures_say_nothing_of_how_long_a_recipe_takes(database: Database, actor: Actor) -> None:
    with database.write() as session:
        for number in range(3):
            trained(session, actor, number, State.COMPLETED, took_seconds=100, summary={"dry_run": False} if number else {})
        trained(session, actor, 7, State.COMPLETED, took_seconds=1, summary={"dry_run": True})
        trained(session, actor, 8, State.FAILED, took_seconds=2)
    with database.read() as session:
        usual = activity.usual_duration(session, actor, "tabular")
        assert activity.usual_duration(session, actor, "text-classification") is None
    assert usual is not None
    assert (usual.seconds, usual.runs) == (100, 3)


def test_no_list_goes_through_all_jobs(sqlite_database: Database) -> None:
    """On SQLite, which says so beforehand; PostgreSQL reads sixty rows faster than any index."""
    actor = person(sqlite_database, Role.ADMIN)
    fill(sqlite_database, actor)
    with sqlite_database.read() as session, planned(session) as plans:
        for states in (None, [State.FAILED], [State.QUEUED, State.RUNNING]):
            trainings.list_for(session, actor, states=states)
        trainings.list_for(session, actor, recipe="tabular", states=[State.COMPLETED])
        trainings.newest(session, actor, 50)
        activity.counts(session, actor)
        activity.latest(session, actor, 8)
        activity.usual_duration(session, actor, "tabular")
    assert len(plans) == 8
    steps = [step for plan in plans for step in plan]
    assert [step for step in steps if step.startswith("SCAN") and "anon" not in step] == []
    used = set(re.findall(r"\bix_\w+", " ".join(steps)))
    assert used == {"ix_jobs_kinds", "ix_jobs_states", "ix_jobs_over", "ix_runs_recipes", "ix_runs_usual"}
