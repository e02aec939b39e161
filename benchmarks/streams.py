"""Streams under load: many SSE clients of one web process, each told several events a second; delivery, memory, and what stays behind.

    benchmarks/streams.py --clients 1000 --events 10

Delivery is measured from just before the event's transaction to the client's reading of it, on the clock of this one machine. The
clients run in a process of their own beside the server, so both share the machine's cores.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import form
import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from kargah.accounts import tables as _owners  # noqa: E402, F401
from kargah.contract.events import Step  # noqa: E402
from kargah.jobs import history, states  # noqa: E402
from kargah.jobs import service as jobs  # noqa: E402
from kargah.kit.clock import utc_now  # noqa: E402
from kargah.store.access import Actor, Role  # noqa: E402
from kargah.store.database import Database, sqlite_url  # noqa: E402
from kargah.web.live import GIVE_BACK_SECONDS  # noqa: E402

ADMIN = {"email": "admin@example.org", "password": "correct horse battery", "name": "bench"}
DATA = b"data: "


@dataclass
class Footprint:
    memory_mib: float
    threads: int
    descriptors: int

    @staticmethod
    def of(process: psutil.Process) -> "Footprint":
        return Footprint(process.memory_full_info().uss / 2**20, process.num_threads(), process.num_fds())


@dataclass
class Heard:
    """What all clients got: seconds of delivery, and how many events each was told."""

    seconds: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


async def client(url: str, token: str, job_id: str, since: int, last_step: int, heard: Heard, ready: asyncio.Semaphore) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
    request = f"GET /api/v1/jobs/{job_id}/events?since={since} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    await reader.readuntil(b"\r\n\r\n")
    ready.release()
    told, step = 0, -1
    while step < last_step:
        line = await reader.readline()
        if line.startswith(DATA):
            payload = json.loads(line[len(DATA) :])["payload"]
            step = payload["step"]
            if step > 0:
                heard.seconds.append(time.time() - payload["metrics"]["sent"])
                told += 1
    heard.counts.append(told)
    writer.close()


def clients(url: str, token: str, job_id: str, since: int, count: int, last_step: int, pipe: Connection) -> None:
    async def all_of_them() -> Heard:
        heard, ready = Heard(), asyncio.Semaphore(0)
        tasks = []
        for index in range(count):
            tasks.append(asyncio.create_task(client(url, token, job_id, since, last_step, heard, ready)))
            if index % 50 == 49:
                await asyncio.sleep(0.1)
        for _ in range(count):
            await ready.acquire()
        pipe.send("ready")
        await asyncio.gather(*tasks)
        return heard

    gc.disable()  # the clients' own pauses are not the server's
    heard = asyncio.run(all_of_them())
    heard.seconds.sort()
    pipe.send(heard)


def say(database: Database, job_id: str, step: int) -> None:
    event = Step(at=utc_now(), step=step, epoch=0.0, metrics={"loss": 0.5, "sent": time.time()})
    with database.write() as session:
        history.append_lines(session, states.lock(session, job_id), 1, [(step + 1, event)])


def percentile(ordered: list[float], share: float) -> float:
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(count: int, events_a_second: float, seconds: float, home: Path) -> bool:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"HOME": str(home), "PORT": str(port), "RATE_LIMIT_PER_MINUTE": "1000000"}
    environment = os.environ | {f"KARGAH_{name}": value for name, value in settings.items()}
    server = subprocess.Popen([sys.executable, "-m", "kargah", "web"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        return report(server, f"http://127.0.0.1:{port}", home, count, events_a_second, seconds)
    finally:
        server.terminate()
        server.wait()


def signed_in(url: str) -> tuple[str, str]:
    for _ in range(600):
        try:
            answer = httpx.post(f"{url}/api/v1/auth/register", json=ADMIN, timeout=30)
            return answer.json()["token"], answer.json()["user"]["id"]
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def report(server: "subprocess.Popen[bytes]", url: str, home: Path, count: int, events_a_second: float, seconds: float) -> bool:
    token, user_id = signed_in(url)
    database = Database(sqlite_url(home / "kargah.db"))
    with database.write() as session:
        actor = Actor(user_id, Role.ADMIN, "ws_default", frozenset({"ws_default"}))
        job_id = jobs.submit(session, actor, "train", "streams", {"spec": {}}).id
    with database.read() as session:
        since = history.latest_position(session)
    process, total = psutil.Process(server.pid), int(events_a_second * seconds)
    empty = Footprint.of(process)
    listen(url, token, job_id, since, count, 1, database, [0])  # a first crowd: what is loaded and pooled once is no client's
    before = settled(process, empty)
    with database.read() as session:
        since = history.latest_position(session)
    heard, during, cpu = listen(url, token, job_id, since, count, events_a_second, database, range(1, total + 1), process)
    after = settled(process, before)
    database.close()
    whole = heard.counts == [total] * count
    p50, p95, p99 = (percentile(heard.seconds, share) for share in (0.5, 0.95, 0.99))
    left = {name: getattr(after, name) - getattr(before, name) for name in ("threads", "descriptors", "memory_mib")}
    a_client_kib = 1024 * (during.memory_mib - empty.memory_mib) / count
    print(
        f"{count} clients x {events_a_second:g} events/s for {seconds:g} s; server {cpu:.0f} % of one core; load {os.getloadavg()[0]:.1f}"
    )
    told = {"value": round(sum(heard.counts) / (count * total), 6), "unit": "share", "goal": "1", "met": whole}
    form.report("streams", {
        "delivery_p50": form.figure(p50, None, "", "", None, "ms"),
        "delivery_p95": form.figure(p95, None, "", "", None, "ms"),
        "delivery_p99": form.figure(p99, None, "", "≤ 250", p99 <= 250, "ms", load=os.getloadavg()[0]),
        "events_told_of_those_said": told,
        "memory_a_client": form.figure(a_client_kib, None, "", "", None, "KiB"),
        "threads_left": form.figure(left["threads"], None, "", "≤ 0", left["threads"] <= 0, "threads"),
        "descriptors_left": form.figure(left["descriptors"], None, "", "≤ 0", left["descriptors"] <= 0, "descriptors"),
        "memory_left": form.figure(left["memory_mib"], None, "", "≤ 2", left["memory_mib"] <= 2, "MiB"),
        "memory_of_the_first_crowd": form.figure(before.memory_mib - empty.memory_mib, None, "", "", None, "MiB"),
    })  # fmt: skip
    return whole and left["threads"] <= 0 and left["descriptors"] <= 0


def listen(
    url: str, token: str, job_id: str, since: int, count: int, events_a_second: float, database: Database, steps: Sequence[int],
    process: psutil.Process | None = None,
) -> tuple[Heard, Footprint, float]:  # fmt: skip
    """Connect all clients, write the events, wait until all were told. Returns what they heard, the server's footprint, its CPU %."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    last = max(steps)
    beside = context.Process(target=clients, args=(url, token, job_id, since, count, last, theirs))
    beside.start()
    assert ours.recv() == "ready"
    process = process or psutil.Process()
    during, cpu_before, began = Footprint.of(process), process.cpu_times(), time.monotonic()
    for index, step in enumerate(steps, 1):
        time.sleep(max(0.0, began + index / events_a_second - time.monotonic()))
        say(database, job_id, step)
        if index == len(steps) // 2:
            during = Footprint.of(process)
    heard = ours.recv()
    beside.join()
    spent = sum(process.cpu_times()[:2]) - sum(cpu_before[:2])
    return heard, during, 100 * spent / (time.monotonic() - began)


def settled(process: psutil.Process, before: Footprint) -> Footprint:
    """After the clients have left: what the server holds once it has noticed."""
    for _ in range(100):
        found = Footprint.of(process)
        if found.descriptors <= before.descriptors and found.threads <= before.threads:
            break
        time.sleep(0.1)
    time.sleep(GIVE_BACK_SECONDS + 1.0)
    return Footprint.of(process)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--events", type=float, default=10.0, help="a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--quick", action="store_true", help="100 clients for 5 s")
    wanted = parser.parse_args()
    if wanted.quick:
        wanted.clients, wanted.seconds = 100, 5.0
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(wanted.clients, wanted.events, wanted.seconds, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
