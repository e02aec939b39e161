"""The only loop: it gives queued jobs their processes, carries what they say, passes on what people want, and mends what died."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from kargah.contract.events import Asked
from kargah.jobs import blocks, claims, history, limits, logs, overdue, processes, rescue, states, supervision, usage
from kargah.jobs.afterwards import tell_ends
from kargah.jobs.claims import Seat
from kargah.jobs.collector import BATCH_LINES, Collector
from kargah.jobs.launchers import local
from kargah.jobs.projection import Trades
from kargah.jobs.resources import Grant
from kargah.jobs.states import Fence, LeaseLost
from kargah.jobs.supervision import Held, Signs
from kargah.jobs.tables import Agent, EventRow, Job
from kargah.kit import files
from kargah.kit.clock import Clock, SystemClock, utc_now
from kargah.kit.errors import KargahError
from kargah.store import wake
from kargah.store.ballast import Ballast
from kargah.store.database import Database, found_no_room, now_of

TICK_SECONDS = 0.2
#: Between two ticks when nothing has happened for a while, where whoever wants something can wake the agent. An agent that ticks has work
#: for two hundredths of a core.
IDLE_TICK_SECONDS, IDLE_AFTER_SECONDS = 1.0, 10.0
RESCUE_SECONDS = 1.0
SEAL_SECONDS = 30.0
LEASE_RENEWALS = 4
BATCHES_A_TICK = 10
JOBS_SEALED_AT_ONCE = 5
#: Few, since between its claim and its start a job is nobody's who could say that it lives.
CLAIMED_AT_ONCE = 8
#: How soon the first words of an attempt, and its end, are noticed between two ticks.
LOOK_SECONDS = 0.02
#: How soon one who does nothing notices that it is to end.
IDLE_LOOK_SECONDS = 0.1
NO_SIGNS: Signs = (None, 0)

log = logging.getLogger(__name__)
Tick = Callable[[], None]


class Scheduler:
    """One an agent. ``also``: what others want done at every tick (the serving domain's supervision)."""

    def __init__(
        self, database: Database, home: Path, seat: Seat, trades: Trades, also: Sequence[Tick] = (), clock: Clock | None = None
    ) -> None:
        self._database = database
        self._home = home
        self._seat = seat
        self._trades = trades
        self._also = also
        self._clock = clock or SystemClock()
        self._ballast = Ballast(database)
        self._collector = Collector(database, home, trades)
        self._due: dict[str, float] = {}
        self._meter = usage.Meter()
        self._seen = 0
        self._signs: dict[str, Signs] = {}
        self._accepting = True
        self._left_some = False
        self._idle_from = 0.0
        self.held: dict[str, Held] = {}

    def run(self, stopping: threading.Event) -> None:
        """Until ``stopping`` is set. What fails is logged and tried again: the store may be away for a while."""
        registered = False
        with wake.Sleeper(self._database.engine) as sleeper:
            while not stopping.is_set():
                try:
                    if not registered:
                        self.register()
                        registered = True
                    self.tick()
                    self._rest(sleeper, stopping)
                except OperationalError as error:
                    log.warning("the database does not answer: %s", error.orig)
                    if found_no_room(error):
                        self._ballast.give_up()
                    stopping.wait(1.0)
                except Exception:
                    log.exception("a round of the scheduler failed")
                    stopping.wait(1.0)

    def _rest(self, sleeper: wake.Sleeper, stopping: threading.Event) -> None:
        """Until something is wanted, or an attempt begins or ends; a tick's time at most."""
        now = time.monotonic()
        if self.held:
            self._idle_from = now + IDLE_AFTER_SECONDS
        is_idle = now >= self._idle_from and sleeper.can_be_woken
        until = now + (min(IDLE_TICK_SECONDS, self._seat.lease_seconds / LEASE_RENEWALS) if is_idle else TICK_SECONDS)
        look_seconds = LOOK_SECONDS if self.held else IDLE_LOOK_SECONDS
        while not stopping.is_set() and (left_seconds := until - time.monotonic()) > 0:
            woken = sleeper.sleep(min(left_seconds, look_seconds))
            before, self._signs = self._signs, {held.job_id: supervision.signs_of(held) for held in self.held.values()}
            if woken:
                self._idle_from = time.monotonic() + IDLE_AFTER_SECONDS
            if woken or any(signs != before.get(job_id, NO_SIGNS) for job_id, signs in self._signs.items()):
                return

    def drain(self, limit_seconds: float) -> None:
        """Start nothing more; have every job save a checkpoint and go. Those that have not after ``limit_seconds`` go on running."""
        self._accepting = False
        until = self._clock.monotonic_seconds() + limit_seconds
        while self.held and self._clock.monotonic_seconds() < until:
            for job_id in self.held:
                with self._database.write() as session:
                    job = states.lock(session, job_id)
                    if job.state == states.State.RUNNING:
                        states.move(session, job, states.State.PAUSING)
                        history.append(session, job, Asked(at=utc_now(), action="pause", by=self._seat.agent_id))
            self.tick()
            time.sleep(TICK_SECONDS)

    def register(self) -> None:
        me = processes.this_process()
        with self._database.write() as session:
            session.merge(
                Agent(
                    id=self._seat.agent_id, host=self._seat.host, pid=me.pid, pid_started_at=me.started_at,
                    cores=self._seat.cores, heartbeat_at=now_of(session),
                )
            )  # fmt: skip

    def tick(self) -> None:
        if self._is_due("lease", self._seat.lease_seconds / LEASE_RENEWALS):
            self._renew()
        if self._is_due("rescue", RESCUE_SECONDS):
            self._rescue()
            overdue.mend(self._database, self._seat)
            overdue.go_on_where_there_is_room(self._database, self._seat, self._home)
            limits.watch(self._database, self.held, self._seat.agent_id)
        if self._is_due("usage", usage.SAMPLE_SECONDS):
            self._meter.look(self.held.values())
        self._watch_all()
        if self._accepting:
            self._claim()
        self._seen = tell_ends(self._database, self._home, self._trades, self._seen)
        if self._is_due("seal", SEAL_SECONDS):
            self._seal()
            self._ballast.set_aside()
        for also in self._also:
            also()

    def _is_due(self, name: str, every_seconds: float) -> bool:
        now = self._clock.monotonic_seconds()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + every_seconds
        return True

    def _renew(self) -> None:
        with self._database.write() as session:
            now = now_of(session)
            until = now + timedelta(seconds=self._seat.lease_seconds)
            mine = (Job.lease_owner == self._seat.agent_id) & Job.state.in_(states.ACTIVE)
            session.execute(update(Job).where(mine).values(lease_expires_at=until))
            session.execute(update(Agent).where(Agent.id == self._seat.agent_id).values(heartbeat_at=now))

    def _rescue(self) -> None:
        for held in rescue.take_over(self._database, self._home, self._seat, self.held.keys()):
            log.info("job %s taken over", held.job_id)
            self.held[held.job_id] = held
        with self._database.read() as session:
            others = session.scalars(select(Agent.id).where(Agent.host == self._seat.host, Agent.id != self._seat.agent_id)).first()
        if others is not None:
            with self._database.write() as session:
                rescue.forget_dead_agents(session, self._seat)

    def _watch_all(self) -> None:
        if not self.held:
            return
        with self._database.read() as session:
            found = select(Job.id, Job.state).where(Job.id.in_(list(self.held)))
            state_of = {row.id: row.state for row in session.execute(found)}
        for held in self.held.values():
            held.state = state_of.get(held.job_id)
        dead = {held.job_id for held in self.held.values() if supervision.is_dead(held)}
        for job_id in dead:
            limits.judge_dead(self._database, self.held[job_id])
        self._carry_together(dead)
        for held in list(self.held.values()):
            try:
                self._watch(held, held.job_id in dead)
            except LeaseLost:
                log.warning("job %s is another's now", held.job_id)
                del self.held[held.job_id]
            except OperationalError:
                raise
            except Exception as error:  # the job's edge: one bad job must not end all others
                if files.is_full(error):
                    raise
                log.exception("job %s could not be looked after", held.job_id)

    def _carry_together(self, dead: Collection[str]) -> None:
        """In one transaction, where nothing is wrong with any of them; else each is looked after by itself in a moment."""
        known = [held for held in self.held.values() if held.state is not None]
        if len(known) < 2:
            return
        last = {held.job_id: partial(rescue.close, held=held) for held in known if held.job_id in dead}
        try:
            self._collector.carry_together([(held, last.get(held.job_id)) for held in known])
        except OperationalError:
            raise
        except LeaseLost:
            return
        except Exception as error:
            if not files.is_full(error):
                log.warning("attempts are carried one by one", exc_info=True)

    def _watch(self, held: Held, dead: bool) -> None:
        """Death is looked for before the last lines are read, so that a worker's last word is never missed."""
        if not dead:
            if held.state is not None:
                self._carry(held)
            supervision.make_obey(held, held.state or states.State.STOPPING, self._clock.monotonic_seconds())
            return
        while held.state is not None and not held.place.is_closed:
            self._collector.carry(held, partial(rescue.close, held=held))
        del self.held[held.job_id]

    def _carry(self, held: Held) -> None:
        for _ in range(BATCHES_A_TICK):
            if self._collector.carry(held) < BATCH_LINES:
                return

    def _claim(self) -> None:
        while True:
            if not self._left_some:  # else the last look knows already that one is worth the lock
                with self._database.ask() as session:
                    if not claims.has_queue(session, self._seat):
                        return
            with self._database.serialised() as session:
                look = claims.claim_next(session, self._seat, frozenset(self.held), at_most=CLAIMED_AT_ONCE)
            self._left_some = look.leaves_some
            for job, grant in look.claims:
                self._launch(job, grant)
            if len(look.claims) < CLAIMED_AT_ONCE:
                break
        for job_id in look.news:
            with self._database.write() as session:
                claims.say_waiting(session, job_id, look.waiting[job_id].code, look.waiting[job_id].params)

    def _launch(self, job: Job, grant: Grant) -> None:
        held = supervision.hold(self._home, job.id, job.kind, Fence(job.attempt, self._seat.agent_id))
        try:
            directory = local.lay_out(self._home, self._trades, job, grant)
            self._still_ours(job.id, held.fence)
            held.child = local.start(self._trades, job, directory, grant, host_has_gpus=bool(self._seat.gpus))
        except LeaseLost:
            log.warning("job %s was taken over before its start", job.id)
            return
        except (KargahError, OSError) as error:
            self._refuse(job.id, held.fence, error)
            return
        held.process = processes.identify(held.child.pid)
        self.held[job.id] = held
        self._write_down(held)

    def _still_ours(self, job_id: str, fence: Fence) -> None:
        """This process may have been stopped, or asleep with its machine, since the claim. Raises LeaseLost."""
        with self._database.read() as session:
            job = session.get_one(Job, job_id)
            if (job.attempt, job.lease_owner) != (fence.attempt, fence.lease_owner):
                raise LeaseLost(id=job_id)

    def _write_down(self, held: Held) -> None:
        """A process that was started for an attempt of another's by now is ended at once: nothing may run twice."""
        assert held.child is not None
        try:
            with self._database.write() as session:
                _, attempt = states.lock_attempts(session, {held.job_id: held.fence})[held.job_id]
                attempt.pid, attempt.launched_at = held.child.pid, utc_now()
                attempt.pid_started_at = held.process.started_at if held.process else None
        except LeaseLost:
            log.warning("job %s was taken over at its start", held.job_id)
            held.child.kill()
            held.child.wait()
            del self.held[held.job_id]

    def _refuse(self, job_id: str, fence: Fence, error: KargahError | OSError) -> None:
        if files.is_full(error):
            self._put_back(job_id, fence)
            return
        code, params = (error.code, error.params) if isinstance(error, KargahError) else ("LAUNCH_FAILED", {"reason": str(error)})
        with self._database.write() as session:
            job = states.lock(session, job_id, fence)
            rescue.fail(session, job, fence, code, params)
            job.lease_owner = job.lease_expires_at = None

    def _put_back(self, job_id: str, fence: Fence) -> None:
        with self._database.write() as session:
            job = states.lock(session, job_id, fence)
            needed_bytes = sum(file.get("size_bytes", 0) for file in job.plan.get("inputs", []))
            rescue.put_back(session, job, fence, needed_bytes, files.free_bytes(self._home))

    def _seal(self) -> None:
        for held in self.held.values():
            with suppress(OSError):  # a file system that knows no holes keeps it whole
                logs.keep_within(held.directory.log)
        with self._database.read() as session:
            hot = select(EventRow.seq).where(EventRow.job_id == Job.id, EventRow.kind == "Step")
            over = select(Job.id).where(Job.state.in_(states.TERMINAL), hot.exists()).limit(JOBS_SEALED_AT_ONCE)
            done = set(session.scalars(over))
        for job_id in [*sorted(done), *self.held]:
            while self._seal_block(job_id, all_of_it=job_id in done):
                pass

    def _seal_block(self, job_id: str, all_of_it: bool) -> int:
        with self._database.write() as session:
            return blocks.seal(session, states.lock(session, job_id), all_of_it=all_of_it)
