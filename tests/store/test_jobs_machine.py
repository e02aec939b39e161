"""The state machine of jobs against a model of it: people, workers, deaths and other agents, in any order.

Planted one at a time, each of these was found: a pause taken while stopping; a fence that looks at the attempt only; a lease kept
after the end; a person's pause that ends by itself; interruptions counted in spite of progress; an end by the system counted as a
try; a living agent's jobs taken over; lines carried twice by an agent that forgot how far it was; moving up by two; a pausing job
that runs again when its worker dies; attempts that a dead agent left unclosed; a full disk's pause that overrules a person's; a late
word that moves a job that is over; the scheduler's own words believed from a worker.
"""

import copy
import json
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from support.agents import seat, trades
from support.databases import person
from support.ideal_jobs import ACTIVE, CORES, MAX_ATTEMPTS, REFUSED, TERMINAL, WORDS, IdealJob

from kargah.jobs import claims, limits, overdue, processes, queue, rescue, service, states
from kargah.jobs.claims import Seat
from kargah.jobs.collector import Collector
from kargah.jobs.states import Fence, LeaseLost
from kargah.jobs.supervision import Condemned, Held, hold
from kargah.jobs.tables import Agent, Job
from kargah.jobs.terms import Terms
from kargah.kit.errors import IllegalMove
from kargah.store.access import Role
from kargah.store.database import Database, now_of, sqlite_url

AT = "2026-11-21T10:00:00Z"
MOST_JOBS = 4
PICK = st.integers(0, 11)
WHICH = st.integers(0, 1)
#: Words as often as they matter: an attempt that ends at its first word shows little.
SPOKEN = [*WORDS, "Started", "Running", "Running", "Running", "Saved", "Saved", "Step"]


