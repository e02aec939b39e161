"""The state machine of jobs against a model of it: people, workers, deaths and other agents, in any order."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select
from support.agents import seat
from support.databases import person

from kargah.contract.events import AnyEvent
from kargah.jobs import claims, collector, history, overdue, rescue, service, states
from kargah.jobs.states import ACTIVE, TERMINAL, Fence, LeaseLost
from kargah.jobs.supervision import hold
from kargah.jobs.tables import Attempt, EventRow, Job
from kargah.jobs.terms import Terms
from kargah.kit.errors import IllegalMove
from kargah.store.access import Role
from kargah.store.database import Database, sqlite_url

AT = "2026-11-21T10:00:00Z"
MAX_ATTEMPTS = 3
MOST_JOBS = 3
#: What a person's wish makes of a state; a state that is not named refuses it.
STOP = {"QUEUED": "STOPPED", "PAUSED": "STOPPED"} | dict.fromkeys(["STARTING", "LOADING", "RUNNING", "PAUSING", "STOPPING"], "STOPPING")
PAUSE = {"RUNNING": "PAUSING", "PAUSING": "PAUSING", "PAUSED": "PAUSED"}
RESUME = {"PAUSED": "QUEUED"} | {state: state for state in ("QUEUED", "STARTING", "LOADING", "RUNNING")}
#: What a worker's word makes of an active state.
SAID = {
    "Started": lambda state: "LOADING" if state == "STARTING" else state,
    "Running": lambda state: "RUNNING" if state in ("STARTING", "LOADING") else state,
    "Finished": lambda _: "COMPLETED",
    "Failed": lambda _: "FAILED",
    "Paused": lambda state: "STOPPED" if state == "STOPPING" else "PAUSED",
    "Stopped": lambda _: "STOPPED",
}
WORDS: dict[str, dict[str, Any]] = {
    "Started": {"pid": 1, "threads": 1}, "Running": {"total_steps": 9}, "Finished": {}, "Failed": {"code": "X"},
    "Paused": {"step": 1}, "Stopped": {},
}  # fmt: skip


class Jobs(RuleBasedStateMachine):
    """``model``: job → state; ``owner``: job → the agent that answers for it; ``closed``: interruptions in a row."""

    template: Path
    jobs = Bundle("jobs")

    @initialize(target=jobs)
    def begin(self) -> str:
        """The first job has been claimed: what matters most happens to those that run."""
        self.folder = Path(tempfile.mkdtemp(prefix="kargah-machine-"))
        shutil.copy(self.template, self.folder / "kargah.db")
        self.database = Database(sqlite_url(self.folder / "kargah.db"))
        self.actor = person(self.database, Role.ADMIN)
        self.seats = [seat(cores=2), seat(cores=2)]
        self.model: dict[str, str] = {}
        self.attempt: dict[str, int] = {}
        self.owner: dict[str, str | None] = {}
        self.tries: dict[str, int] = {}
        self.after: dict[str, str | None] = {}
        first = self._submit(None)
        self.agent_claims(0)
        return first

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    @precondition(lambda self: len(self.model) < MOST_JOBS)
    @rule(target=jobs)
    def submit(self) -> str:
        return self._submit(None)

    @precondition(lambda self: len(self.model) < MOST_JOBS)
    @rule(target=jobs, before=jobs)
    def submit_after(self, before: str) -> str:
        return self._submit(before)

    def _submit(self, before: str | None) -> str:
        terms = Terms.model_validate({"after": [before] if before else [], "retry": {"max_attempts": MAX_ATTEMPTS, "back_off_seconds": 0}})
        with self.database.write() as session:
            job_id = service.submit(session, self.actor, "count", "x", {}, terms=terms).id
        self.model[job_id], self.attempt[job_id], self.owner[job_id] = "QUEUED", 0, None
        self.tries[job_id], self.after[job_id] = 0, before
        return job_id

    @rule(job_id=jobs, wish=st.sampled_from(["stop", "pause", "resume"]))
    def person_asks(self, job_id: str, wish: str) -> None:
        expected = {"stop": STOP, "pause": PAUSE, "resume": RESUME}[wish].get(self.model[job_id])
        try:
            with self.database.write() as session:
                getattr(service, wish)(session, self.actor, job_id)
            self.model[job_id] = expected or "refused"
        except IllegalMove:
            assert expected is None

    @rule(which=st.integers(0, 1))
    def agent_claims(self, which: int) -> None:
        mine = self.seats[which]
        ready = [job_id for job_id, state in self.model.items() if state == "QUEUED" and self._is_free(job_id)]
        active = sum(1 for state in self.model.values() if state in ACTIVE)
        with self.database.serialised() as session:
            claimed = claims.claim_next(session, mine).claimed
        assert (claimed is None) == (not ready or active >= 2)
        if claimed is not None:
            assert claimed.id in ready
            self.model[claimed.id], self.owner[claimed.id] = "STARTING", mine.agent_id
            self.attempt[claimed.id] += 1

    def _is_free(self, job_id: str) -> bool:
        before = self.after[job_id]
        return before is None or self.model[before] == "COMPLETED"

    @rule(job_id=jobs, word=st.sampled_from(sorted(WORDS)), stale=st.sampled_from([False, False, False, True]))
    def worker_says(self, job_id: str, word: str, stale: bool) -> None:
        owner = self.owner[job_id]
        if owner is None:
            return
        fence = Fence(self.attempt[job_id], "agent_other" if stale else owner)
        event = AnyEvent.validate_python({"kind": word, "at": AT, **WORDS[word]})
        try:
            with self.database.write() as session:
                collector.apply(session, states.lock(session, job_id, fence), fence, event)
            assert not stale
            if self.model[job_id] in ACTIVE:
                self.model[job_id] = SAID[word](self.model[job_id])
        except LeaseLost:
            assert stale

    @rule(job_id=jobs)
    def worker_dies(self, job_id: str) -> None:
        owner = self.owner[job_id]
        if owner is None:
            return
        with self.database.write() as session:
            rescue.close(session, hold(self.folder, job_id, Fence(self.attempt[job_id], owner)))
        self.owner[job_id] = None
        if self.model[job_id] == "STOPPING":
            self.model[job_id] = "STOPPED"
        elif self.model[job_id] in ACTIVE:
            self.tries[job_id] += 1
            gone = "FAILED" if self.tries[job_id] >= MAX_ATTEMPTS else "QUEUED"
            self.model[job_id] = "PAUSED" if self.model[job_id] == "PAUSING" else gone

    @rule(job_id=jobs, which=st.integers(0, 1))
    def agent_takes_over(self, job_id: str, which: int) -> None:
        """The other agent's row was never written: its attempts are orphans to anyone who looks."""
        mine = self.seats[which]
        taken = {held.job_id for held in rescue.take_over(self.database, self.folder, mine, [])}
        orphans = {one for one, state in self.model.items() if state in ACTIVE}
        assert taken == orphans
        for one in taken:
            self.owner[one] = mine.agent_id

    @rule()
    def agent_mends(self) -> None:
        before = None
        while before != self.model:
            before = dict(self.model)
            overdue.mend(self.database, self.seats[0])
            for job_id, state in self.model.items():
                parent = self.after[job_id]
                if state == "QUEUED" and parent is not None and self.model[parent] in ("FAILED", "STOPPED"):
                    self.model[job_id] = "FAILED"

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as session:
            jobs = {job.id: job for job in session.scalars(select(Job))}
            assert {job.id: job.state for job in jobs.values()} == self.model
            assert {job.id: job.lease_owner for job in jobs.values()} == self.owner
            assert {job.id: job.attempt for job in jobs.values()} == self.attempt
            assert all((job.finished_at is not None) == (job.state in TERMINAL) for job in jobs.values())
            counted = session.execute(select(Attempt.job_id, func.count()).group_by(Attempt.job_id)).all()
            assert dict(tuple(row) for row in counted) == {one: number for one, number in self.attempt.items() if number}
            positions = list(session.scalars(select(EventRow.position).order_by(EventRow.position)))
            assert positions == list(range(1, len(positions) + 1))
            for one, job in jobs.items():
                assert [event.seq for event in history.events_after(session, 0, job_id=one)] == list(range(1, job.last_seq + 1))


@pytest.mark.timeout(600)
def test_jobs_do_what_their_model_does(sqlite_template: Path) -> None:
    Jobs.template = sqlite_template
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=15, stateful_step_count=25, deadline=None, database=None, suppress_health_check=quiet)
    run_state_machine_as_test(Jobs, settings=chosen)
