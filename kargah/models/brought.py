"""A model version that another Kargah made, and that is to answer here as it does there."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry, commit_id
from kargah.contract.results import Interval
from kargah.kit.ids import new_id
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.models.tables import Model, ModelVersion
from kargah.store import access
from kargah.store.access import Actor
from kargah.text.normalise import fold


class BroughtIn(BaseModel):
    """``origin``: what is known of it there; it stays with the version."""

    model_config = ConfigDict(protected_namespaces=())

    title: str
    name: str
    family: str
    recipe: str | None
    architecture: str
    parameters: int
    primary_metric: str | None
    metrics: dict[str, float | None]
    split: str | None
    interval: Interval | None
    train_seconds: float | None
    licence: str | None
    files: list[FileEntry]
    origin: dict[str, Any]


def register(session: Session, actor: Actor, brought: BroughtIn) -> ModelOut:
    """A model of one version, whose files are blobs already."""
    access.require_creator(actor)
    model_id = new_id("mdl")
    title = " ".join(brought.title.split())
    model = Model(
        id=model_id, slug=model_id[-12:], title=title, title_folded=fold(title)[: models.MAX_TITLE], recipe=brought.recipe,
        **access.owned_by(actor),
    )  # fmt: skip
    session.add(model)
    session.flush()
    version = _version(model_id, brought)
    session.add(version)
    session.flush()
    blobs.register(session, brought.files)
    assets.record(session, model, "model", title, version.id, brought.files)
    return models.get_for(session, actor, model_id)


def _version(model_id: str, brought: BroughtIn) -> ModelVersion:
    """Its source is ``local``, as of all that was imported; ``detail`` says by what."""
    told = brought.model_dump(include={"interval", "split", "train_seconds"}, exclude_none=True)
    return ModelVersion(
        id=new_id("mv"),
        model_id=model_id,
        number=1,
        source="local",
        commit_id=commit_id(brought.files),
        detail={**told, "bundle": brought.origin},
        recommended=brought.family != "base",
        size_bytes=sum(entry.size_bytes for entry in brought.files),
        files=[entry.model_dump() for entry in brought.files],
        **brought.model_dump(include={"name", "family", "recipe", "architecture", "parameters", "primary_metric", "metrics", "licence"}),
    )
