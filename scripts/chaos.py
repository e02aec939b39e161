"""Chaos: real tiny trainings; worker, agent, web process and database are killed at random, stopped, their clock moved, their disk filled.

    scripts/chaos.py --kills 300 --database postgresql

Each training is followed by the SDK over HTTP all the time. At the end every line that any worker wrote must stand in the
store once, every follower must have been told each event once and in order, every job must have ended COMPLETED with each
step once in its curve, and every checkpoint on the disk must have the hashes it was written with. The last line says so.

The wall clock of ``serve`` and all its processes was moved once by hand (clock_gettime, gettimeofday and time in a preloaded library:
an hour on at step 209 of a training, two back at 607, right again at 1009): one attempt, no interruption, each step once. libfaketime
0.9.10 itself cannot do it under Python 3.11: with the monotonic clock left alone every sleep fails (EINVAL), and with it moved as well
it goes back, which no kernel lets it do.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402
from sqlalchemy import select  # noqa: E402
from sqlalchemy.exc import DBAPIError  # noqa: E402
from support import postgres  # noqa: E402
from support.agents import environment  # noqa: E402

import kargah.accounts.tables  # noqa: E402, F401
from kargah.assets import blobs  # noqa: E402
from kargah.client import Kargah  # noqa: E402
from kargah.datasets import service as datasets  # noqa: E402
from kargah.jobs import history  # noqa: E402
from kargah.jobs.states import TERMINAL  # noqa: E402
from kargah.jobs.tables import Attempt, EventRow, Job, StepBlock  # noqa: E402
from kargah.kit.clock import SystemClock  # noqa: E402
from kargah.store.access import Actor, Role  # noqa: E402
from kargah.store.database import Database, sqlite_url  # noqa: E402
from kargah.store.schema import bring_up_to_date  # noqa: E402
from kargah.training import service as training  # noqa: E402
from kargah.training.schemas import TrainingRequest  # noqa: E402
from kargah.workers import checkpoint  # noqa: E402

T = TypeVar("T")
LINE = ROOT / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
ADMIN = {"email": "admin@example.org", "password": "correct horse battery", "name": "chaos"}
LEASE_SECONDS = 4.0
NOT_YET_SECONDS = 240.0
#: A job gives up after so many interruptions in a row that nobody mends; it is not this that is tried here.
WORKER_KILLS_A_JOB = 3
TOGETHER = 2
#: So often the next blow waits until something was heard of a job again, though not for ever.
CALM, CALM_SECONDS = 0.6, 15.0
TOLD_SECONDS = 30.0
#: A worker is killed wherever it is: while it imports, reads its data, learns, saves, ends.
LIVING = ("STARTING", "LOADING", "RUNNING", "PAUSING", "STOPPING")
SMOOTH = {
    "web": 0.15, "agent": 0.25, "both": 0.1, "worker": 0.25, "stop agent": 0.05, "stop worker": 0.05, "clock": 0.05, "database": 0.05,
    "disk": 0.05,
}  # fmt: skip
#: All of the home stands on it, SQLite's files too; where nobody may mount one, no disk is filled.
DISK = "512m"


class JumpingClock(SystemClock):
    """The agent's clock, ahead by what the file ``clock`` of the home says; it may also go back, as a monotonic one never should."""

    def monotonic_seconds(self) -> float:
        try:
            return super().monotonic_seconds() + float((Path(os.environ["KARGAH_HOME"]) / "clock").read_text())
        except (OSError, ValueError):
            return super().monotonic_seconds()


def agent() -> int:
    """An agent as it is, but for its clock."""
    from kargah.cli.agent import run_agent
    from kargah.jobs import scheduler
    from kargah.kit import settings

    scheduler.SystemClock = JumpingClock  # type: ignore[misc]
    return run_agent(settings.load())


def wait_for(is_so: Callable[[], T], what: str) -> T:
    """A limit against hanging, not a measurement."""
    until = time.monotonic() + NOT_YET_SECONDS
    while not (found := patient(is_so)):
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.05)
    return found


def patient(ask: Callable[[], T]) -> T:
    """The database may just be away."""
    for _ in range(400):
        try:
            return ask()
        except DBAPIError:
            time.sleep(0.1)
    return ask()


@dataclass
class Cluster:
    """The database's server, when it has one."""

    url: str
    data: Path | None = None

    def restart(self, how: str) -> None:
        assert self.data is not None
        log = str(self.data / "log")
        postgres._run(postgres._unprivileged_user(), "pg_ctl", "-D", str(self.data), "-w", "-m", how, "-l", log, "restart")


