"""A training that failed: what happened, why, what to do; and the same again, which is a new training."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.kit.errors import NotFound
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest, TrainingStarted
from kargah.web.deps import Ask
from kargah.web.pages.access import see
from kargah.web.pages.run_data import find
from kargah.web.pages.run_views import RunData, readable
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Failure:
    """``evidence``: the end of what the worker said, "" where it said nothing. ``manual``: the page about this kind of failure."""

    text: str
    code: str
    evidence: str
    manual: str


def failure_of(words: Words, data: RunData) -> Failure | None:
    if data.job.state is not State.FAILED or not data.job.error:
        return None
    said = [event.payload.get("evidence") for event in data.events if event.kind == "Failed"]
    code = str(data.job.error.get("code", ""))
    return Failure(words.error(data.job.error), code, readable(str(said[-1] or "")) if said else "", f"/help/errors#{code}")


@router.post("/runs/{run_id}/retry")
async def retry(run_id: str, ask: Ask) -> Response:
    started = await ask(again, run_id)
    return see(f"/runs/{started.run_id}?done=run_again")


def again(session: Session, actor: Actor, run_id: str) -> TrainingStarted:
    """A new training with the data and everything that was chosen for this one; what was decided then is decided anew."""
    run = runs.get_for(session, actor, find(session, actor, run_id).id)
    if run.job_id is None:
        raise NotFound(kind="jobs", id=run_id)
    return training.start(session, actor, request_like(jobs.get_for(session, actor, run.job_id).plan))


def request_like(plan: dict[str, Any]) -> TrainingRequest:
    return TrainingRequest(
        recipe=plan["recipe"],
        title=plan["title"],
        datasets=[dataset["version_id"] for dataset in plan["datasets"]],
        base_model=plan["base_model"]["version_id"] if plan.get("base_model") else None,
        spec={name: plan["spec"][name] for name in plan["chosen"] if name in plan["spec"]},
        dry_run=bool(plan.get("dry_run")),
    )
