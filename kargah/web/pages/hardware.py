"""The page of the machine: what it is, what it was measured to do, and what to do about it."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.hardware import advice, facts, service
from kargah.hardware.schemas import HardwareOut
from kargah.jobs import history
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.monitoring import measuring
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages.access import see
from kargah.web.pages.parts import Progress, progress_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
ICONS = {"good": ("done", "a-g"), "info": ("info", "a-t"), "warning": ("warn", "a-y")}


@dataclass(frozen=True)
class Hint:
    icon: str
    style: str
    text: str


@dataclass(frozen=True)
class Measuring:
    """The measurement that is under way, as far as it is."""

    waiting: str
    progress: Progress


@router.get("/hardware")
async def hardware(request: Request, ask: Ask) -> Response:
    found = await ask.compute(service.show, ask.settings.home)
    job, position = await ask.read(_latest)
    under_way = job if job and not job.is_over else None
    stream = f"/api/v1/jobs/{under_way.id}/events?since={position}" if under_way else None
    page = page_of(request, "hardware", stream=stream)
    failure = page.words.error(job.error) if job and job.state is State.FAILED else ""
    return render("hardware.html", page, **_values(page.words, found), measuring=_measuring(page.words, under_way), failure=failure)


@router.post("/hardware/measure")
async def measure(ask: Ask) -> Response:
    await ask(measuring.measure)
    return see("/hardware")


def _latest(session: Session, actor: Actor) -> tuple[JobOut | None, int]:
    """The last measurement that was asked for, and where its stream goes on."""
    return measuring.latest(session, actor), history.latest_position(session)


def _values(words: Words, found: HardwareOut) -> dict[str, Any]:
    language, measured = words.language, found.measurement
    return {
        "facts": facts.of_machine(language, found.machine),
        "measured": facts.of_measurement(language, measured) if measured else [],
        "products": list(facts.of_products(language, measured)) if measured else [],
        "scores": facts.of_scores(language, found.scores),
        "hints": [Hint(*ICONS[one.level], advice.text_of(language, one)) for one in found.advice],
        "host": found.machine.host,
        "note": "" if measured else words.text("hardware.changed" if found.changed else "hardware.not_measured"),
        "can_measure": found.machine.torch is not None,
    }


def _measuring(words: Words, job: JobOut | None) -> Measuring | None:
    if job is None:
        return None
    return Measuring(words.message("waiting", job.waiting) if job.waiting else "", progress_of(words, job))