@contextlib.contextmanager
def cluster(kind: str, home: Path) -> Iterator[Cluster]:
    if kind == "sqlite":
        yield Cluster(sqlite_url(home / "kargah.db"))
        return
    with postgres.temporary_folder() as folder, postgres.server(folder, durable=True) as urls:
        yield Cluster(urls.format("postgres"), folder / "data")


@dataclass
class Follower:
    """Somebody who watches a job by the SDK, through every restart of the web process."""

    url: str
    token: str
    job_id: str
    told: list[tuple[int, int, str]] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        try:
            with Kargah(self.url, self.token) as kargah:
                for event in kargah.jobs.events(self.job_id, retries=10_000):
                    self.told.append((event.position, event.seq, event.kind))
        except Exception as error:  # noqa: BLE001 - the thread's edge: it is told in the verdict
            self.error = f"{type(error).__name__}: {error}"


class Chaos:
    def __init__(self, home: Path, found: Cluster, chance: random.Random, steps: int) -> None:
        self.home, self.cluster, self.chance, self.steps = home, found, chance, steps
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = Database(found.url)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.done: Counter[str] = Counter()
        self.followers: list[Follower] = []
        self.worker_kills: Counter[str] = Counter()
        self.enough = threading.Event()
        self.raged_seconds = 0.0
        self.blows = dict(SMOOTH)
        for name, is_there in (("database", found.data is not None), ("disk", home.is_mount())):
            if not is_there:
                del self.blows[name]

    # Processes

    def start(self, name: str) -> None:
        ours = {
            "KARGAH_PORT": str(self.port), "KARGAH_LEASE_SECONDS": str(LEASE_SECONDS), "KARGAH_RATE_LIMIT_PER_MINUTE": "1000000",
            "KARGAH_LOGIN_RATE_LIMIT_PER_MINUTE": "1000000", "KARGAH_DATABASE_URL": self.cluster.url,
        }  # fmt: skip
        command = [sys.executable, str(Path(__file__).resolve()), "agent"] if name == "agent" else [sys.executable, "-m", "kargah", "web"]
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment(self.home, **ours), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes[name].kill()
        time.sleep(self.chance.uniform(0.0, 0.2))
        for name in names:
            self.processes[name].wait()
            self.start(name)

    def prepare(self) -> None:
        bring_up_to_date(self.database, self.home / "run")
        self.start("web")
        self.start("agent")
        self.token = wait_for(self._registered, "the web process answers")
        with Kargah(self.url, self.token) as kargah:
            user = kargah.me()
        self.actor = Actor(user["id"], Role.ADMIN, "ws_default", frozenset({"ws_default"}))
        digest = blobs.put_file(self.home, LINE)
        with self.database.write() as session:
            dataset, _, job = datasets.create_from_upload(session, self.actor, "line", "line.csv", digest)
        self.dataset_id = dataset.id
        wait_for(lambda: self.job(job.id).state in TERMINAL, "the data are read")

    def _registered(self) -> str:
        with contextlib.suppress(Exception), Kargah(self.url) as kargah:
            return str(kargah.transport.json("POST", "/api/v1/auth/register", json=ADMIN)["token"])
        return ""

    # Jobs

    def submit(self) -> None:
        spec = {"max_steps": self.steps, "baselines": False, "epochs": 1000, "batch_size": 2, "checkpoint_seconds": 1.0}
        request = TrainingRequest(datasets=[self.dataset_id], spec=spec)

        def start() -> str:
            with self.database.write() as session:
                return training.start(session, self.actor, request).job.id

        self.followers.append(Follower(self.url, self.token, patient(start)))

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return session.get_one(Job, job_id)

    def open_jobs(self) -> list[str]:
        def ask() -> list[str]:
            with self.database.read() as session:
                return list(session.scalars(select(Job.id).where(Job.state.not_in(TERMINAL))))

        return patient(ask)

    def worker(self) -> tuple[str, int] | None:
        """A job that may lose its worker once more, and that worker."""

        def ask() -> list[tuple[str, int]]:
            now = (Attempt.job_id == Job.id) & (Attempt.number == Job.attempt)
            running = select(Job.id, Attempt.pid).join(Attempt, now).where(Job.state.in_(LIVING), Attempt.pid.is_not(None))
            with self.database.read() as session:
                return [(job_id, pid) for job_id, pid in session.execute(running) if self._is_worker(pid, job_id)]

        found = [(job_id, pid) for job_id, pid in patient(ask) if self.worker_kills[job_id] < WORKER_KILLS_A_JOB]
        return self.chance.choice(found) if found else None

    def _is_worker(self, pid: int, job_id: str) -> bool:
        with contextlib.suppress(psutil.Error):
            return any(job_id in part for part in psutil.Process(pid).cmdline())
        return False

    # What is done to them

    def strike(self) -> None:
        self.stand_up()
        name = self.chance.choices(list(self.blows), list(self.blows.values()))[0]
        worker = self.worker() if "worker" in name else None
        if "worker" in name and worker is None:
            self.wait_for_progress()  # there is none yet
            return
        if name == "worker" and worker is not None:
            self.worker_kills[worker[0]] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker[1], signal.SIGKILL)
        elif name == "stop worker" and worker is not None:
            self.freeze(worker[1])
        elif name == "stop agent":
            self.freeze(self.processes["agent"].pid)
        elif name == "clock":
            (self.home / "clock").write_text(str(self.chance.choice([-3600.0, 3600.0, 86_400.0, 0.0])))
        elif name == "database":
            self.cluster.restart(self.chance.choice(["immediate", "fast"]))
        elif name == "disk":
            self.fill_disk()
        else:
            self.kill(*{"web": ["web"], "agent": ["agent"], "both": ["web", "agent"]}[name])
        self.done[name] += 1

    def freeze(self, pid: int) -> None:
        """As a laptop's sleep: longer than its lease."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(LEASE_SECONDS + self.chance.uniform(0.5, 2.0))
            os.kill(pid, signal.SIGCONT)

    def fill_disk(self) -> None:
        """To the last byte, for a while; half of the times the agent dies meanwhile and its next one stands up on the full disk."""
        full_seconds, dies = self.chance.uniform(2.0, 25.0), self.chance.random() < 0.5
        until = time.monotonic() + full_seconds
        filler = self.home / "filler"
        with filler.open("wb", buffering=0) as file:
            while (left_seconds := until - time.monotonic()) > 0:
                for size_bytes in (1 << 20, 1 << 12):  # again and again: what is deleted meanwhile gives room
                    with contextlib.suppress(OSError):
                        while file.write(b"\0" * size_bytes):
                            pass
                if dies and left_seconds < full_seconds / 2:
                    dies = False
                    self.kill("agent")
                    self.done["agent"] += 1
                time.sleep(0.02)
        filler.unlink()

    def stand_up(self) -> None:
        """As ``serve`` and systemd do with a process that has ended by itself."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    @property
    def kills(self) -> int:
        """Moving the clock, filling the disk and stopping for a while kill nothing; the database's restart does, and "both" kills two."""
        return sum(self.done[name] for name in ("web", "agent", "worker", "database")) + 2 * self.done["both"]

    def rage(self, kills: int, minutes: float) -> None:
        began = told = time.monotonic()
        until = began + 60 * minutes
        signal.signal(signal.SIGTERM, lambda *_: self.enough.set())
        while self.kills < kills and time.monotonic() < until and not self.enough.is_set():
            while len(self.open_jobs()) < TOGETHER:
                self.submit()
            self.strike()
            if self.chance.random() < CALM:
                self.wait_for_progress()
            time.sleep(self.chance.uniform(0.0, 0.5))
            if time.monotonic() >= told + TOLD_SECONDS:
                told = time.monotonic()
                self.tell(told - began)
        self.raged_seconds = time.monotonic() - began

    def tell(self, seconds: float) -> None:
        rate = 60 * self.kills / seconds
        trainings = f"{len(self.followers) - len(self.open_jobs())} of {len(self.followers)} trainings over"
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {self.kills} kills ({rate:.1f} a minute), {trainings}: {dict(self.done)}\n")
        sys.stdout.flush()

    def wait_for_progress(self) -> None:
        """Else the next blow would always hit what has only just begun to stand up."""
        before, until = self.heard(), time.monotonic() + CALM_SECONDS
        while self.heard() <= before and time.monotonic() < until:
            time.sleep(0.05)

    def heard(self) -> int:
        def ask() -> int:
            with self.database.read() as session:
                return history.latest_position(session)

        return patient(ask)

    def settle(self) -> None:
        """All is left alone until every job has ended and every follower has heard it."""
        (self.home / "clock").unlink(missing_ok=True)
        self.stand_up()
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self.open_jobs(), "all jobs end")
        for follower in self.followers:
            follower.thread.join(60)

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.home / "jobs") in part for part in process.info["cmdline"] or []):
                process.kill()
        self.database.close()


