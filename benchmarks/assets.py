"""Ten thousand assets listed, searched and filtered over HTTP; a hundred thousand files scanned with their hashes, beside sha256sum.

Both sides of the scan read files that memory holds already: what is measured is the work, not the disk. Ours is a whole scan job, its
process, the walk, two hashes where a file may be a model's or a table, and the index that is written; the peer hashes and prints.
"""

import argparse
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from form import figure, interleaved, median, report, spread
from sqlalchemy import insert

from kargah.accounts.tables import Membership
from kargah.assets.tables import Asset
from kargah.contract import scans
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import AnyEvent, Finished
from kargah.contract.plans import ScanPlan
from kargah.contract.results import ScanResult
from kargah.kit.clock import utc_now
from kargah.kit.ids import new_id
from kargah.store.database import Database
from kargah.text.normalise import fold

EMAIL, PASSWORD = "bench@example.org", "a quiet workshop 42"
LISTS = {
    "list": "/api/v1/assets",
    "list_further_on": "/api/v1/assets?cursor={middle}",
    "list_of_200": "/api/v1/assets?limit=200",
    "filter_kind": "/api/v1/assets?kind=dataset",
    "filter_status_and_source": "/api/v1/assets?status=error&source=HuggingFace",
    "filter_used": "/api/v1/assets?used=true",
    "filter_unused": "/api/v1/assets?used=false",
    "search": "/api/v1/assets?query=شمارهٔ 77",
    "search_in_vain": "/api/v1/assets?query=چنین نامی نیست",
    "trash": "/api/v1/trash",
    "storage": "/api/v1/storage",
    "documented_list": "/api/assets/list/models",
    "storage_page": "/models/storage",
}
GOAL_MS, GOAL_SHARE = 50.0, 0.8
Figures = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=None)
    given = parser.parse_args()
    count = given.files or (20_000 if given.quick else 100_000)
    with tempfile.TemporaryDirectory() as folder:
        figures = lists(Path(folder) / "home", given.assets, 20 if given.quick else 60)
        figures |= scan(Path(folder), count, 3 if given.quick else 5)
    print(f"load {os.getloadavg()[0]:.1f}")
    report("assets", figures)


