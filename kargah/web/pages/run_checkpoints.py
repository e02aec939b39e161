"""The checkpoints of a training as its page shows them, and what is asked of one: to be compared with its hashes, or deleted."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs.schemas import EventOut
from kargah.training import checkpoint_records, checkpoints
from kargah.training.checkpoints import CheckpointOut, Condition
from kargah.web.deps import Ask
from kargah.web.pages import figures
from kargah.web.pages.access import see
from kargah.web.pages.forms import form_of
from kargah.web.pages.run_log import job_of
from kargah.web.pages.run_views import RunData
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
#: What was measured when a checkpoint was made, the first of these that was.
MEASURED = ("macro_f1", "accuracy", "r2", "rmse", "mae", "eval_loss")
ICONS = {Condition.WHOLE: ("check", ""), Condition.VERIFIED: ("done", "a-g"), Condition.DAMAGED: ("error", "a-r")}


@dataclass(frozen=True)
class CheckpointRow:
    """``condition`` in words, with its icon. ``more``: epoch, size, stall: in words. ``goes_on``: "" where nothing can begin here."""

    name: str
    step: str
    more: list[str]
    measured: str
    when: str
    exactly: str
    iso: str
    best: bool
    newest: bool
    damaged: bool
    condition: str
    icon: str
    style: str
    zip_address: str
    goes_on: str
    can_delete: bool


def rows_of(words: Words, data: RunData, found: list[CheckpointOut]) -> list[CheckpointRow]:
    """The newest first."""
    saved = {str(event.payload["path"]).rpartition("/")[2]: event for event in data.events if event.kind == "Saved"}
    measured = {
        int(event.payload["step"]): event.payload["metrics"]
        for event in data.events
        if event.kind == "Evaluated" and event.payload.get("model") == "model"
    }
    return [_row(words, data, one, saved.get(one.name), measured.get(one.step, {})) for one in found]


def _row(words: Words, data: RunData, found: CheckpointOut, said: EventOut | None, measured: dict[str, float | None]) -> CheckpointRow:
    damaged = found.condition is Condition.DAMAGED
    metric = next((key for key in MEASURED if measured.get(key) is not None), "")
    icon, style = ICONS[found.condition]
    again = {"like": data.run.id, "checkpoint": found.name}
    return CheckpointRow(
        name=found.name,
        step=words.text("checkpoint.step", step=found.step),
        more=_more(words, found, said, has_epochs=data.job.kind == "train"),
        measured=f"{figures.metric_name(words, metric)} {figures.reading(words, metric, measured[metric])}" if metric else "",
        **_moment(words, found.saved_at),
        best=found.best,
        newest=found.newest,
        damaged=damaged,
        condition=words.text(f"checkpoint.{found.condition}"),
        icon=icon,
        style=style,
        zip_address="" if damaged else f"/api/v1/jobs/{data.job.id}/checkpoints/{found.name}/zip",
        goes_on="" if damaged or data.job.kind != "train" else f"/runs/new?{urlencode(again)}",
        can_delete=data.job.is_over or not found.newest,
    )


def _more(words: Words, found: CheckpointOut, said: EventOut | None, has_epochs: bool) -> list[str]:
    facts = [words.size(found.size_bytes)] if found.files else []
    if found.files and has_epochs:
        facts.insert(0, words.text("checkpoint.epoch", epoch=round(found.epoch, 2)))
    if said is not None:
        stall = float(said.payload.get("stall_seconds") or 0.0)
        facts.append(words.text("checkpoint.stall", milliseconds=round(1000 * stall)))
    return facts


def _moment(words: Words, moment: datetime | None) -> dict[str, str]:
    if moment is None:
        return {"when": "", "exactly": "", "iso": ""}
    return {"when": words.ago(moment), "exactly": words.date(moment), "iso": moment.isoformat(timespec="seconds")}


@router.post("/runs/{run_id}/checkpoints/delete")
async def delete(run_id: str, request: Request, ask: Ask) -> Response:
    name = (await form_of(request)).get("name", "")
    await ask(checkpoints.delete, await job_of(ask, run_id), name, ask.settings.home)
    return see(f"/runs/{run_id}?done=checkpoint_deleted#run-checkpoints")


@router.post("/runs/{run_id}/checkpoints/verify")
async def verify(run_id: str, request: Request, ask: Ask) -> Response:
    name = (await form_of(request)).get("name", "")
    job_id = await job_of(ask, run_id)
    found = await asyncio.to_thread(checkpoints.verify, await ask(checkpoints.place_of, job_id, name, ask.settings.home))
    await ask(checkpoint_records.refresh, job_id, ask.settings.home)
    return see(f"/runs/{run_id}?done=checkpoint_{found.condition}#run-checkpoints")
