"""What can be done with a finished training: the same once more, with what came of that; and the training as a script of its own."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.contract.plans import whole_train_plan
from kargah.jobs.states import State
from kargah.kit.errors import NotFound
from kargah.store.access import Actor
from kargah.training import as_script, reproducing
from kargah.training.reproducing import Reproduction
from kargah.training.schemas import TrainingStarted
from kargah.web.deps import Ask
from kargah.web.idempotency import once_of_form
from kargah.web.pages import figures
from kargah.web.pages.access import see
from kargah.web.pages.forms import form_of
from kargah.web.pages.run_data import find
from kargah.web.pages.run_views import RunData
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Compared:
    """One model beside its first self: ``figures`` are (metric, then, now), of those that differ."""

    name: str
    weights: str
    is_same: bool
    figures: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Outcome:
    """``style``: of the note that holds the verdict."""

    href: str
    title: str
    style: str
    verdict: str
    models: list[Compared]
    reasons: list[str]


def read_outcome(session: Session, actor: Actor, data: RunData) -> Reproduction | None:
    """None where the run that it reproduces is gone."""
    try:
        return reproducing.compare(session, actor, data.run.id)
    except NotFound:
        return None


def afterwards_of(words: Words, data: RunData, found: Reproduction | None) -> dict[str, Any]:
    done = data.job.kind == "train" and data.job.state is State.COMPLETED and not data.plan.get("dry_run")
    plan = whole_train_plan(data.plan) if done else None
    none = as_script.why_none(plan, data.run.params) if plan is not None else None
    return {
        "afterwards": plan is not None,
        "no_script": words.text(none["code"], **none.get("params", {})) if none else "",
        "outcome": _outcome(words, found) if found else None,
    }


def _outcome(words: Words, found: Reproduction) -> Outcome:
    over = found.state in {State.FAILED, State.STOPPED}
    name = "failed" if over else {True: "same", False: "differs", None: "not_over"}[found.same]
    return Outcome(
        href=f"/runs/{found.of_run_id}",
        title=found.of_title,
        style={"same": "ready", "differs": "warn"}.get(name, "info"),
        verdict=words.text(f"reproduction.{name}", title=found.of_title),
        models=[_compared(words, model) for model in found.models],
        reasons=[words.text(reason.code, **reason.params) for reason in found.reasons],
    )


def _compared(words: Words, model: reproducing.ModelCompared) -> Compared:
    name = words.first(f"model.{model.name}", f"family.{model.name}", model.name)
    weights = words.text(f"reproduction.weights_{'same' if model.weights_same else 'differ'}", model=name)
    rows = [(figures.metric_name(words, pair.name), figures.short(pair.first), figures.short(pair.again)) for pair in model.metrics]
    return Compared(name, weights, model.is_same, rows)


@router.post("/runs/{run_id}/reproduce")
async def reproduce(run_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    run = await ask.read(find, run_id)
    made = await once_of_form(ask, values.get("_once", ""), run.id, partial(_again, run.id))
    return see(f"/runs/{made['run_id']}?done=run_reproducing")


def _again(run_id: str, session: Session, actor: Actor) -> TrainingStarted:
    return reproducing.reproduce(session, actor, run_id)
