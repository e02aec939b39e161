"""Claims: nobody takes what another has, the order is fair, cores are not given out twice."""

import threading
from typing import Any

import pytest
from sqlalchemy import select
from support.agents import seat
from support.databases import person, planned

from kargah.jobs import claims, history, service, states
from kargah.jobs.claims import Look, Seat
from kargah.jobs.states import Fence, LeaseLost, State
from kargah.jobs.tables import Attempt, Job
from kargah.jobs.terms import Terms
from kargah.store.access import Actor, Role
from kargah.store.database import Database


def submitted(database: Database, actor: Actor, kind: str = "count", **options: Any) -> str:
    with database.write() as session:
        return service.submit(session, actor, kind, "شمارش", {}, **options).id


def claimed(database: Database, of: Seat) -> Look:
    with database.serialised() as session:
        return claims.claim_next(session, of)


def threads(look: Look) -> int:
    assert look.grant is not None
    return look.grant.threads


def claimed_id(database: Database, of: Seat) -> str | None:
    look = claimed(database, of)
    return look.claimed.id if look.claimed else None


def test_two_agents_never_claim_the_same_job(database: Database, actor: Actor) -> None:
    jobs = {submitted(database, actor) for _ in range(12)}
    taken: list[str] = []

    def claim_all(of: Seat) -> None:
        while (job_id := claimed_id(database, of)) is not None:
            taken.append(job_id)

    threads = [threading.Thread(target=claim_all, args=(seat(host=f"host{index}", cores=12),)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(jobs)


def test_a_look_at_a_long_queue_reads_the_first_hundred_and_no_more(sqlite_database: Database) -> None:
    """On SQLite, which says so beforehand."""
    actor, mine = person(sqlite_database, Role.ADMIN), seat()
    submitted(sqlite_database, actor)
    with sqlite_database.serialised() as session, planned(session) as plans:
        assert claims.claim_next(session, mine).claimed is not None
    steps = [step for plan in plans for step in plan]
    assert steps.count("SEARCH jobs USING INDEX ix_jobs_queue (state=?)") == 1, steps
    assert not any("TEMP B-TREE" in step for step in steps), steps


def test_the_higher_priority_goes_first_then_the_older(database: Database, actor: Actor) -> None:
    first, second = submitted(database, actor), submitted(database, actor)
    urgent = submitted(database, actor, priority=5)
    mine = seat(cores=3)
    assert [claimed_id(database, mine) for _ in range(3)] == [urgent, first, second]


def test_jobs_run_side_by_side_until_the_cores_are_taken(database: Database, actor: Actor) -> None:
    for _ in range(3):
        submitted(database, actor)
    mine = seat(cores=2)
    assert claimed(database, mine).claimed and claimed(database, mine).claimed
    look = claimed(database, mine)
    assert look.claimed is None and len(look.waiting) == 1


def test_none_overtakes_a_job_that_waits_for_more_cores(database: Database, actor: Actor) -> None:
    mine = seat(cores=2, job_threads=None)
    submitted(database, actor, threads_wanted=1)
    claimed(database, mine)
    wide = submitted(database, actor, threads_wanted=2)
    submitted(database, actor, threads_wanted=1)
    assert claimed_id(database, mine) is None
    light = submitted(database, actor, "quick")
    look = claimed(database, mine)
    assert look.claimed is not None and look.claimed.id == light
    assert next(iter(look.waiting)) == wide


def test_downloads_that_go_on_for_hours_beside_a_training_leave_room_for_an_import(database: Database, actor: Actor) -> None:
    mine = seat(cores=1)
    submitted(database, actor)
    claimed(database, mine)
    waiting = [submitted(database, actor, "quick") for _ in range(3)]
    assert [claimed_id(database, mine) for _ in waiting] == waiting


def test_a_look_says_whether_it_leaves_some(database: Database, actor: Actor) -> None:
    mine = seat(cores=2)
    for _ in range(2):
        submitted(database, actor)
    assert [claimed(database, mine).leaves_some for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("owners", [1, 2])
def test_a_long_line_keeps_its_turns(database: Database, actor: Actor, owners: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few of a line are looked at: those of another owner are not behind all of the first one's."""
    monkeypatch.setattr(claims, "LOOKED_AT", 3)
    monkeypatch.setattr(claims, "_OF_ONE_OWNER", claims._of_one_owner())
    monkeypatch.setattr(claims, "_OF_MANY_OWNERS", claims._of_many_owners())
    first = [submitted(database, actor, "quick") for _ in range(4)]
    others = [submitted(database, person(database, Role.TRAINER), "quick") for _ in range(owners - 1)]
    with database.serialised() as session:
        look = claims.claim_next(session, seat(cores=8), at_most=3)
    assert [job.id for job, _ in look.claims] == [first[0], *others, *first[1:]][:3]


def test_free_cores_are_shared_among_those_that_wait(database: Database, actor: Actor) -> None:
    mine = seat(cores=4, job_threads=None)
    submitted(database, actor)
    submitted(database, actor)
    assert [threads(claimed(database, mine)), threads(claimed(database, mine))] == [2, 2]


def test_a_job_that_goes_on_gets_the_threads_it_began_with(database: Database, actor: Actor) -> None:
    mine = seat(cores=4, job_threads=None)
    job_id = submitted(database, actor, threads_wanted=None)
    assert threads(claimed(database, mine)) == 4
    with database.write() as session:
        job = states.lock(session, job_id)
        states.walk(session, job, State.PAUSED)
    with database.write() as session:
        service.resume(session, actor, job_id)
    submitted(database, actor)
    assert threads(claimed(database, mine)) == 4


def test_a_reason_to_wait_is_said_once(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    for _ in range(3):
        with database.write() as session:
            claims.say_waiting(session, job_id, "CORES_BUSY", {"cores": 2})
    with database.read() as session:
        assert len(history.life_cycle(session, job_id, "Waiting")) == 1
        assert service.show(session, actor, job_id).waiting == {"code": "CORES_BUSY", "params": {"cores": 2}}


def test_a_writer_behind_a_lost_lease_writes_nothing(database: Database, actor: Actor) -> None:
    job_id = submitted(database, actor)
    first = seat()
    claimed(database, first)
    with database.write() as session:
        session.get_one(Job, job_id).lease_owner = "agent_other"
    with pytest.raises(LeaseLost), database.write() as session:
        states.lock(session, job_id, Fence(1, first.agent_id))
    with pytest.raises(LeaseLost), database.write() as session:
        states.move(session, session.get_one(Job, job_id), State.LOADING, Fence(1, first.agent_id))
    with database.read() as session:
        assert session.get_one(Job, job_id).state == State.STARTING
        assert session.scalars(select(Attempt)).one().line == 0


def test_one_look_gives_what_many_looks_give(database: Database, actor: Actor) -> None:
    other = person(database, Role.TRAINER)
    jobs = [submitted(database, one, kind) for one, kind in ((actor, "count"), (actor, "count"), (actor, "quick"), (other, "count"))]
    wide = submitted(database, other, threads_wanted=3)
    with database.serialised() as session:
        look = claims.claim_next(session, seat(cores=4, jobs_per_user=1), at_most=8)
    taken = {job.id: (job.state, job.attempt, grant.threads) for job, grant in look.claims}
    assert taken == dict.fromkeys((jobs[0], jobs[2], jobs[3]), ("STARTING", 1, 1))
    assert {job_id: lack.code for job_id, lack in look.waiting.items()} == {jobs[1]: "USER_LIMIT", wide: "USER_LIMIT"}
    with database.read() as session:
        assert [event.payload["attempt"] for job_id in taken for event in history.life_cycle(session, job_id, "Claimed")] == [1, 1, 1]
        assert all(session.get_one(Job, job_id).last_seq == 2 for job_id in taken)


def test_what_one_look_grants_is_not_granted_again_by_the_same_look(database: Database, actor: Actor) -> None:
    for _ in range(3):
        submitted(database, actor, terms=Terms(memory_bytes=3 << 30))
    mine = seat(cores=8, memory_bytes=8 << 30, free_memory=lambda: 100 << 30)
    with database.serialised() as session:
        look = claims.claim_next(session, mine, at_most=8)
    assert len(look.claims) == 2 and [lack.code for lack in look.waiting.values()] == ["MEMORY_BUSY"]
