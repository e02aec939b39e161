"""What is asked of trainings in a list or on their page, of one or of many: stop, pause, resume, again, another place in the line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import queue, usage
from kargah.jobs import service as jobs
from kargah.jobs.queue import NotQueued, Standing, Where
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.jobs.usage import MemoryOut
from kargah.kit.errors import BadInput, Forbidden, IllegalMove
from kargah.monitoring import outlook
from kargah.monitoring.outlook import Outlook
from kargah.store.access import Actor
from kargah.training import checkpoints, failures
from kargah.training.checkpoints import CheckpointOut, NotATraining
from kargah.training.failures import NothingToRetry
from kargah.web.deps import Ask
from kargah.web.idempotency import once_of_form
from kargah.web.pages import run_checkpoints, run_memory
from kargah.web.pages.access import see
from kargah.web.pages.run_views import RunData
from kargah.web.pages.words import Words
from kargah.web.security import safe_next

router = APIRouter(include_in_schema=False)
MOST_AT_ONCE = 200
ACTIONS = {"stop": jobs.stop, "pause": jobs.pause, "resume": jobs.resume}
RETRY, PUT = "retry", "put"
MOVES = {f"move-{where}": where for where in Where}
#: How a move is taken back: each job with the place it had.
PLACES = re.compile(r"job_[0-9a-f]+:[1-9][0-9]{0,5}(,job_[0-9a-f]+:[1-9][0-9]{0,5})*")
#: What makes one of many stay as it is.
NOT_NOW = (IllegalMove, Forbidden, NotQueued, NothingToRetry, NotATraining)


class UnknownAction(BadInput):
    code = "UNKNOWN_ACTION"


@dataclass(frozen=True)
class _Done:
    """``text``: a text ``done.*``. ``before``: the places that a move changed, to put them back."""

    text: str
    before: Mapping[str, int]


class Again(BaseModel):
    count: int


@dataclass(frozen=True)
class OnHand:
    """What can be done with a run besides what its state allows: its place in the line, its checkpoints, its memory over time."""

    standing: Standing | None
    outlook: Outlook | None
    checkpoints: list[CheckpointOut]
    memory: MemoryOut


def read_controls(session: Session, actor: Actor, job: JobOut, home: Path) -> OnHand:
    queued = job.state is State.QUEUED
    return OnHand(
        standing=queue.standings(session, actor).get(job.id) if queued else None,
        outlook=outlook.of_queued(session, actor, job.id) if queued else None,
        checkpoints=checkpoints.list_for(session, actor, job.id, home),
        memory=usage.show(session, actor, job.id, home),
    )


def controls_of(words: Words, data: RunData, found: OnHand) -> dict[str, Any]:
    standing = found.standing
    return {
        "place": words.text("queue.place", n=standing.place) if standing else "",
        "can_move": standing is not None and standing.own_of > 1,
        "outlook": outlook_text(words, found.outlook),
        "checkpoints": run_checkpoints.rows_of(words, data, found.checkpoints),
        "memory": run_memory.curve_of(words, found.memory),
    }


def outlook_text(words: Words, found: Outlook | None) -> str:
    return words.text(found.code, **words.amounts(found.params)) if found else ""


@router.post("/runs/act")
async def act(request: Request, ask: Ask) -> Response:
    """``action`` of each ``run``, in one transaction; a run whose state does not allow it, or that is another's, stays as it is."""
    form = await request.form()
    action = str(form.get("action", ""))
    if action not in {*ACTIONS, *MOVES, RETRY, PUT}:
        raise UnknownAction(field="action", action=action[:40], known=", ".join([*ACTIONS, *MOVES, RETRY]))
    wanted = [str(value) for value in form.getlist("run")][:MOST_AT_ONCE]
    if action in MOVES:
        done = await ask(_move, MOVES[action], wanted)
    elif action == PUT:
        done = await ask(_put_back, _places(str(form.get("places", ""))))
    elif action == RETRY:
        body = f"{action} {wanted}"
        made = await once_of_form(ask, str(form.get("_once", "")), body, partial(_retry, ask.settings.home, wanted))
        done = _Done("runs_again" if made["count"] else "runs_unchanged", {})
    else:
        done = await ask(_act, action, wanted)
    return see(_back(str(form.get("next", "")), done))


def _back(wanted: str, done: _Done) -> str:
    back = safe_next(wanted)
    undo = ",".join(f"{job_id}:{place}" for job_id, place in done.before.items())
    return f"{back}{'&' if '?' in back else '?'}done={done.text}{f'&undo={quote(undo)}' if undo else ''}"


def _act(session: Session, actor: Actor, action: str, job_ids: list[str]) -> _Done:
    changed = 0
    for job_id in job_ids:
        try:
            ACTIONS[action](session, actor, job_id)
        except NOT_NOW:
            continue
        changed += 1
    return _Done("runs_asked" if changed else "runs_unchanged", {})


def _retry(home: Path, job_ids: list[str], session: Session, actor: Actor) -> Again:
    """Each that failed or was stopped, once more as it was."""
    count = 0
    for job_id in job_ids:
        try:
            failures.retry(session, actor, job_id, home)
        except NOT_NOW:
            continue
        count += 1
    return Again(count=count)


def _move(session: Session, actor: Actor, to: Where, job_ids: list[str]) -> _Done:
    """Several keep their order among themselves."""
    before = queue.standings(session, actor)
    wanted = sorted((job_id for job_id in job_ids if job_id in before), key=lambda job_id: before[job_id].own)
    if to in (Where.FIRST, Where.DOWN):
        wanted.reverse()
    for job_id in wanted:
        try:
            queue.move(session, actor, job_id, to)
        except NOT_NOW:
            continue
    after = queue.standings(session, actor)
    moved = {job_id: before[job_id].own for job_id in wanted if job_id in after and after[job_id] != before[job_id]}
    return _Done("runs_moved" if moved else "runs_unmoved", moved)


def _put_back(session: Session, actor: Actor, places: Mapping[str, int]) -> _Done:
    return _Done("runs_put_back" if queue.put(session, actor, places) else "runs_unmoved", {})


def _places(said: str) -> dict[str, int]:
    if not PLACES.fullmatch(said):
        raise BadInput(field="places", reason="string_pattern_mismatch")
    pairs = (one.partition(":") for one in said.split(",")[:MOST_AT_ONCE])
    return {job_id: int(place) for job_id, _, place in pairs}
