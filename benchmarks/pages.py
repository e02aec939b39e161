"""What the pages weigh and how soon they are there: with 10,000 jobs in the database, and a chart of 100,000 points.

No peer has these pages: the goals are the product's own (first page ≤ 150 KB over the wire without the font, p95 ≤ 50 ms).
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx
from form import figure, not_measured, report
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import insert
from sqlalchemy.orm import Session

from kargah.accounts.tables import Membership
from kargah.contract.events import Running, Step
from kargah.jobs import blocks, history
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.ids import new_id
from kargah.runs.tables import Run
from kargah.store.database import Database

CHROMIUM = "/usr/bin/chromium"
EMAIL, PASSWORD = "bench@example.org", "a quiet workshop 42"
STATES = ("COMPLETED",) * 17 + ("FAILED", "STOPPED", "COMPLETED")
PATHS = {
    "dashboard": "/",
    "runs": "/runs",
    "runs_failed": "/runs?state=failed",
    "runs_searched": "/runs?q=شمارهٔ 77",
    "analytics": "/analytics",
}
ROUNDS = 60
QUICK_ROUNDS = 21


def fill(database: Database, jobs: int, points: int) -> str:
    """Jobs that are over, each with its run; the last one with a long curve, sealed. Returns its run's id."""
    with database.write() as session:
        member = session.query(Membership).first()
        assert member is not None
        owned = {"owner_id": member.user_id, "workspace_id": member.workspace_id, "visibility": "workspace"}
        ids = [(new_id("job"), new_id("run")) for _ in range(jobs)]
        for start in range(0, jobs, 1000):
            _insert(session, ids[start : start + 1000], owned, start)
    job_id, run_id = ids[-1]
    with database.write() as session:
        job = session.get_one(Job, job_id)
        said = [Running(at=utc_now(), total_steps=points, total_epochs=10.0, choices=[])]
        steps = [_step(number, points) for number in range(1, points + 1)]
        history.append_lines(session, job, 1, list(enumerate([*said, *steps], 1)))
    moved = 1
    while moved:
        with database.write() as session:
            moved = blocks.seal(session, session.get_one(Job, job_id), all_of_it=True)
    return run_id


def _step(number: int, points: int) -> Step:
    loss = 2.0 * math.exp(-3 * number / points) + 0.05 * math.sin(number)
    return Step(at=utc_now(), step=number, epoch=10 * number / points, metrics={"loss": loss, "learning_rate": 1e-3})


def _insert(session: Session, ids: list[tuple[str, str]], owned: dict[str, str], start: int) -> None:
    now = utc_now()
    jobs, runs = [], []
    for index, (job_id, run_id) in enumerate(ids, start):
        title, state, took = f"آموزش شمارهٔ {index}", STATES[index % len(STATES)], timedelta(seconds=30 + index % 90)
        when = {"started_at": now - took, "finished_at": now, **owned}
        model = {"metrics": {"accuracy": 0.8}, "primary_metric": "accuracy", "interval": {"low": 0.7, "high": 0.9}, "family": "network"}
        summary = {"models": {"model": model}, "recommended": "model", "primary_metric": "accuracy"} if state == "COMPLETED" else {}
        jobs.append({
            "id": job_id, "kind": "train", "title": title, "title_folded": title, "state": state, "queued_at": now, "attempt": 1,
            "plan": {"kind": "train", "spec": {"epochs": 3}, "datasets": [{"title": "داده", "folder": "0"}]},
            "progress": {"percent": 100, "step": 300, "total_steps": 300, "epoch": 3, "total_epochs": 3}, **when,
        })  # fmt: skip
        runs.append({
            "id": run_id, "job_id": job_id, "title": title, "title_folded": title, "recipe": "tabular", "status": state,
            "params": {}, "tags": {}, "summary": summary, **when,
        })  # fmt: skip
    session.execute(insert(Job), jobs)
    session.execute(insert(Run), runs)


