"""What people ask of jobs: access first, legal moves only, and lists that page."""

from pathlib import Path

import pytest
from support.databases import person

from kargah.contract.attempt import AttemptDirectory
from kargah.jobs import history, logs, service, states
from kargah.jobs.states import State
from kargah.kit.errors import Forbidden, IllegalMove, NotFound
from kargah.runs import service as runs
from kargah.store.access import Actor, Role
from kargah.store.database import Database


def submitted(database: Database, actor: Actor, title: str = "شمارش", state: State | None = None) -> str:
    with database.write() as session:
        job = service.submit(session, actor, "count", title, {})
        if state is not None:
            states.walk(session, job, state)
        return job.id


def kinds(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        return [event.kind for event in history.events_after(session, 0, job_id=job_id)]


def test_a_waiting_job_is_stopped_at_once(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    with database.write() as session:
        stopped = service.stop(session, actor, job_id)
    assert stopped.state == "STOPPED" and stopped.finished_at is not None
    assert kinds(database, job_id) == ["Queued", "Asked", "Stopped"]


def test_a_running_job_is_asked_to_stop_once_however_often_one_asks(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor, state=State.RUNNING)
    for _ in range(2):
        with database.write() as session:
            assert service.stop(session, actor, job_id).state == "STOPPING"
    assert kinds(database, job_id) == ["Queued", "Asked"]


def test_a_paused_job_is_queued_again(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor, state=State.RUNNING)
    with database.write() as session:
        assert service.pause(session, actor, job_id).state == "PAUSING"
    with database.write() as session:
        states.move(session, states.lock(session, job_id), State.PAUSED)
        assert service.resume(session, actor, job_id).state == "QUEUED"


@pytest.mark.parametrize("state", sorted(states.TERMINAL))
def test_what_is_over_cannot_be_stopped_paused_or_resumed(database: Database, actor: Actor, state: State) -> None:
    job_id = submitted(database, actor, state=state)
    for ask in (service.stop, service.pause, service.resume):
        with pytest.raises(IllegalMove), database.write() as session:
            ask(session, actor, job_id)


def test_who_may_not_change_a_job_changes_nothing(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    viewer, trainer, stranger = person(database, Role.VIEWER), person(database, Role.TRAINER), person(database, Role.ADMIN, "ws_other")
    for who, refusal in ((viewer, Forbidden), (trainer, Forbidden), (stranger, NotFound)):
        with pytest.raises(refusal), database.write() as session:
            service.stop(session, who, job_id)
    with pytest.raises(Forbidden), database.write() as session:
        service.submit(session, viewer, "count", "x", {})
    assert kinds(database, job_id) == ["Queued"]


def test_a_list_pages_through_all_jobs_the_newest_first(database: Database, actor: Actor) -> None:
    jobs = [submitted(database, actor) for _ in range(5)]
    seen, cursor = [], None
    with database.read() as session:
        while True:
            page = service.list_for(session, actor, cursor=cursor, limit=2)
            seen += [job.id for job in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == jobs[::-1]


def test_a_list_is_narrowed_by_state_and_by_words_however_they_are_typed(database: Database, actor: Actor) -> None:
    running = submitted(database, actor, "تحلیلِ نظرهای كاربران", State.RUNNING)
    submitted(database, actor, "other_100%")
    with database.read() as session:
        assert [job.id for job in service.list_for(session, actor, states=["RUNNING"]).items] == [running]
        assert [job.id for job in service.list_for(session, actor, query="کاربران").items] == [running]
        assert service.list_for(session, actor, query="other%100").items == []


def test_logs_are_the_end_of_what_was_printed(database: Database, actor: Actor, tmp_path: Path) -> None:
    job_id = submitted(database, actor)
    log = AttemptDirectory.of(tmp_path, job_id, 0).log
    log.parent.mkdir(parents=True)
    log.write_text("first\nسلام\nlast\n")
    with database.read() as session:
        assert logs.show(session, actor, job_id, tmp_path).tail == "first\nسلام\nlast\n"
        assert service.tail_of(logs.log_of(session, actor, job_id, tmp_path), 8) == "last\n"
        assert logs.show(session, actor, job_id, tmp_path / "elsewhere").tail == ""


def test_a_run_shows_its_jobs_state_and_latest_metrics(database: Database, actor: Actor) -> None:
    from kargah.contract.events import AnyEvent

    with database.write() as session:
        job = service.submit(session, actor, "train", "x", {})
        run_id = runs.create_for_job(session, actor, job, "tabular").id
        job_id = job.id
    at = "2026-11-21T10:00:00Z"
    events = [AnyEvent.validate_python({"kind": "Step", "at": at, "step": n, "epoch": 0, "metrics": {"loss": 1 / n}}) for n in (1, 2)]
    for _ in range(2):
        with database.write() as session:
            runs.on_events(session, [(states.lock(session, job_id), events)])
    with database.write() as session:
        service.stop(session, actor, job_id)
        shown = runs.show(session, actor, run_id)
    assert (shown.metrics, shown.status) == ({"loss": 0.5}, "STOPPED")