class Here:
    """An agent of this host and what it believes to hold; after its death another one sits there."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sit_down()

    def sit_down(self) -> None:
        self.seat: Seat = seat(cores=CORES)
        self.held: dict[str, Held] = {}
        me = processes.this_process()
        with self.database.write() as session:
            row = {"host": self.seat.host, "pid": me.pid, "pid_started_at": me.started_at, "cores": CORES, "heartbeat_at": now_of(session)}
            session.add(Agent(id=self.seat.agent_id, **row))

    def die(self) -> None:
        with self.database.write() as session:
            session.get_one(Agent, self.seat.agent_id).pid_started_at = 0.0
        self.sit_down()


class Jobs(RuleBasedStateMachine):
    """``line``: the ids of all jobs in the order of their places. ``dead``: ids of agents that died."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kargah-machine-"))
        shutil.copy(self.template, self.folder / "kargah.db")
        self.database = Database(sqlite_url(self.folder / "kargah.db"))
        self.collector = Collector(self.database, self.folder, trades())
        self.actor = person(self.database, Role.ADMIN)
        self.agents = [Here(self.database), Here(self.database)]
        self.jobs: dict[str, IdealJob] = {}
        self.line: list[str] = []
        self.dead: set[str] = set()
        self.saved = 0
        self.submit(False, 0, False)
        self.submit(False, 0, False)
        self.agent_claims(0, 2)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            with suppress(AttributeError):
                self.everything_goes_well_from_here()
            self.database.close()
            shutil.rmtree(self.folder)

    # People

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @rule(follows=st.booleans(), pick=PICK, holds=st.booleans())
    def submit(self, follows: bool, pick: int, holds: bool) -> None:
        before = self._job(pick) if follows else None
        terms = {"after": [before.id] if before else [], "if_after_fails": "hold" if holds else "fail"}
        terms |= {"retry": {"max_attempts": MAX_ATTEMPTS, "back_off_seconds": 0}}
        self._tick()
        with self.database.write() as session:
            job_id = service.submit(session, self.actor, "count", "x", {}, terms=Terms.model_validate(terms)).id
        self.jobs[job_id] = IdealJob(job_id, after=before.id if before else None, holds=holds)
        self.line.append(job_id)

    @rule(pick=PICK, wish=st.sampled_from(["stop", "pause", "pause", "resume", "resume"]))
    def person_asks(self, pick: int, wish: str) -> None:
        job = self._job(pick)
        self._tick()
        expected = getattr(job, wish)()
        try:
            with self.database.write() as session:
                getattr(service, wish)(session, self.actor, job.id)
            assert expected != REFUSED
        except IllegalMove:
            assert expected == REFUSED
        if expected == "behind":
            self.line.remove(job.id)
            self.line.append(job.id)

    @rule(pick=PICK, to=st.sampled_from(list(queue.Where)), priority=st.sampled_from([None, None, 0, 1]))
    def person_moves(self, pick: int, to: queue.Where, priority: int | None) -> None:
        job = self._job(pick)
        try:
            with self.database.write() as session:
                queue.move(session, self.actor, job.id, to, priority)
        except queue.NotQueued:
            assert job.state != "QUEUED"
            return
        assert job.state == "QUEUED"
        job.priority = job.priority if priority is None else priority
        job.said.append("Asked")
        self._reorder(job, to)

    def _reorder(self, job: IdealJob, to: queue.Where) -> None:
        peers = [one for one in self.line if self.jobs[one].state == "QUEUED" and self.jobs[one].priority == job.priority]
        slots = [self.line.index(one) for one in peers]
        then = {"first": 0, "last": len(peers), "up": max(0, peers.index(job.id) - 1), "down": peers.index(job.id) + 1}[to.value]
        peers.remove(job.id)
        peers.insert(then, job.id)
        for slot, one in zip(slots, peers, strict=True):
            self.line[slot] = one

    # Workers

    @precondition(lambda self: any(job.is_alive for job in self.jobs.values()))
    @rule(pick=PICK, words=st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=3))
    def worker_writes(self, pick: int, words: list[str]) -> None:
        living = [job for job in self.jobs.values() if job.is_alive]
        self._write(living[pick % len(living)], words)

    @precondition(lambda self: any(job.is_alive for job in self.jobs.values()))
    @rule(pick=PICK)
    def worker_runs(self, pick: int) -> None:
        """It comes to its steps, and its agent hears of it: from there the most can happen."""
        living = [job for job in self.jobs.values() if job.is_alive]
        job = living[pick % len(living)]
        self._write(job, ["Started", "Running"])
        for agent in self.agents:
            if job.id in agent.held:
                self._carry(agent, agent.held[job.id], None)

    def _write(self, job: IdealJob, words: list[str]) -> None:
        events = self.folder / "jobs" / job.id / "attempts" / str(job.attempt) / "events.jsonl"
        events.parent.mkdir(parents=True, exist_ok=True)
        for word in words:
            said = {**WORDS[word], "at": AT}
            if word == "Saved":
                self.saved += 1
                # Every other one goes further than all before, and begins the count of interruptions anew.
                said["step"] = self.saved if self.saved % 2 else 0
                job.steps.setdefault(job.attempt, []).append(said["step"])
            job.lines[job.attempt].append(word)
            with events.open("a") as file:
                file.write(json.dumps(said) + "\n")

    @precondition(lambda self: any(job.is_alive for job in self.jobs.values()))
    @rule(pick=PICK)
    def worker_dies(self, pick: int) -> None:
        living = [job for job in self.jobs.values() if job.is_alive]
        living[pick % len(living)].is_alive = False

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK, saves=st.integers(0, 2))
    def attempt_is_interrupted(self, pick: int, saves: int) -> None:
        """A whole life at once: it runs, saves or not, is killed, buried, and its job's turn comes again."""
        agent, held = self._held(pick)
        job = self.jobs[held.job_id]
        if not self._lives(held):
            return
        self._write(job, ["Started", "Running", *["Saved"] * saves])
        job.is_alive = False
        self._bury(agent, held)
        self.agent_claims(self.agents.index(agent), 3)

    # Agents

    @rule(which=WHICH, at_most=st.integers(1, 3))
    def agent_claims(self, which: int, at_most: int) -> None:
        agent = self.agents[which]
        room = CORES - sum(1 for job in self.jobs.values() if job.state in ACTIVE)
        ready = [self.jobs[one] for one in self.line if self._is_ready(self.jobs[one]) and one not in agent.held]
        expected = sorted(ready, key=lambda job: -job.priority)[: max(0, min(room, at_most))]
        with self.database.serialised() as session:
            look = claims.claim_next(session, agent.seat, frozenset(agent.held), at_most=at_most)
        assert [job.id for job, _ in look.claims] == [job.id for job in expected]
        for job in expected:
            job.claimed_by(agent.seat.agent_id)
            agent.held[job.id] = hold(self.folder, job.id, "count", Fence(job.attempt, agent.seat.agent_id))

    def _is_ready(self, job: IdealJob) -> bool:
        return job.state == "QUEUED" and (job.after is None or self.jobs[job.after].state == "COMPLETED")

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK)
    def agent_carries(self, pick: int) -> None:
        agent, held = self._held(pick)
        self._carry(agent, held, None)

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK)
    def agent_carries_and_forgets_how_far(self, pick: int) -> None:
        """As if it had died between the commit and its next look: the store's word counts."""
        agent, held = self._held(pick)
        before = (held.place.offset_bytes, held.place.line)
        self._carry(agent, held, None)
        held.place.offset_bytes, held.place.line = before

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK, condemned=st.sampled_from([False, False, False, True]))
    def agent_buries(self, pick: int, condemned: bool) -> None:
        agent, held = self._held(pick)
        if self._lives(held):
            return
        held.condemned = Condemned("TIME_LIMIT", {"limit_seconds": 1.0}, 0.0) if condemned else None
        self._bury(agent, held)

    @rule(which=WHICH)
    def agent_carries_all_together(self, which: int) -> None:
        """In one transaction, those that are dead closed with it: all or nothing."""
        agent = self.agents[which]
        dead = {held.job_id for held in agent.held.values() if not self._lives(held)}
        close = {held.job_id: partial(rescue.close, held=held) for held in agent.held.values() if held.job_id in dead}
        moved = [held for held in agent.held.values() if held.job_id in dead or self._unread(held)]
        behind = {held.job_id for held in moved if self._is_behind(held)}
        try:
            loads = [(held, close.get(held.job_id)) for held in agent.held.values()]
            self.collector.carry_together(loads)
            assert all(self._is_ours(held) for held in moved)
        except LeaseLost:
            assert not all(self._is_ours(held) for held in moved)
            return
        for held in moved:
            if held.job_id not in behind:
                self.jobs[held.job_id].carry()
            assert held.place.is_closed or held.job_id not in dead - behind
            if held.place.is_closed:
                self.jobs[held.job_id].close(held.condemned is not None)
                del agent.held[held.job_id]

    def _lives(self, held: Held) -> bool:
        job = self.jobs[held.job_id]
        return job.is_alive and job.attempt == held.fence.attempt

    def _is_ours(self, held: Held) -> bool:
        job = self.jobs[held.job_id]
        return (job.attempt, job.owner) == (held.fence.attempt, held.fence.lease_owner)

    def _bury(self, agent: Here, held: Held) -> None:
        close = partial(rescue.close, held=held)
        while held.job_id in agent.held and not held.place.is_closed:
            self._carry(agent, held, close)
        agent.held.pop(held.job_id, None)

    def _carry(self, agent: Here, held: Held, close: partial[None] | None) -> None:
        job = self.jobs[held.job_id]
        is_ours, is_behind = self._is_ours(held), self._is_behind(held)
        something = close is not None or self._unread(held)
        try:
            self.collector.carry(held, close)
            assert is_ours or not something
        except LeaseLost:
            assert not is_ours
            del agent.held[held.job_id]
            return
        if is_ours:
            if not is_behind:
                job.carry()
            if held.place.is_closed:
                job.close(held.condemned is not None)

    def _is_behind(self, held: Held) -> bool:
        """Such an agent learns from the store how far it is, and carries at its next look."""
        return held.place.line != self.jobs[held.job_id].carried.get(held.fence.attempt, 0)

    def _unread(self, held: Held) -> bool:
        return bool(held.carrier.lines_after(held.place.offset_bytes, 1))

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK)
    def hours_end(self, pick: int) -> None:
        _, held = self._held(pick)
        job = self.jobs[held.job_id]
        limits.send_to_wait(self.database, held, held.fence.lease_owner)
        if self._is_ours(held):
            job.hours_end()

    @precondition(lambda self: self._has_held())
    @rule(pick=PICK)
    def inputs_have_no_room(self, pick: int) -> None:
        agent, held = self._held(pick)
        job = self.jobs[held.job_id]
        if job.state != "STARTING" or not job.is_alive or job.lines[job.attempt]:
            return
        is_ours = self._is_ours(held)
        try:
            with self.database.write() as session:
                found = states.lock(session, job.id, held.fence)
                rescue.put_back(session, found, held.fence, 2, 1)
                found.not_before = None
            assert is_ours
            job.has_no_room()
        except LeaseLost:
            assert not is_ours
        del agent.held[job.id]

    @rule(pick=PICK)
    def lease_runs_out(self, pick: int) -> None:
        """Its agent lives, and was silent for too long."""
        job = self._job(pick)
        if job.owner is not None:
            job.lease_is_over = True
            with self.database.write() as session:
                session.get_one(Job, job.id).lease_expires_at = now_of(session) - timedelta(seconds=1)

    @rule(which=WHICH)
    def agent_dies(self, which: int) -> None:
        self.dead.add(self.agents[which].seat.agent_id)
        self.agents[which].die()

    @rule(which=WHICH)
    def agent_takes_over(self, which: int) -> None:
        agent = self.agents[which]
        expected = {job.id for job in self.jobs.values() if job.id not in agent.held and self._is_orphan(job, agent)}
        taken = rescue.take_over(self.database, self.folder, agent.seat, agent.held.keys())
        assert {held.job_id for held in taken} == expected
        for held in taken:
            job = self.jobs[held.job_id]
            assert held.fence == Fence(job.attempt, agent.seat.agent_id)
            assert held.place.line == job.carried[job.attempt]
            job.owner, job.lease_is_over = agent.seat.agent_id, False
            agent.held[job.id] = held

    def _is_orphan(self, job: IdealJob, agent: Here) -> bool:
        if job.state not in ACTIVE:
            return job.owner in self.dead
        return job.owner == agent.seat.agent_id or job.owner in self.dead or job.lease_is_over

    @rule(which=WHICH)
    def dead_agents_are_forgotten(self, which: int) -> None:
        with self.database.write() as session:
            rescue.forget_dead_agents(session, self.agents[which].seat)
        with self.database.read() as session:
            left = {str(one) for one in session.execute(text("SELECT id FROM agents")).scalars()}
        owners = {job.owner for job in self.jobs.values()}
        assert left == {agent.seat.agent_id for agent in self.agents} | (self.dead & owners)

    @rule()
    def scheduler_mends(self) -> None:
        changed = True
        while changed:
            overdue.mend(self.database, self.agents[0].seat)
            overdue.go_on_where_there_is_room(self.database, self.agents[0].seat, self.folder)
            before = {job.id: job.state for job in self.jobs.values()}
            mended = [job.mend(before[job.after] if job.after else None) for job in self.jobs.values()]
            changed = any(mended)

    # What must always be so

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as session:
            columns = "id, state, lease_owner, attempt, paused_for, priority, finished_at, last_seq"
            rows = session.execute(text(f"SELECT {columns} FROM jobs")).all()
            attempts = session.execute(text("SELECT job_id, number, outcome, line FROM attempts ORDER BY number")).all()
            events = session.execute(text("SELECT position, job_id, seq, kind FROM events ORDER BY position")).all()
        stored = {row.id: (row.state, row.lease_owner, row.attempt, row.paused_for, row.priority) for row in rows}
        assert stored == {job.id: (job.state, job.owner, job.attempt, job.paused_for, job.priority) for job in self.jobs.values()}
        assert all((row.finished_at is not None) == (row.state in TERMINAL) for row in rows)
        assert [row.position for row in events] == list(range(1, len(events) + 1))
        for job in self.jobs.values():
            assert [row.kind for row in events if row.job_id == job.id] == job.said
            assert [row.seq for row in events if row.job_id == job.id] == list(range(1, len(job.said) + 1))
            assert {row.number: row.outcome for row in attempts if row.job_id == job.id} == job.outcomes
            assert {row.number: row.line for row in attempts if row.job_id == job.id} == job.carried
        assert {row.id: row.last_seq for row in rows} == {job.id: len(job.said) for job in self.jobs.values()}
        assert sum(1 for job in self.jobs.values() if job.state in ACTIVE) <= CORES

    def everything_goes_well_from_here(self) -> None:
        """Whatever happened: workers finish, agents do their rounds, and nothing is left but what waits for a person or for a disk."""
        before = None
        while before != (before := copy.deepcopy(self.jobs)):
            for which, agent in enumerate(self.agents):
                self.agent_takes_over(which)
                for held in list(agent.held.values()):
                    job = self.jobs[held.job_id]
                    if self._lives(held):
                        self._write(job, ["Finished"])
                        job.is_alive = False
                    self._bury(agent, held)
                self.scheduler_mends()
                self.agent_claims(which, 3)
        self.the_store_says_what_the_model_says()
        for job in self.jobs.values():
            waits = job.state == "PAUSED" and (job.paused_for is None or job.needs_long)
            is_behind = job.state == "QUEUED" and job.after is not None and self.jobs[job.after].state != "COMPLETED"
            assert job.owner is None
            assert job.state in TERMINAL or waits or is_behind, job

    # Choosing

    def _job(self, pick: int) -> IdealJob:
        return list(self.jobs.values())[pick % len(self.jobs)]

    def _has_held(self) -> bool:
        return any(agent.held for agent in self.agents)

    def _held(self, pick: int) -> tuple[Here, Held]:
        found = [(agent, held) for agent in self.agents for held in agent.held.values()]
        return found[pick % len(found)]

    def _tick(self) -> None:
        """Places in the line are moments; two jobs that come within one millisecond have no order."""
        time.sleep(0.002)


@pytest.mark.timeout(600)
def test_jobs_do_what_their_model_does(sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue, "DISK_LOOK_SECONDS", -1.0)
    Jobs.template = sqlite_template
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=40, stateful_step_count=30, deadline=None, database=None, derandomize=True, suppress_health_check=quiet)
    run_state_machine_as_test(Jobs, settings=chosen)
