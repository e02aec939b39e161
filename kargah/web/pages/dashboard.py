"""The first page: what runs now, what came out last, how the machine is, and where to begin."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.kit.clock import utc_now
from kargah.monitoring import activity, trainings
from kargah.monitoring.activity import Counts, Usual
from kargah.monitoring.sampler import EVERY_SECONDS, KEPT_SECONDS, Sampler
from kargah.monitoring.trainings import Training
from kargah.recipes import catalogue
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.machine import QUIET_BYTES_PER_SECOND, Meter, free_disk, meters_of
from kargah.web.pages import sparks
from kargah.web.pages.parts import ICONS
from kargah.web.pages.render import render
from kargah.web.pages.run_list import FILTERS, lines_of, saved_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
SHOWN = 6
AT_WORK = tuple(state for state in FILTERS["active"] or () if state is not State.QUEUED)
RECENT = 8
METER_PLACES = int(KEPT_SECONDS / EVERY_SECONDS)
#: A server that has just started shows its first two minutes wide, not as a speck at the end of fifteen.
FEWEST_PLACES = 40
METER_COLOURS = {"cpu": 1, "memory": 3, "disk": 4, "network": 7}
RECIPE_ICONS = {
    "text-classification": "text",
    "tabular": "rank",
    "token-classification": "tag",
    "question-answering": "search",
    "causal-lm": "wave",
    "sft": "chat",
    "preference": "done",
    "sentence-embeddings": "link",
    "masked-lm": "eye",
    "seq2seq": "adapt",
}
#: The page that shows what a job of a kind was about.
PLACES = {
    "train": "/runs/{id}", "ingest": "/datasets", "mend": "/datasets", "evaluate": "/evaluations", "measure": "/hardware",
    "download": "/models/catalogue", "scrub": "/models/storage", "scan": "/models/storage", "script": "/runs/{id}",
    "unbundle": "/models/bundles",
}  # fmt: skip
MOODS = {"COMPLETED": "good", "FAILED": "bad"}


@dataclass(frozen=True)
class Start:
    href: str
    icon: str
    title: str
    help: str
    estimate: str = ""


@dataclass(frozen=True)
class Done:
    """Something that was done. ``mood``: good, bad or nothing."""

    icon: str
    mood: str
    text: str
    href: str
    when: str
    iso: str


@dataclass(frozen=True)
class Gauge:
    key: str
    label: str
    text: str
    detail: str
    colour: int
    line: str
    area: str
    values: list[float]
    full: float | None


@dataclass(frozen=True)
class Overview:
    active: list[Training]
    saved: dict[str, int]
    counts: Counts
    recent: list[JobOut]
    usual: dict[str, Usual | None]
    position: int


@router.get("/")
async def dashboard(request: Request, ask: Ask) -> Response:
    found = await ask(overview)
    page = page_of(request, "home", stream=f"/api/v1/events?machine=true&since={found.position}")
    words = page.words
    return render(
        "dashboard.html",
        page,
        today=words.date(utc_now()),
        lines=lines_of(words, found.active, found.saved),
        recent=[done_of(words, job) for job in found.recent],
        counts=[
            (words.text(f"home.{name}"), words.number(count))
            for name, count in (("running", found.counts.running), ("queued", found.counts.queued), ("paused", found.counts.paused))
            if count or name != "paused"
        ],
        starts=starts_of(words, found.usual),
        **machine_of(words, request.app.state.sampler),
    )


def overview(session: Session, actor: Actor) -> Overview:
    position = history.latest_position(session)
    active = _active(session, actor)
    return Overview(
        active=active,
        saved=saved_of(session, active),
        counts=activity.counts(session, actor),
        recent=activity.latest(session, actor, RECENT),
        usual={name: activity.usual_duration(session, actor, name) for name in catalogue.RECIPES},
        position=position,
    )


def _active(session: Session, actor: Actor) -> list[Training]:
    """Those at work first, then those that wait: a long line hides none that runs."""
    working = trainings.list_for(session, actor, states=AT_WORK, limit=SHOWN).items
    return [*working, *trainings.list_for(session, actor, states=(State.QUEUED,), limit=SHOWN).items][:SHOWN]


def starts_of(words: Words, usual: dict[str, Usual | None]) -> list[Start]:
    """One way in for each thing that can be learnt, with how long it took here; and one for data."""

    def recipe_start(name: str) -> Start:
        measured = usual.get(name)
        estimate = (
            words.text("home.usual", time=words.duration_or_less(measured.seconds), n=measured.runs)
            if measured
            else words.text("home.not_measured")
        )
        title, text = words.text(f"recipe.{name}.title"), words.text(f"recipe.{name}.help")
        return Start(f"/runs/new?recipe={name}", recipe_icon(name), title, text, estimate)

    data = Start("/datasets#add", "upload", words.text("datasets.add"), words.text("home.add_help"))
    models = Start("/models", "model", words.text("nav.models"), words.text("home.models_help"))
    return [*map(recipe_start, catalogue.RECIPES), data, models]


def recipe_icon(name: str) -> str:
    return RECIPE_ICONS.get(name, "model")


def done_of(words: Words, job: JobOut) -> Done:
    ended = job.finished_at or job.created_at
    return Done(
        icon={"FAILED": "error"}.get(job.state.value) or ICONS[job.state.value],
        mood=MOODS.get(job.state.value, ""),
        text=words.first(f"activity.{job.kind}.{job.state.value}", f"activity.job.{job.state.value}", title=job.title),
        href=PLACES.get(job.kind, "").format(id=job.id),
        when=words.ago(ended),
        iso=ended.isoformat(),
    )


def machine_of(words: Words, sampler: Sampler) -> dict[str, Any]:
    """Gauges with their lines drawn, so that they are there before, and without, any script."""
    samples = sampler.history().samples
    gauges = [gauge_of(words, meter) for meter in meters_of(words.language, samples)]
    return {
        "gauges": gauges,
        "space": free_disk(words.language, samples[-1]) if samples else None,
        "machine": {
            "places": METER_PLACES,
            "fewest": FEWEST_PLACES,
            "quiet": QUIET_BYTES_PER_SECOND,
            "meters": {gauge.key: {"values": gauge.values, "full": gauge.full} for gauge in gauges},
        },
    }


def gauge_of(words: Words, meter: Meter) -> Gauge:
    line = sparks.line_of(meter.values, meter.full or max(QUIET_BYTES_PER_SECOND, *meter.values), max(FEWEST_PLACES, len(meter.values)))
    return Gauge(
        key=meter.key,
        label=words.text(f"machine.{meter.key}"),
        text=meter.text,
        detail=meter.detail,
        colour=METER_COLOURS[meter.key],
        line=line,
        area=sparks.area_of(line),
        values=[round(value, 4) for value in meter.values],
        full=meter.full,
    )
