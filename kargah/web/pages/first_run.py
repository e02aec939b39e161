"""Three steps to a first trained model. How far one has come is read from what is there, so it is never forgotten."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import bundled
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages.access import see
from kargah.web.pages.models import best_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Way:
    """The newest data set, training and model; null where there is none yet."""

    dataset: DatasetOut | None
    training: JobOut | None
    model: ModelOut | None
    position: int

    @property
    def has_data(self) -> bool:
        return bool(self.dataset and self.dataset.version and self.dataset.version.state == "READY")


@dataclass(frozen=True)
class Step:
    """``state``: done, now or later."""

    name: str
    number: str
    state: str
    told: str
    href: str


@router.get("/start")
async def first_run(request: Request, ask: Ask) -> Response:
    way = await ask(way_of)
    page = page_of(request, "start", stream=f"/api/v1/events?since={way.position}")
    return render("first_run.html", page, steps=steps_of(page.words, way), has_model=way.model is not None)


@router.post("/start/sample")
async def take_sample(request: Request, ask: Ask) -> Response:
    title = Words(request.state.language).text("start.sample_title")
    await ask(bundled.import_genres, ask.settings.home, title)
    return see("/start?done=dataset_uploaded")


def way_of(session: Session, actor: Actor) -> Way:
    position = history.latest_position(session)
    found = datasets.list_for(session, actor, limit=1).items
    training = jobs.list_for(session, actor, kind="train", limit=1).items
    made = models.list_for(session, actor, limit=1, source="training").items
    return Way(next(iter(found), None), next(iter(training), None), next(iter(made), None), position)


def steps_of(words: Words, way: Way) -> list[Step]:
    best = best_of(way.model) if way.model else None
    told = {
        "data": words.text("start.data.has" if way.has_data else "start.data.reads", title=way.dataset.title) if way.dataset else "",
        "train": words.text("start.train.has", title=way.training.title) if way.training else "",
        "ask": words.text("start.ask.has", title=way.model.title) if way.model else "",
    }
    places = {
        "data": f"/datasets/{way.dataset.id}" if way.dataset else "",
        "train": f"/runs/new?dataset={way.dataset.id}" if way.dataset and way.training is None else _run_of(way),
        "ask": f"/models/versions/{best.id}/try" if best else "",
    }
    done = {"data": way.has_data, "train": way.model is not None, "ask": False}
    now = next(name for name, is_done in done.items() if not is_done)
    return [
        Step(name, words.number(n), "done" if is_done else "now" if name == now else "later", told[name], places[name])
        for n, (name, is_done) in enumerate(done.items(), 1)
    ]


def _run_of(way: Way) -> str:
    return f"/runs/{way.training.id}" if way.training else ""
