"""One search over what has a name: runs, data sets and models, spelling folded. The palette asks here."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.datasets import service as datasets
from kargah.models import service as models
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.web.api.jobs import Words
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/search", tags=["search"])
EACH = 5


class Found(BaseModel):
    """``href`` is the page of it."""

    kind: Literal["run", "dataset", "model"]
    id: str
    title: str
    href: str


class FoundList(BaseModel):
    items: list[Found]


@router.get("")
async def search(ask: Ask, query: Words = None) -> FoundList:
    """At most five of each kind, the newest first; the newest of all without a query."""
    return await ask(_search, query)


def _search(session: Session, actor: Actor, query: str | None) -> FoundList:
    some_runs = runs.list_for(session, actor, limit=EACH, query=query).items
    some_datasets = datasets.list_for(session, actor, limit=EACH, query=query).items
    some_models = models.list_for(session, actor, query=query).items[:EACH]
    found = [Found(kind="run", id=run.id, title=run.title, href=f"/runs/{run.id}") for run in some_runs]
    found += [Found(kind="dataset", id=dataset.id, title=dataset.title, href=f"/datasets/{dataset.id}") for dataset in some_datasets]
    found += [Found(kind="model", id=model.id, title=model.title, href=f"/models/{model.id}") for model in some_models]
    return FoundList(items=found)
