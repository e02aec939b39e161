"""How a door should reach the database: on the event loop, in the default thread pool, or on a few threads of its own.

Small applications over the same SQLite file answer the same list of 50 jobs (the real query and the real schema),
each asked by 32 connections, in turn and again. Beside the rate it tells how long a request that needs no
database waits meanwhile: what the loop's other guests (streams, pages, health) feel.
"""

import argparse
import asyncio
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from form import figure, median, report, spread

CONNECTIONS = 32
LIST = "/list"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", choices=list(KINDS), help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, Path(options.home))
        return
    seconds, rounds = (1.0, 2) if options.quick else (4.0, 3)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        rates, waits = measure(Path(folder), seconds, rounds)
    tell(rates, waits)


def fill(home: Path) -> None:
    from kargah.accounts import service as accounts
    from kargah.jobs import service as jobs
    from kargah.kit.settings import Settings, SignUps
    from kargah.models import tables as _models  # noqa: F401 - foreign keys point there
    from kargah.store import schema
    from kargah.store.database import Database

    settings = Settings(home=home)
    database = Database(settings.url_of_database)
    schema.bring_up_to_date(database, settings.run_folder)
    with database.write() as session:
        accounts.register(session, "bench@example.org", "x", "bench", SignUps.OPEN)
        actor = accounts.local_admin(session)
        for number in range(500):
            jobs.submit(session, actor, "train", f"آموزش {number}", {"spec": {}})
    database.close()


def serve(kind: str, home: Path) -> None:
    import uvicorn
    from fastapi import FastAPI

    from kargah.accounts import service as accounts
    from kargah.jobs import service as jobs
    from kargah.jobs.schemas import JobPage
    from kargah.kit.settings import Settings
    from kargah.models import tables as _models  # noqa: F401
    from kargah.store.database import Database

    database = Database(Settings(home=home).url_of_database)
    with database.read() as session:
        actor = accounts.local_admin(session)

    def listed() -> JobPage:
        with database.read() as session:
            return jobs.list_for(session, actor, limit=50)

    app = FastAPI()
    KINDS[kind](app, listed, JobPage)

    @app.get("/ping")
    async def ping() -> dict[str, bool]:
        return {"ok": True}

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_level="error", access_log=False, loop="uvloop", http="httptools")
        uvicorn.Server(config).run(sockets=[listener])


def on_loop(app: Any, listed: Any, page: Any) -> None:
    @app.get(LIST, response_model=page)
    async def door() -> Any:
        return listed()


def default_pool(app: Any, listed: Any, page: Any) -> None:
    @app.get(LIST, response_model=page)
    def door() -> Any:
        return listed()


def own_threads(count: int) -> Any:
    def add(app: Any, listed: Any, page: Any) -> None:
        pool = ThreadPoolExecutor(count, "database")

        @app.get(LIST, response_model=page)
        async def door() -> Any:
            return await asyncio.get_running_loop().run_in_executor(pool, listed)

    return add


KINDS = {"loop": on_loop, "default_pool": default_pool, **{f"threads_{count}": own_threads(count) for count in (1, 2, 3)}}


def measure(home: Path, seconds: float, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    waits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            command = [sys.executable, __file__, "--serve", kind, "--home", str(home)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            port = int(process.stdout.readline())
            rate, wait = asyncio.run(ask(port, seconds))
            rates[kind].append(rate)
            waits[kind].append(1000 * wait)
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f"{kind:14} {rate:8.0f} requests/s   ping p99 {1000 * wait:7.1f} ms", file=sys.stderr)
    return rates, waits


async def ask(port: int, seconds: float) -> tuple[float, float]:
    """(lists answered a second, p99 seconds of the ping beside them)"""
    await _until_up(port)
    stop_at = time.monotonic() + seconds
    counts = await asyncio.gather(
        *(_keep_asking(port, LIST, stop_at) for _ in range(CONNECTIONS)), _keep_asking(port, "/ping", stop_at, 0.01)
    )
    pings = sorted(counts.pop())
    return sum(len(times) for times in counts) / seconds, pings[int(len(pings) * 0.99)]


async def _until_up(port: int) -> None:
    for _ in range(200):
        try:
            await _keep_asking(port, "/ping", time.monotonic())
            return
        except OSError:
            await asyncio.sleep(0.05)


async def _keep_asking(port: int, path: str, stop_at: float, pause_seconds: float = 0.0) -> list[float]:
    """A bare HTTP/1.1 client: the asker must cost less than the asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    times = []
    while True:
        began = time.monotonic()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.monotonic() - began)
        if time.monotonic() >= stop_at:
            break
        await asyncio.sleep(pause_seconds)
    writer.close()
    return times


def tell(rates: dict[str, list[float]], waits: dict[str, list[float]]) -> None:
    ours, peer = median(rates["threads_2"]), median(rates["default_pool"])
    goal = "the framework's own way, or better"
    figures = {"rate": figure(ours, peer, "sync doors in the framework's thread pool", goal, ours >= peer)}
    for kind in KINDS:
        figures[f"rate_{kind}"] = figure(median(rates[kind]), None, "", "", None, "requests/s", spread=spread(rates[kind]))
        figures[f"ping_p99_{kind}"] = figure(median(waits[kind]), None, "", "", None, "ms", spread=spread(waits[kind]))
    report("doors", figures)


if __name__ == "__main__":
    main()
