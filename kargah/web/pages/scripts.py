"""People's own Python files: the form that starts one, those that ran, and what one left behind."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobPage
from kargah.jobs.terms import Terms
from kargah.kit.errors import BadInput, KargahError
from kargah.kit.files import Digest
from kargah.kit.settings import CustomScripts
from kargah.store.access import Actor
from kargah.training import scripts
from kargah.training.schemas import TrainingStarted
from kargah.training.scripts import NotAScript, ScriptRequest
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, plain, schema_errors
from kargah.web.pages.render import render
from kargah.web.pages.run_views import RunData, row_of, said_by
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
MOST_DATASETS = 50
SAMPLE = "learning_rate = 0.1"
EXAMPLE = """\
from kargah.client import run

rows = [row for table in run.inputs() for row in table.rows()]
before = run.last_checkpoint()
step = before[0] if before else 0
run.begin(total_steps=100)
while step < 100 and not run.should_stop():
    step += 1
    run.metrics(step, loss=1 / step)
    if step % 10 == 0:
        with run.save_checkpoint(step) as folder:
            (folder / "state.txt").write_text(str(step))
(run.outputs() / "result.txt").write_text("done")"""
LISTED = 20
CONFINED = "script.confined."
_NOTES = {"bubblewrap": "ready", "user": "info"}


@dataclass(frozen=True)
class Output:
    path: str
    size: str
    href: str


@router.get("/scripts")
async def list_scripts(request: Request, ask: Ask) -> Response:
    return await _page(request, ask, {}, {})


@router.post("/scripts")
async def run_script(request: Request, ask: Ask) -> Response:
    form = await request.form()
    values, chosen, source = plain(form), [str(value) for value in form.getlist("dataset")], form.get("source")
    try:
        scripts.require_allowed(ask.actor, ask.settings)
        wanted = _wanted(values, chosen, source.filename if isinstance(source, UploadFile) else "")
        content = await source.read(scripts.SOURCE_LIMIT_BYTES + 1) if isinstance(source, UploadFile) else b""
        file = await ask.compute(scripts.keep_source, ask.settings.home, content)
        body = f"{wanted.model_dump_json()} {file.sha256}"
        made = await once_of_form(ask, values.get("_once", ""), body, partial(_start, ask, wanted, file))
    except ValidationError as problem:
        return await _page(request, ask, values, schema_errors(request, problem), 422)
    except KargahError as error:
        return await _page(request, ask, values, errors_of(request, error), error.status)
    return see(f"/runs/{made['run_id']}?done=script_queued")


def _start(ask: Asking, wanted: ScriptRequest, file: Digest, session: Session, actor: Actor) -> TrainingStarted:
    return scripts.start(session, actor, wanted, file, ask.settings)


def _wanted(values: dict[str, str], chosen: list[str], filename: str | None) -> ScriptRequest:
    if not filename:
        raise NotAScript(field="source", reason={"code": "script.bad.missing"})
    minutes = values.get("minutes", "").strip()
    try:
        terms = Terms(time_limit_seconds=60 * float(minutes)) if minutes else Terms()
    except ValueError:
        raise BadInput(field="minutes", reason="float_parsing") from None
    told = {"filename": filename[:200], "title": values.get("title") or None, "datasets": chosen}
    return ScriptRequest(parameters=parameters_of(values.get("parameters", "")), terms=terms, **told)


def parameters_of(lines: str) -> dict[str, Any]:
    """``name = value`` a line; a value is JSON where it is any, else text. Raises BadInput."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or not equals:
            raise BadInput(field="parameters", reason=line[:80])
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


async def _page(request: Request, ask: Asking, values: dict[str, str], errors: Errors, status: int = 200) -> Response:
    page = page_of(request, "runs", crumbs=((Words(request.state.language).text("scripts.title"), ""),))
    ready, made = await ask.read(_materials)
    policy = ask.settings.custom_scripts
    allowed = policy is CustomScripts.TRAINERS or (policy is CustomScripts.ADMINS and ask.actor.is_admin)
    return render(
        "scripts.html", page, status=status, example=EXAMPLE, sample=SAMPLE, policy=policy.value, values=values, errors=errors,
        allowed=allowed and not page.is_viewer, rows=[row_of(page.words, job) for job in made.items],
        datasets=[(dataset.id, dataset.title) for dataset in ready],
        other_error=next((text for name, text in errors.items() if name not in {"source", "parameters", "minutes", "title"}), ""),
    )  # fmt: skip


def _materials(session: Session, actor: Actor) -> tuple[list[DatasetOut], JobPage]:
    known = datasets.list_for(session, actor, limit=MOST_DATASETS).items
    ready = [dataset for dataset in known if dataset.version and dataset.version.state == "READY"]
    return ready, jobs.list_for(session, actor, kind=scripts.KIND, limit=LISTED)


async def script_of(ask: Asking, words: Words, data: RunData) -> dict[str, Any]:
    """What the page of a run shows of a script; nothing for a training."""
    if data.job.kind != scripts.KIND:
        return {"script": None, "outputs": []}
    found = await ask.read(scripts.outputs_of, data.job.id)
    place = f"/api/v1/scripts/{data.job.id}"
    outputs = [Output(entry.path, words.size(entry.size_bytes), f"{place}/outputs/files/{entry.path}") for entry in found]
    sha256 = data.plan["sha256"]
    shown = {"name": data.plan["filename"], "sha256": sha256, "hash": words.text("scripts.hash", hash=sha256[:12]), "place": place}
    shown["confined"] = _confined(words, data)
    return {"script": shown, "outputs": outputs}


def _confined(words: Words, data: RunData) -> tuple[str, str, str] | None:
    """(kind of note, how far the last attempt was confined, what that means), once that is known."""
    logged = (event for event in reversed(data.events) if event.kind == "Logged")
    said = next((event for event in logged if str(event.payload.get("code")).startswith(CONFINED)), None)
    if said is None:
        return None
    mode = str(said.payload["code"]).removeprefix(CONFINED)
    return _NOTES.get(mode, "warn"), words.text(f"scripts.confined.{mode}"), said_by(words, said)
