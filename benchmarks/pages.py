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
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from form import figure, not_measured, report
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import insert
from sqlalchemy.orm import Session

from kargah.accounts.tables import Membership
from kargah.contract.events import Running, Step
from kargah.datasets.tables import Dataset
from kargah.jobs import blocks, history
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.ids import new_id
from kargah.models.tables import Model, ModelVersion
from kargah.runs.tables import Run
from kargah.store.base import Base
from kargah.store.database import Database
from kargah.text.normalise import fold

Figures = dict[str, dict[str, Any]]

CHROMIUM = "/usr/bin/chromium"
EMAIL, PASSWORD = "bench@example.org", "a quiet workshop 42"
STATES = ("COMPLETED",) * 170 + ("FAILED",) * 18 + ("STOPPED",) * 10 + ("QUEUED", "PAUSED")
DATASETS = 500
#: {run} the newest, whose curve is long; {other} one beside it; {job} a job in the middle of the list.
PATHS = {
    "dashboard": "/",
    "runs": "/runs",
    "runs_active": "/runs?state=active",
    "runs_completed": "/runs?state=completed",
    "runs_failed": "/runs?state=failed",
    "runs_of_a_recipe": "/runs?recipe=text-classification",
    "runs_searched": "/runs?q=شمارهٔ 77",
    "runs_searched_in_vain": "/runs?q=چنین نامی نیست",
    "runs_further_on": "/runs?cursor={job}",
    "analytics": "/analytics",
    "compare_empty": "/compare",
    "compare": "/compare?run={run}&run={other}",
    "datasets": "/datasets",
    "models": "/models",
    "models_searched": "/models?q=شمارهٔ 77",
    "run": "/runs/{run}",
    "curve": "/runs/{run}/curve",
    "curve_part": "/runs/{run}/curve?from_step=50000&to_step=52000",
}
#: What is not a page of words, but what its chart asks for.
DATA = {"curve", "curve_part"}
ROUNDS = 60
QUICK_ROUNDS = 21
PAGE_LOADS = 5
RECIPES = ("tabular", "text-classification")
FAMILIES = {"model": "network", "linear": "linear", "majority": "majority"}
SETTINGS = {f"setting_{number}": {"value": number / 7, "source": "inherited", "why": "", "params": {}} for number in range(30)}
CLASSES = [{"label": f"برچسب {number}", "precision": 0.81, "recall": 0.79, "f1": 0.8, "support": 120} for number in range(8)]
DETAIL = {
    "classes": CLASSES,
    "confusion": {"labels": [row["label"] for row in CLASSES], "counts": [[15] * 8] * 8},
    "interval": {"low": 0.7, "high": 0.9},
    "train_seconds": 12.5,
}


@dataclass(frozen=True)
class Furnished:
    """Ids that the addresses name."""

    run: str
    other: str
    job: str