def render_seconds(client: httpx.Client, path: str, rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds + 5):
        begun = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append(time.perf_counter() - begun)
    return taken[5:]


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def weigh(browser: Browser, url: str, token: str | None, path: str) -> dict[str, int]:
    """Bytes over the wire of a page visited for the first time, by kind of resource."""
    context = browser.new_context(locale="fa-IR")
    if token:
        context.add_cookies([{"name": "kargah_session", "value": token, "url": url}])
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    weights: dict[str, int] = {}
    session.on("Network.responseReceived", lambda event: kinds.__setitem__(event["requestId"], event["type"]))
    session.on(
        "Network.loadingFinished",
        lambda event: weights.__setitem__(
            kinds.get(event["requestId"], "?"), weights.get(kinds.get(event["requestId"], "?"), 0) + int(event["encodedDataLength"])
        ),
    )
    page.goto(url + path)
    page.wait_for_timeout(1500)
    context.close()
    return weights


def chart_ms(browser: Browser, url: str, token: str, run_id: str) -> tuple[float, int]:
    """From the start of the navigation to the first drawn curve; and how many of its points were drawn."""
    context = browser.new_context(locale="fa-IR")
    context.add_cookies([{"name": "kargah_session", "value": token, "url": url}])
    page: Page = context.new_page()
    page.goto(f"{url}/runs/{run_id}", wait_until="commit")
    page.wait_for_function("() => Number(document.querySelector('run-chart')?.dataset.drawn) > 0", polling=10)
    taken, drawn = page.evaluate("() => [performance.now(), Number(document.querySelector('run-chart').dataset.drawn)]")
    context.close()
    return float(taken), int(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        command = [sys.executable, "-m", "kargah"]
        subprocess.run(
            [*command, "users", "add", EMAIL, "--home", folder, "--role", "admin", "--name", "bench"],
            env={**os.environ, "KARGAH_PASSWORD": PASSWORD}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        database = Database(f"sqlite:///{home / 'kargah.db'}")
        run_id = fill(database, asked.jobs, asked.points)
        roomy = {**os.environ, "KARGAH_RATE_LIMIT_PER_MINUTE": "1000000"}
        web = subprocess.Popen([*command, "web", "--home", folder, "--port", "0"], stdout=subprocess.PIPE, text=True, env=roomy)
        try:
            assert web.stdout is not None
            measure(web.stdout.readline().strip(), run_id, asked.points, QUICK_ROUNDS if asked.quick else ROUNDS)
        finally:
            web.terminate()
            web.wait()
            database.close()


def measure(url: str, run_id: str, points: int, rounds: int) -> None:
    token = httpx.post(f"{url}/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()["token"]
    client = httpx.Client(base_url=url, cookies={"kargah_session": token}, timeout=30)
    figures = {}
    for name, path in PATHS.items():
        taken = render_seconds(client, path, rounds)
        value = 1000 * p95(taken)
        median_ms = 1000 * statistics.median(taken)
        figures[f"render_p95_{name}"] = figure(value, None, "", "<= 50 ms", value <= 50, "ms", median_ms=round(median_ms, 1))
    if not Path(CHROMIUM).exists():
        figures["page_weight"] = not_measured(f"there is no browser at {CHROMIUM}", "<= 150 KB", "KB")
        report("pages", figures)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, path, who in (("login", "/login", None), ("dashboard", "/", token), ("run", f"/runs/{run_id}", token)):
            weights = weigh(browser, url, who, path)
            value = sum(size for kind, size in weights.items() if kind != "Font") / 1000
            figures[f"weight_{name}"] = figure(value, None, "", "<= 150 KB", value <= 150, "KB", by_kind=weights)
        times = [chart_ms(browser, url, token, run_id) for _ in range(5)]
        shown = {"points": points, "drawn": times[0][1]}
        figures["first_chart"] = figure(statistics.median(taken for taken, _ in times), None, "", "<= 1000 ms", None, "ms", **shown)
        browser.close()
    report("pages", figures)


if __name__ == "__main__":
    main()