@dataclass
class Verdict:
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    damaged: int = 0
    findings: list[str] = field(default_factory=list)

    def is_clean(self) -> bool:
        return self.lost + self.doubled + self.stuck + self.damaged == 0

    def compare(self, what: str, expected: Counter[Any], found: Counter[Any]) -> None:
        lost, doubled = (expected - found).total(), (found - expected).total()
        self.lost, self.doubled = self.lost + lost, self.doubled + doubled
        if lost or doubled:
            self.findings.append(f"{what}: {lost} lost, {doubled} doubled")


def judge(chaos: Chaos) -> Verdict:
    verdict = Verdict()
    for follower in chaos.followers:
        job = chaos.job(follower.job_id)
        if job.state != "COMPLETED":
            verdict.stuck += 1
            verdict.findings.append(f"{job.id} is {job.state}: {job.error or job.waiting}")
        _judge_events(chaos, job, follower, verdict)
        for folder in (chaos.home / "jobs" / job.id / "checkpoints").glob("step-*"):
            if checkpoint._verified(folder) is None:
                verdict.damaged += 1
                verdict.findings.append(f"{folder} is damaged")
    return verdict


def _judge_events(chaos: Chaos, job: Job, follower: Follower, verdict: Verdict) -> None:
    with chaos.database.read() as session:
        rows = session.execute(select(EventRow.attempt, EventRow.line).where(EventRow.job_id == job.id, EventRow.attempt > 0)).all()
        sealed = [json.loads(line) for content in session.scalars(select(StepBlock.content).where(StepBlock.job_id == job.id))
                  for line in zlib.decompress(content).splitlines()]  # fmt: skip
        events = history.events_after(session, 0, job_id=job.id, limit=10**6)
        steps = [point.step for point in history.steps(session, job.id)]
    stored = Counter((attempt, line) for attempt, line in rows) + Counter((event[2], event[3]) for event in sealed)
    verdict.compare(f"{job.id}, lines", _written(chaos.home / "jobs" / job.id / "attempts"), stored)
    verdict.compare(f"{job.id}, numbers", Counter(range(1, job.last_seq + 1)), Counter(event.seq for event in events))
    verdict.compare(f"{job.id}, told", Counter((event.position, event.seq, event.kind) for event in events), Counter(follower.told))
    if follower.told != sorted(follower.told) or follower.error:
        verdict.lost += 1
        verdict.findings.append(f"{job.id}: its follower was told in another order, or stopped: {follower.error}")
    if job.state == "COMPLETED":
        verdict.compare(f"{job.id}, steps", Counter(range(1, chaos.steps + 1)), Counter(steps))
    damaged = [event for event in events if event.payload.get("code") == "train.checkpoint_damaged"]
    verdict.damaged += len(damaged)


