"""A training that failed: what happened, why, what to do; and the same again, which is a new training."""

from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.kit.settings import Settings
from kargah.store.access import Actor
from kargah.training import failures, scripts
from kargah.training.schemas import TrainingStarted
from kargah.web.deps import Ask
from kargah.web.idempotency import once_of_form
from kargah.web.pages.access import see
from kargah.web.pages.forms import form_of
from kargah.web.pages.run_log import job_of
from kargah.web.pages.run_views import RunData, readable
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Failure:
    """``evidence``: the end of what the worker said, "" where it said nothing. ``manual``: the page about this kind of failure.
    ``fix``: a change that would help, "" where none is known.
    """

    text: str
    code: str
    evidence: str
    manual: str
    fix: str


def failure_of(words: Words, data: RunData) -> Failure | None:
    if data.job.state is not State.FAILED or not data.job.error:
        return None
    said = [event.payload.get("evidence") for event in data.events if event.kind == "Failed"]
    code = str(data.job.error.get("code", ""))
    evidence = readable(str(said[-1] or "")) if said else ""
    changes = data.fix is not None and bool(data.fix.spec or data.fix.terms)
    fix = words.text(data.fix.code, **data.fix.params) if data.fix and changes else ""
    return Failure(words.error(data.job.error), code, evidence, f"/help/errors#{code}", fix)


@router.post("/runs/{run_id}/retry")
async def retry(run_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    job_id = await job_of(ask, run_id)
    made = await once_of_form(ask, values.get("_once", ""), job_id, partial(_again, job_id, ask.settings, values.get("fix") == "yes"))
    return see(f"/runs/{made['run_id']}?done=run_again")


def _again(job_id: str, settings: Settings, with_fix: bool, session: Session, actor: Actor) -> TrainingStarted:
    if jobs.show(session, actor, job_id).kind == scripts.KIND:
        return scripts.again(session, actor, job_id, settings)
    return failures.retry(session, actor, job_id, settings.home, with_fix=with_fix)