def fill(database: Database, jobs: int, points: int) -> Furnished:
    """Jobs with their runs and models, as a workshop has after a year; the last one with a long curve, sealed."""
    with database.write() as session:
        member = session.query(Membership).first()
        assert member is not None
        owned = {"owner_id": member.user_id, "workspace_id": member.workspace_id, "visibility": "workspace"}
    ids = [(new_id("job"), new_id("run")) for _ in range(jobs)]
    for start in range(0, jobs, 1000):
        with database.write() as session:
            _insert(session, ids[start : start + 1000], owned, start, jobs)
    with database.write() as session:
        datasets = [{"id": new_id("ds"), "slug": f"data-{n}", "title": f"داده {n}", **owned} for n in range(DATASETS)]
        session.execute(insert(Dataset), datasets)
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
    return Furnished(run_id, ids[-7][1], ids[jobs // 2][0])


def _step(number: int, points: int) -> Step:
    loss = 2.0 * math.exp(-3 * number / points) + 0.05 * math.sin(number)
    return Step(at=utc_now(), step=number, epoch=10 * number / points, metrics={"loss": loss, "learning_rate": 1e-3})


def _insert(session: Session, ids: list[tuple[str, str]], owned: dict[str, str], start: int, jobs: int) -> None:
    made = [
        _furniture(job_id, run_id, index, STATES[(jobs - 1 - index) % len(STATES)], owned)
        for index, (job_id, run_id) in enumerate(ids, start)
    ]
    for table in (Job, Run, Model, ModelVersion):
        rows = [row for furniture in made for row in furniture[table]]
        if rows:
            session.execute(insert(table), rows)


def _furniture(job_id: str, run_id: str, index: int, state: str, owned: dict[str, str]) -> dict[type[Base], list[dict[str, Any]]]:
    now = utc_now()
    title, recipe = f"آموزش شمارهٔ {index}", RECIPES[index % 10 == 0]
    is_over = state in TERMINAL
    when = {"started_at": now - timedelta(seconds=30 + index % 90), "finished_at": now if is_over else None, **owned}
    outcome = {"metrics": {"accuracy": 0.8, "macro_f1": 0.79}, "primary_metric": "accuracy", "interval": DETAIL["interval"]}
    models = {name: {"name": name, "family": family, "architecture": family, **outcome} for name, family in FAMILIES.items()}
    is_done = state == "COMPLETED"
    job = {
        "id": job_id, "kind": "train", "title": title, "title_folded": fold(title), "state": state, "queued_at": now, "attempt": 1,
        "plan": {"kind": "train", "recipe": recipe, "spec": SETTINGS, "datasets": [{"title": "داده", "folder": "0"}]},
        "progress": {"percent": 100 * is_over, "step": 300, "total_steps": 300, "epoch": 3, "total_epochs": 3, "metrics": {"loss": 0.4}},
        "result": {"models": [{**one, "detail": DETAIL} for one in models.values()]} if is_done else None, **when,
    }  # fmt: skip
    summary = {"models": models, "recommended": "model", "primary_metric": "accuracy"} if is_done else {}
    run = {
        "id": run_id, "job_id": job_id, "title": title, "title_folded": fold(title), "recipe": recipe, "status": state,
        "params": SETTINGS, "tags": {}, "summary": summary, **when,
    }  # fmt: skip
    model_id = new_id("mdl")
    model = {"id": model_id, "slug": f"model-{index}", "title": title, "title_folded": fold(title), "recipe": recipe, **owned}
    versions = [_version(model_id, run_id, number, name) for number, name in enumerate(FAMILIES, 1)]
    return {Job: [job], Run: [run], Model: [model] * is_done, ModelVersion: versions * is_done}


def _version(model_id: str, run_id: str, number: int, name: str) -> dict[str, Any]:
    return {
        "id": new_id("mv"), "model_id": model_id, "number": number, "name": name, "source": "training", "family": FAMILIES[name],
        "recipe": "tabular", "architecture": FAMILIES[name], "parameters": 1000, "run_id": run_id, "commit_id": "0" * 40,
        "primary_metric": "accuracy", "metrics": {"accuracy": 0.8}, "detail": DETAIL, "recommended": number == 1, "size_bytes": 10_000,
        "files": [{"path": "model.safetensors", "git_sha1": "0" * 40, "sha256": "0" * 64, "size_bytes": 10_000}],
    }  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """``wall``: seconds of each request; ``cpu``: processor seconds of the web process for one of them, on the average."""

    wall: list[float]
    cpu: float
    size_bytes: int


def ask(client: httpx.Client, web: psutil.Process, path: str, rounds: int) -> Taken:
    for _ in range(5):
        client.get(path).raise_for_status()
    wall = []
    before = web.cpu_times()
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = client.get(path)
        wall.append(time.perf_counter() - begun)
        answer.raise_for_status()
    after = web.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / rounds
    return Taken(wall, cpu, int(answer.headers["content-length"]))


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


@dataclass(frozen=True)
class Chart:
    """``seconds`` from the start of the navigation; ``shift``: how far what was there already has moved (0 to 1, as browsers count)."""

    seconds: float
    drawn: int
    shift: float
    heap_mb: float


def chart(page: Page, url: str, run_id: str) -> Chart:
    """A page of a run opened anew, up to its drawn curve."""
    page.goto(f"{url}/runs/{run_id}", wait_until="commit")
    page.evaluate(
        "() => { window.shift = 0; new PerformanceObserver((seen) => { for (const one of seen.getEntries()) window.shift += one.value; })"
        ".observe({ type: 'layout-shift', buffered: true }); }"
    )
    page.wait_for_function("() => Number(document.querySelector('run-chart')?.dataset.drawn) > 0", polling=10)
    taken, drawn = page.evaluate("() => [performance.now(), Number(document.querySelector('run-chart').dataset.drawn)]")
    page.wait_for_timeout(300)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    heap = next(one["value"] for one in session.send("Performance.getMetrics")["metrics"] if one["name"] == "JSHeapUsedSize")
    return Chart(taken / 1000, int(drawn), float(page.evaluate("() => window.shift")), heap / 1e6)


def zoom_ms(page: Page, points: int) -> tuple[float, int]:
    """A hundredth of the curve looked at closer: to its points drawn as they are, and how many they are."""
    low = points // 2
    return tuple(page.evaluate(
        """async ([low, high]) => {
            const chart = document.querySelector("run-chart");
            const begun = performance.now();
            chart.zoom([low, high]);
            const within = () => chart.chart.data[0].filter((step) => step >= low && step <= high).length;
            while (within() < Math.min(high - low, 500)) await new Promise(requestAnimationFrame);
            return [performance.now() - begun, within()];
        }""",
        [low, low + max(600, points // 100)],
    ))  # fmt: skip


def live_ms(page: Page, points: int) -> float:
    """As many points again, said one after the other as a stream says them; then how long one drawing takes."""
    taken = page.evaluate(
        """async (points) => {
            const chart = document.querySelector("run-chart");
            chart.zoom(null);
            const metrics = () => ({ loss: Math.random(), learning_rate: 1e-3 });
            for (let step = points + 1; step <= 2 * points; step += 1) chart.take({ kind: "Step", payload: { step, metrics: metrics() } });
            const taken = [];
            for (let round = 0; round < 9; round += 1) {
                const begun = performance.now();
                chart.draw(false);
                await new Promise(requestAnimationFrame);
                taken.push(performance.now() - begun);
            }
            return taken;
        }""",
        points,
    )
    return float(statistics.median(taken))


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
        known = fill(database, asked.jobs, asked.points)
        roomy = {**os.environ, "KARGAH_RATE_LIMIT_PER_MINUTE": "1000000"}
        web = subprocess.Popen([*command, "web", "--home", folder, "--port", "0"], stdout=subprocess.PIPE, text=True, env=roomy)
        try:
            assert web.stdout is not None
            url = web.stdout.readline().strip()
            token = httpx.post(f"{url}/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()["token"]
            figures = rendered(url, token, psutil.Process(web.pid), known, QUICK_ROUNDS if asked.quick else ROUNDS)
            figures |= seen(url, token, known.run, asked.points)
        finally:
            web.terminate()
            web.wait()
            database.close()
    report("pages", figures)


def rendered(url: str, token: str, web: psutil.Process, known: Furnished, rounds: int) -> Figures:
    figures: Figures = {}
    with httpx.Client(base_url=url, cookies={"kargah_session": token}, timeout=30) as client:
        for name, path in PATHS.items():
            taken = ask(client, web, path.format(**asdict(known)), rounds)
            value, median_ms = 1000 * p95(taken.wall), 1000 * statistics.median(taken.wall)
            more = {"median_ms": round(median_ms, 1), "cpu_ms": round(1000 * taken.cpu, 1), "kb": round(taken.size_bytes / 1000, 1)}
            goal, met = ("<= 50 ms", value <= 50) if name not in DATA else ("", None)
            figures[f"{'answer' if name in DATA else 'render'}_p95_{name}"] = figure(value, None, "", goal, met, "ms", **more)
            said = f"{name:24} p95 {value:6.1f} ms, median {median_ms:6.1f}, processor {more['cpu_ms']:6.1f}, {more['kb']} KB"
            print(said, flush=True)
    return figures


def seen(url: str, token: str, run_id: str, points: int) -> Figures:
    """What a browser sees: weight, first chart, a closer look, living on."""
    if not Path(CHROMIUM).exists():
        return {"page_weight": not_measured(f"there is no browser at {CHROMIUM}", "<= 150 KB", "KB")}
    figures: Figures = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, path, who in (("login", "/login", None), ("dashboard", "/", token), ("run", f"/runs/{run_id}", token)):
            weights = weigh(browser, url, who, path)
            value = sum(size for kind, size in weights.items() if kind != "Font") / 1000
            goal, met = ("<= 150 KB", value <= 150) if name != "run" else ("", None)  # the goal is the first page's
            figures[f"weight_{name}"] = figure(value, None, "", goal, met, "KB", by_kind=weights)
        context = browser.new_context(locale="fa-IR")
        context.add_cookies([{"name": "kargah_session", "value": token, "url": url}])
        page = context.new_page()
        charts = [chart(page, url, run_id) for _ in range(PAGE_LOADS)]
        cold, warm = charts[0], charts[1:]
        shown = {"points": points, "drawn": cold.drawn, "heap_mb": round(charts[-1].heap_mb, 1), "layout_shift": cold.shift}
        figures["first_chart_cold"] = figure(1000 * cold.seconds, None, "", "", None, "ms", **shown)
        figures["first_chart"] = figure(1000 * statistics.median(one.seconds for one in warm), None, "", "<= 1000 ms", None, "ms", **shown)
        zoomed, within = zoom_ms(page, points)
        figures["closer_look"] = figure(zoomed, None, "", "", None, "ms", points_drawn=within)
        figures["one_drawing_after_as_many_live_points"] = figure(live_ms(page, points), None, "", "<= 50 ms", None, "ms")
        browser.close()
    return figures


if __name__ == "__main__":
    main()