def _written(attempts: Path) -> Counter[tuple[int, int]]:
    """(attempt, line) of every whole line that the workers wrote."""
    found: Counter[tuple[int, int]] = Counter()
    for path in attempts.glob("*/events.jsonl"):
        found.update((int(path.parent.name), line + 1) for line in range(path.read_bytes().count(b"\n")))
    return found


def run(kind: str, kills: int, seed: int, steps: int, home: Path, minutes: float) -> int:
    with cluster(kind, home) as found:
        chaos = Chaos(home, found, random.Random(seed), steps)
        began = time.monotonic()
        try:
            chaos.prepare()
            chaos.rage(kills, minutes)
            chaos.settle()
            verdict = judge(chaos)
        finally:
            chaos.end()
    for finding in verdict.findings:
        sys.stdout.write(f"{finding}\n")
    minutes = (time.monotonic() - began) / 60
    trainings = f"{len(chaos.followers)} trainings of {steps} steps in {minutes:.1f} minutes"
    rate = 60 * chaos.kills / max(chaos.raged_seconds, 1.0)
    sys.stdout.write(f"{kind}, seed {seed}: {dict(chaos.done)}; {trainings}; {rate:.1f} kills a minute while it lasted\n")
    sys.stdout.write(
        f"{chaos.kills} kills: {verdict.lost} events lost, {verdict.doubled} doubled, {verdict.stuck} jobs stuck,"
        f" {verdict.damaged} checkpoints damaged\n"
    )
    sys.stdout.flush()
    return 0 if verdict.is_clean() else 1


def main() -> int:
    if sys.argv[1:] == ["agent"]:
        return agent()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6000, help="of each training")
    parser.add_argument("--minutes", type=float, default=60.0, help="kill no longer than this")
    parser.add_argument("--keep", action="store_true", help="leave the home there afterwards")
    wanted = parser.parse_args()
    status = 0
    for kind in ["sqlite", "postgresql"] if wanted.database == "both" else [wanted.database]:
        home = Path(tempfile.mkdtemp(prefix="kargah-chaos-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "kargah-chaos", str(home)], capture_output=True, check=False)
        status |= run(kind, wanted.kills, wanted.seed, wanted.steps, home, wanted.minutes)
        if wanted.keep or status:
            sys.stdout.write(f"kept: {home}\n")
            continue
        if home.is_mount():
            subprocess.run(["umount", "-l", str(home)], check=False)
        shutil.rmtree(home, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