def lists(home: Path, count: int, rounds: int) -> Figures:
    command = [sys.executable, "-m", "kargah"]
    subprocess.run(
        [*command, "users", "add", EMAIL, "--home", str(home), "--role", "admin", "--name", "bench"],
        env={**os.environ, "KARGAH_PASSWORD": PASSWORD}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    middle = fill(Database(f"sqlite:///{home / 'kargah.db'}"), count)
    roomy = {**os.environ, "KARGAH_RATE_LIMIT_PER_MINUTE": "1000000"}
    web = subprocess.Popen([*command, "web", "--home", str(home), "--port", "0"], stdout=subprocess.PIPE, text=True, env=roomy)
    try:
        assert web.stdout is not None
        return asked(web.stdout.readline().strip(), psutil.Process(web.pid), middle, rounds)
    finally:
        web.terminate()
        web.wait()


def fill(database: Database, count: int) -> str:
    """Models, data sets and artifacts of three files each, some in error, some in the trash. Returns the id of one in the middle."""
    now, ids = utc_now(), [new_id("ast") for _ in range(count)]
    with database.write() as session:
        owner = session.query(Membership).first()
        assert owner is not None
        rows = [_row(asset_id, number, count) for number, asset_id in enumerate(ids)]
        owned = {"owner_id": owner.user_id, "workspace_id": owner.workspace_id, "visibility": "workspace"}
        moments = [{"created_at": now - timedelta(minutes=count - number)} for number in range(count)]
        session.execute(insert(Asset), [{**row, **owned, **moment} for row, moment in zip(rows, moments, strict=True)])
    database.close()
    return ids[count // 2]


def _row(asset_id: str, number: int, count: int) -> dict[str, Any]:
    name = f"پایهٔ فارسی شمارهٔ {number}"
    files = [{"path": f"part-{part}.safetensors", "sha256": f"{number * 3 + part:064x}", "git_sha1": f"{number:040x}", "size_bytes": 10_000}
             for part in range(3)]  # fmt: skip
    return {
        "id": asset_id, "kind": ("model", "dataset", "artifact")[number % 3], "name": name, "name_folded": fold(name),
        "status": "error" if number % 50 == 0 else "ready", "source": "HuggingFace" if number % 4 == 0 else "local", "size_bytes": 30_000,
        "sha256": f"{number:064x}", "files": files, "trashed_at": utc_now() if number % 20 == 2 and number < count // 2 else None,
    }  # fmt: skip


def asked(url: str, web: psutil.Process, middle: str, rounds: int) -> Figures:
    """``cpu_ms``: what one answer takes of a processor in the web process, whatever else is going on."""
    with httpx.Client(base_url=url, timeout=30) as client:
        token = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).raise_for_status().json()["token"]
        client.cookies.set("kargah_session", token)
        took: dict[str, list[float]] = {name: [] for name in LISTS}
        cpu: dict[str, float] = dict.fromkeys(LISTS, 0.0)
        for _, (name, path) in itertools.product(range(rounds), LISTS.items()):
            began, before = time.perf_counter(), web.cpu_times()
            client.get(path.format(middle=middle), headers={"Authorization": f"Bearer {token}"}).raise_for_status()
            took[name].append(1000 * (time.perf_counter() - began))
            after = web.cpu_times()
            cpu[name] += 1000 * (after.user + after.system - before.user - before.system) / rounds
    found = {}
    for name, values in took.items():
        p95 = statistics.quantiles(values[1:], n=20)[-1]  # the first of all opens connections and pages of the database
        about = {"value": p95, "median_ms": median(values), "cpu_ms": cpu[name]}
        print(f"{name:26} p95 {p95:6.1f} ms, median {median(values):6.1f}, processor {cpu[name]:6.1f}", flush=True)
        found[f"{name}_p95_ms"] = figure(p95, None, "", f"<= {GOAL_MS:.0f} ms", p95 <= GOAL_MS, "ms", **about)
    return found


def scan(folder: Path, count: int, rounds: int) -> Figures:
    root = folder / "root"
    total_bytes = lay_files(root, count)
    runs = itertools.count()
    home = folder / "scans"
    cores = len(os.sched_getaffinity(0))
    sides = {
        "ours": lambda: scanned(home, root, next(runs), cores, count),
        "one": lambda: shell(f"find {root} -type f -print0 | xargs -0 -n 1000 sha256sum"),
        "all": lambda: shell(f"find {root} -type f -print0 | xargs -0 -n 1000 -P {cores} sha256sum"),
    }
    sides["one"]()  # what was just written is in memory already, its names need not be
    took = interleaved(rounds, **sides)
    ours, one, all_cores = (median(took[name]) for name in ("ours", "one", "all"))
    again = scanned(home, root, next(runs), cores, 0, afresh=False)
    about: dict[str, Any] = {
        "files": count,
        "mb": round(total_bytes / 1e6),
        "spread_s": {name: spread(values) for name, values in took.items()},
    }
    return {
        "scan_vs_sha256sum": figure(
            1 / ours, 1 / one, "find | xargs sha256sum, one after the other", f">= {GOAL_SHARE}", one / ours >= GOAL_SHARE, **about
        ),
        "scan_vs_sha256sum_on_all_cores": figure(
            1 / ours, 1 / all_cores, f"find | xargs -P {cores} sha256sum", f">= {GOAL_SHARE}", all_cores / ours >= GOAL_SHARE, **about
        ),
        "scan_files_per_second": figure(count / ours, count / one, "sha256sum", "-", None, "files/s"),
        "scan_again_seconds": figure(again, None, "", "-", None, "s", why="nothing has changed: nothing is read"),
    }


def lay_files(root: Path, count: int) -> int:
    """Most of a few kilobytes, one in two hundred of up to two megabytes; every tenth a table. As old as if they had lain there."""
    chance, total_bytes = random.Random(17), 0
    noise = chance.randbytes(4 << 20)
    for number in range(count):
        size = chance.randrange(200_000, 2_000_000) if number % 200 == 0 else chance.randrange(200, 12_000)
        place = root / f"{number // 500:03}"
        if number % 500 == 0:
            place.mkdir(parents=True)
        start = chance.randrange(0, len(noise) - size)
        path = place / (f"{number}.csv" if number % 10 == 0 else f"{number}.dat")
        path.write_bytes(noise[start : start + size])
        os.utime(path, (1_700_000_000, 1_700_000_000))
        total_bytes += size
    return total_bytes


def scanned(home: Path, root: Path, number: int, threads: int, expected: int, *, afresh: bool = True) -> float:
    """Seconds of a whole scan job's process. Of its index the next one knows only unless ``afresh``."""
    index = scans.index_of(home, "root_bench")
    if afresh:
        for path in (index, index.with_suffix(".part")):
            path.unlink(missing_ok=True)
    attempt = AttemptDirectory.of(home, f"job_{number}", 1)
    attempt.path.mkdir(parents=True)
    plan = ScanPlan(job_id=f"job_{number}", threads=threads, root_id="root_bench", folder=str(root))
    attempt.plan.write_text(plan.model_dump_json())
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kargah.workers.scan", str(attempt.path)], check=True)
    seconds = time.perf_counter() - began
    last = AnyEvent.validate_json(attempt.events.read_bytes().splitlines()[-1])
    assert isinstance(last, Finished), last
    assert ScanResult.model_validate(last.result).hashed == expected, last.result
    return seconds


def shell(command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
