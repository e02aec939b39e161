"""What was foreseen of a training, part by part, and how it compares with what came: on the run's page."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from support.sites import Site

from kargah.accounts.tables import Membership
from kargah.contract.events import Finished, Logged, Running
from kargah.contract.plans import DatasetInput, TrainPlan
from kargah.jobs import service as jobs
from kargah.jobs.tables import Job
from kargah.kit.ids import new_id
from kargah.runs import service as runs
from kargah.runs.tables import Run
from kargah.store.access import Actor, Role

FORECAST: dict[str, Any] = {
    "total_steps": 100, "seconds_per_step": 0.61, "train_seconds": 61.0, "evaluation_seconds": 9.0, "total_seconds": 70.0,
    "measured_steps": 5, "peak_memory_bytes": 3 << 30, "base_bytes": 1 << 30, "weights_bytes": 400 << 20, "gradients_bytes": 300 << 20,
    "optimizer_bytes": 600 << 20, "activations_bytes": 500 << 20, "kept_bytes": 200 << 20, "reachable_memory_bytes": 8 << 30,
    "disk_bytes": 1_000_000, "free_disk_bytes": 50_000_000, "model_bytes": 400 << 20, "train_rows": 80, "validation_rows": 20,
    "choices": [
        {"name": "micro_batch_tokens", "value": 400, "source": "adapted", "why": "why.tokens_in_passes",
         "params": {"tokens": 400, "whole": 1600, "free_bytes": 1 << 30, "needed_bytes": 1 << 29}},
    ],
}  # fmt: skip
OUTCOME = {"train_seconds": 66.0, "evaluation_seconds": 11.0, "total_seconds": 77.0, "peak_memory_bytes": 4 << 30, "total_steps": 100}


def told(site: Site, *events: Any, result: dict[str, Any] | None = None) -> str:
    """A run of the trainer's of which ``events`` were told; its page's address."""
    me = site.client("trainer").get("/api/v1/auth/me").json()
    plan = TrainPlan(
        job_id="", title="t", recipe="tabular", spec={}, datasets=[DatasetInput(folder="data-0", title="t")], dry_run=result is not None
    )
    with site.database.write() as session:
        workspace = session.scalars(select(Membership.workspace_id).where(Membership.user_id == me["id"])).one()
        actor = Actor(me["id"], Role(me["role"]), workspace, frozenset({workspace}))
        job = jobs.submit(session, actor, "train", f"run {new_id('x')}", plan.model_dump(mode="json"))
        run = runs.create_for_job(session, actor, job, "tabular")
        runs.on_events(session, [(job, events)])
        session.get_one(Job, job.id).result = {"forecast": result, "dry_run": True} if result else None
        session.flush()
        assert session.get_one(Run, run.id).job_id == job.id
        return f"/runs/{run.id}"


def page(site: Site, path: str, language: str = "en") -> str:
    browser = site.browser("trainer")
    browser.cookies.set("kargah_language", language)
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.text


def foreseen(**changes: Any) -> Logged:
    return Logged(at=datetime.now(UTC), code=runs.FORESEEN, params={**FORECAST, **changes})


def finished(**changes: Any) -> Finished:
    return Finished(at=datetime.now(UTC), result={"models": [], "steps": 100, "outcome": {**OUTCOME, **changes}})


@pytest.mark.parametrize(("language", "words"), [("en", ("10% more", "33% more")), ("fa", ("۱۰٪ بیشتر", "۳۳٪ بیشتر"))])
def test_forecast_and_outcome_stand_side_by_side(site: Site, language: str, words: tuple[str, str]) -> None:
    """What was foreseen first stays, however often it is foreseen again, and after the end."""
    path = told(site, Running(at=datetime.now(UTC)), foreseen(), foreseen(total_seconds=1.0), finished())
    text = page(site, path, language)
    assert all(word in text for word in words)


def test_a_training_that_ended_early_is_held_against_its_part(site: Site) -> None:
    text = page(site, told(site, foreseen(), finished(total_steps=50, total_seconds=35.0, peak_memory_bytes=3 << 30)))
    assert text.count("0% more") == 2


def test_until_the_end_only_the_forecast_is_shown(site: Site) -> None:
    text = page(site, told(site, foreseen()))
    assert "Forecast and outcome" in text and "3 GiB" in text and "% more" not in text
    assert "Forecast and outcome" not in page(site, told(site))


def test_a_dry_run_tells_memory_by_part_and_why_each_setting_is_as_it_is(site: Site) -> None:
    text = page(site, told(site, result=FORECAST))
    for words in ("Gradients", "600 MiB", "Fits this machine", "at most 400 go through at once"):
        assert words in text, words
    assert "within reach" in page(site, told(site, result={**FORECAST, "reachable_memory_bytes": 1 << 30}))
    assert "of disk needed" in page(site, told(site, result={**FORECAST, "disk_bytes": 10**9}))
