"""Terms of jobs: what a job follows, when it may run, whose turn it is, what it needs, and asking twice."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from support.agents import seat
from support.databases import person

from kargah.jobs import claims, history, overdue, queue, service, states
from kargah.jobs.claims import Look, Seat
from kargah.jobs.queue import NotQueued, Where
from kargah.jobs.service import SubmissionKeyReused
from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.jobs.terms import Retry, Terms, Window
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden, NotFound
from kargah.store.access import Actor, Role
from kargah.store.database import Database

GIB = 1 << 30


def submitted(database: Database, actor: Actor, kind: str = "count", terms: dict[str, Any] | None = None, **options: Any) -> str:
    with database.write() as session:
        plan = options.pop("plan", {})
        return service.submit(session, actor, kind, "شمارش", plan, terms=Terms.model_validate(terms or {}), **options).id


def look(database: Database, of: Seat) -> Look:
    with database.serialised() as session:
        return claims.claim_next(session, of)


def order(database: Database, of: Seat) -> list[str]:
    found = []
    while (claimed := look(database, of).claimed) is not None:
        found.append(claimed.id)
    return found


def walk(database: Database, job_id: str, to: State) -> None:
    with database.write() as session:
        states.walk(session, states.lock(session, job_id), to)


def job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return session.get_one(Job, job_id)


def test_a_job_follows_all_those_that_it_names(database: Database, actor: Actor) -> None:
    first, second = submitted(database, actor), submitted(database, actor)
    last = submitted(database, actor, terms={"after": [first, second]}, priority=9)
    mine = seat(cores=9)
    assert job(database, last).waiting == {"code": "DEPENDENCY", "params": {"count": 2}}
    assert order(database, mine) == [first, second]
    walk(database, first, State.COMPLETED)
    assert order(database, mine) == []
    walk(database, second, State.COMPLETED)
    assert order(database, mine) == [last]


def test_one_follows_only_jobs_that_one_may_see(database: Database, actor: Actor) -> None:
    stranger = person(database, Role.ADMIN, "ws_other")
    mine = submitted(database, actor)
    with pytest.raises(NotFound), database.write() as session:
        service.submit(session, stranger, "count", "x", {}, terms=Terms(after=[mine]))


@pytest.mark.parametrize("end", [State.FAILED, State.STOPPED])
def test_a_job_behind_one_that_came_to_nothing_fails_and_so_do_those_behind_it(database: Database, actor: Actor, end: State) -> None:
    first = submitted(database, actor)
    second = submitted(database, actor, terms={"after": [first]})
    third = submitted(database, actor, terms={"after": [second]})
    walk(database, first, end)
    overdue.mend(database, seat())
    overdue.mend(database, seat())
    for follower, before in ((second, first), (third, second)):
        found = job(database, follower)
        assert found.state == State.FAILED and found.error == {"code": "DEPENDENCY_FAILED", "params": {"id": before, "title": "شمارش"}}


def test_a_job_that_is_held_behind_a_failure_goes_on_when_somebody_says_so(database: Database, actor: Actor) -> None:
    first = submitted(database, actor)
    second = submitted(database, actor, terms={"after": [first], "if_after_fails": "hold"})
    walk(database, first, State.FAILED)
    for _ in range(2):
        overdue.mend(database, seat())
    held = job(database, second)
    assert held.state == State.QUEUED and held.waiting is not None and held.waiting["code"] == "DEPENDENCY_FAILED"
    with database.read() as session:
        assert len(history.life_cycle(session, second, "Waiting")) == 1
    assert order(database, seat()) == []
    with database.write() as session:
        service.resume(session, actor, second)
    assert order(database, seat()) == [second]


def test_a_job_starts_at_its_time_and_not_before(database: Database, actor: Actor) -> None:
    later = submitted(database, actor, terms={"not_before": utc_now() + timedelta(hours=1)})
    now = submitted(database, actor, terms={"not_before": utc_now() - timedelta(hours=1)})
    assert order(database, seat()) == [now]
    assert (job(database, later).waiting or {})["code"] == "NOT_BEFORE"


def test_a_job_past_its_deadline_fails_where_it_waits(database: Database, actor: Actor) -> None:
    late = submitted(database, actor, terms={"deadline": utc_now() - timedelta(seconds=1)})
    in_time = submitted(database, actor, terms={"deadline": utc_now() + timedelta(hours=1)})
    overdue.mend(database, seat())
    assert (job(database, late).error or {})["code"] == "DEADLINE_PASSED" and job(database, in_time).state == State.QUEUED


def test_a_job_for_the_nights_waits_for_its_hours_and_keeps_nobody_waiting(database: Database, actor: Actor) -> None:
    now = utc_now()
    closed = {"start": (now + timedelta(hours=2)).time(), "end": (now + timedelta(hours=3)).time(), "zone": "UTC"}
    opened = {"start": (now - timedelta(hours=1)).time(), "end": (now + timedelta(hours=1)).time(), "zone": "UTC"}
    night, day = submitted(database, actor, terms={"window": closed}), submitted(database, actor, terms={"window": opened})
    seen = look(database, seat())
    assert seen.claimed is not None and seen.claimed.id == day and seen.news == [night]
    with database.write() as session:
        claims.say_waiting(session, night, seen.waiting[night].code, seen.waiting[night].params)
    waiting = job(database, night)
    assert waiting.not_before is not None and timedelta(hours=1) < waiting.not_before - now <= timedelta(hours=2)


def test_a_window_goes_over_midnight_in_its_own_zone() -> None:
    night = Window(start=time(22), end=time(6), zone="Asia/Tehran")  # UTC+03:30
    assert night.is_open(datetime(2026, 11, 21, 19, 0, tzinfo=UTC)) and night.is_open(datetime(2026, 11, 22, 2, 29, tzinfo=UTC))
    assert not night.is_open(datetime(2026, 11, 22, 2, 30, tzinfo=UTC)) and not night.is_open(datetime(2026, 11, 21, 18, 29, tzinfo=UTC))
    assert night.opens_at(datetime(2026, 11, 22, 2, 30, tzinfo=UTC)) == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="no time zone"):
        Window(start=time(22), end=time(6), zone="Asia/Nowhere")


def test_a_pause_at_the_end_of_the_hours_ends_by_itself_and_a_persons_does_not(database: Database, actor: Actor) -> None:
    jobs = [submitted(database, actor) for _ in range(2)]
    order(database, seat(cores=2))
    for job_id in jobs:
        with database.write() as session:
            found = states.lock(session, job_id)
            states.walk(session, found, State.PAUSED)
            found.paused_for = "TIME_WINDOW"
    with database.write() as session:
        service.pause(session, actor, jobs[1])
    overdue.mend(database, seat())
    assert [job(database, job_id).state for job_id in jobs] == [State.QUEUED, State.PAUSED]


def test_owners_take_turns_within_a_priority(database: Database, actor: Actor) -> None:
    other = person(database, Role.TRAINER)
    mine = [submitted(database, actor) for _ in range(4)]
    theirs = [submitted(database, other) for _ in range(2)]
    urgent = submitted(database, actor, priority=1)
    got = [job_id for cores in range(1, 8) for job_id in order(database, seat(cores=cores))]
    assert got[0] == urgent
    assert got[1:] == [theirs[0], mine[0], theirs[1], mine[1], mine[2], mine[3]]


def test_no_user_has_more_running_than_the_limit(database: Database, actor: Actor) -> None:
    other = person(database, Role.TRAINER)
    mine, theirs = [submitted(database, actor) for _ in range(3)], submitted(database, other)
    limited = seat(cores=8, jobs_per_user=1)
    assert set(order(database, limited)) == {mine[0], theirs}
    assert look(database, limited).waiting[mine[1]].code == "USER_LIMIT"
    walk(database, mine[0], State.COMPLETED)
    assert order(database, limited) == [mine[1]]


def test_jobs_move_in_the_line_among_those_of_their_owner(database: Database, actor: Actor) -> None:
    a, b, c = (submitted(database, actor) for _ in range(3))

    def line() -> list[str]:
        with database.read() as session:
            return [one.id for one in queue.in_line(session, actor)]

    moves = ((c, Where.FIRST, [c, a, b]), (c, Where.DOWN, [a, c, b]), (b, Where.UP, [a, b, c]), (a, Where.LAST, [b, c, a]))
    for job_id, to, expected in moves:
        with database.write() as session:
            queue.move(session, actor, job_id, to)
        assert line() == expected
    with database.write() as session:
        queue.move(session, actor, a, priority=3)
    assert line() == [a, b, c] == order(database, seat(cores=3))


def test_only_what_waits_is_moved_and_only_by_those_who_may(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    with pytest.raises(Forbidden), database.write() as session:
        queue.move(session, VIEWER, job_id, Where.FIRST)
    order(database, seat())
    with pytest.raises(NotQueued), database.write() as session:
        queue.move(session, actor, job_id, Where.FIRST)


VIEWER = Actor("usr_viewer", Role.VIEWER, "ws_default", frozenset({"ws_default"}))


def test_the_same_key_is_the_same_job(database: Database, actor: Actor) -> None:
    first = submitted(database, actor, key="nightly", plan={"steps": 1})
    assert submitted(database, actor, key="nightly", plan={"steps": 1}) == first
    assert submitted(database, person(database, Role.TRAINER), key="nightly", plan={"steps": 2}) != first
    with pytest.raises(SubmissionKeyReused):
        submitted(database, actor, key="nightly", plan={"steps": 2})


def test_memory_is_granted_and_not_hoped_for(database: Database, actor: Actor) -> None:
    big, small = (submitted(database, actor, terms={"memory_bytes": size * GIB}) for size in (6, 3))
    mine = seat(cores=8, memory_bytes=8 * GIB, free_memory=lambda: 100 * GIB)
    assert order(database, mine) == [big]
    lack = look(database, mine).waiting[small]
    assert (lack.code, lack.params["free_bytes"]) == ("MEMORY_BUSY", 2 * GIB)
    with database.write() as session:
        states.lock(session, big).progress = {"eta_seconds": 90.0}
    assert look(database, mine).waiting[small].params["about_seconds"] == 90
    walk(database, big, State.COMPLETED)
    crowded = seat(cores=8, memory_bytes=8 * GIB, free_memory=lambda: GIB)
    assert order(database, crowded) == []
    assert order(database, mine) == [small]


def test_a_guess_at_memory_keeps_no_job_from_running_alone(database: Database, actor: Actor) -> None:
    first, _ = (submitted(database, actor, plan={"inputs": [{"size_bytes": 4 * GIB}]}) for _ in range(2))
    assert order(database, seat(cores=8, memory_bytes=8 * GIB, free_memory=lambda: 8 * GIB)) == [first]


def test_each_gpu_has_one_job_and_a_job_goes_on_with_as_many(database: Database, actor: Actor) -> None:
    jobs = [submitted(database, actor, terms={"gpus": 1}) for _ in range(3)]
    without = submitted(database, actor)
    too_many = submitted(database, actor, terms={"gpus": 3}, priority=5)
    mine = seat(cores=8, gpus={"GPU-a": 0, "GPU-b": 0})
    assert order(database, mine) == [jobs[0], jobs[1], without]
    seen = look(database, mine)
    assert (seen.waiting[jobs[2]].code, seen.waiting[too_many].code) == ("GPUS_BUSY", "GPUS_ABSENT")
    walk(database, jobs[0], State.COMPLETED)
    last = look(database, mine)
    assert last.claimed is not None and last.claimed.id == jobs[2] and last.grant is not None and last.grant.gpus == ["GPU-a"]


def test_what_gains_by_a_gpu_gets_one_where_there_is_any_unless_none_is_wanted(database: Database, actor: Actor) -> None:
    gains = {"gains_by_gpu": True}
    without, on_one, waits = (submitted(database, actor, terms=terms) for terms in ({**gains, "gpus": 0}, gains, gains))
    mine = seat(cores=8, gpus={"GPU-a": 0})
    found = [look(database, mine) for _ in range(3)]
    assert [(one.claimed.id, one.grant.gpus) for one in found if one.claimed and one.grant] == [(without, []), (on_one, ["GPU-a"])]
    assert found[2].waiting[waits].code == "GPUS_BUSY"
    elsewhere = look(database, seat(cores=8))
    assert elsewhere.claimed is not None and elsewhere.claimed.id == waits
    for state in (State.RUNNING, State.PAUSED, State.QUEUED):
        walk(database, on_one, state)
    gone_on = look(database, seat(cores=8))  # with a host whose card is gone
    assert (gone_on.claimed and gone_on.claimed.id, gone_on.grant and gone_on.grant.gpus) == (on_one, [])


def test_the_memory_of_gpus_is_granted_to_several_and_none_gets_what_another_has(database: Database, actor: Actor) -> None:
    shared = [submitted(database, actor, terms={"gpu_memory_bytes": size * GIB}) for size in (10, 12, 14)]
    whole = submitted(database, actor, terms={"gpus": 1})
    too_big = submitted(database, actor, terms={"gpus": 2, "gpu_memory_bytes": 30 * GIB}, priority=5)
    mine = seat(cores=8, gpus={"GPU-a": 24 * GIB, "GPU-b": 40 * GIB})
    first, second, third, last = (look(database, mine) for _ in range(4))
    assert [one.grant.gpus for one in (first, second, third) if one.grant] == [["GPU-a"], ["GPU-a"], ["GPU-b"]]
    assert first.grant is not None and first.grant.gpu_share == pytest.approx(10 / 24)
    assert (last.claimed, last.waiting[whole].code, last.waiting[too_big].code) == (None, "GPUS_BUSY", "GPUS_ABSENT_OF")
    walk(database, shared[1], State.COMPLETED)
    more = submitted(database, actor, terms={"gpu_memory_bytes": 27 * GIB}, priority=1)
    seen = look(database, mine)
    assert (seen.waiting[more].code, seen.waiting[more].params["wanted_bytes"]) == ("GPUS_BUSY_OF", 27 * GIB)
    walk(database, shared[2], State.COMPLETED)
    assert order(database, mine) == [more]


def test_the_wait_after_an_interruption_doubles_up_to_its_cap() -> None:
    retry = Retry(back_off_seconds=2, longest_back_off_seconds=10)
    assert [retry.wait_seconds(times) for times in (1, 2, 3, 4, 5, 1000)] == [2, 4, 8, 10, 10, 10]
