"""Models: what was trained and what one can start from; one model with its versions; bringing a base model in."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.kit.errors import BadInput, KargahError
from kargah.models import importing
from kargah.models import service as models
from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.store.access import Actor, require_admin, require_creator
from kargah.web import unpacking, uploads
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages import figures, hub_use, models_offers
from kargah.web.pages.access import see
from kargah.web.pages.dashboard import recipe_icon
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.models_catalogue import on_their_way
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import how_measured, metric_columns, model_rows
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
PAGE = 24
#: The tabs of the list: name → where a model is from.
SOURCES = {"all": None, "training": "training", "local": "local"}


@dataclass(frozen=True)
class ModelCard:
    id: str
    title: str
    icon: str
    tags: list[str]
    about: str
    facts: str
    when: str
    is_base: bool
    try_address: str
    zip_address: str
    start_address: str


@router.get("/models")
async def list_models(request: Request, ask: Ask, q: str = "", source: str = "all", cursor: str | None = None) -> Response:
    return await _list_page(request, ask, q, source, cursor)


async def _list_page(
    request: Request,
    ask: Asking,
    q: str = "",
    source: str = "all",
    cursor: str | None = None,
    *,
    errors: Errors | None = None,
    status: int = 200,
) -> Response:
    source = source if source in SOURCES else "all"
    found = await ask.read(models.list_for, cursor=cursor, limit=PAGE, query=q or None, source=SOURCES[source])
    position, coming = await ask.read(on_their_way)
    page = page_of(request, "models", stream=f"/api/v1/events?since={position}")
    words = page.words
    kept = {"q": q, "source": source if source != "all" else "", "cursor": cursor or ""}
    return render(
        "models.html",
        page,
        status=status,
        tabs=models_offers.tabs(words, "models"),
        coming=[] if q or cursor else [models_offers.card_of(words, offer) for offer in coming],
        hours=None,
        offline=ask.settings.offline,
        cards=[card_of(words, model) for model in found.items],
        filters=[(name, words.text(f"models.filter.{name}"), name == source) for name in SOURCES],
        source=source,
        undo=_undoable(request),
        query=q,
        pages=pages_of("/models", kept, found.next_cursor),
        errors=errors or {},
        limit=words.size(ask.settings.upload_limit_bytes),
        by_path=ask.actor.is_admin and bool(ask.settings.import_roots),
    )


def _undoable(request: Request) -> str:
    """The model that was just thrown away, when the address names one."""
    asked = request.query_params.get("undo", "")
    return asked if asked.startswith("mdl_") and asked.replace("_", "").isalnum() else ""


def card_of(words: Words, model: ModelOut) -> ModelCard:
    best = best_of(model)
    is_base = best is not None and best.family == "base"
    return ModelCard(
        id=model.id,
        title=model.title,
        icon=recipe_icon(model.recipe or ""),
        tags=_tags(words, model, best),
        about=_about(words, best),
        facts=f"{words.size(best.size_bytes)} · {words.text('models.versions', n=len(model.versions))}" if best else "",
        when=words.ago(model.created_at),
        is_base=is_base,
        try_address=f"/models/versions/{best.id}/try" if best and not is_base else "",
        zip_address=f"/api/v1/models/{best.id}/zip" if best else "",
        start_address=f"/runs/new?start=base_model&base_model={best.id}" if best and is_base else "",
    )


def best_of(model: ModelOut) -> ModelVersionOut | None:
    return next((version for version in model.versions if version.recommended), model.versions[0] if model.versions else None)


def _tags(words: Words, model: ModelOut, best: ModelVersionOut | None) -> list[str]:
    tags = [words.text(f"recipe.{model.recipe}.title")] if model.recipe else []
    return [*tags, words.first(f"family.{best.family}", best.family)] if best else tags


def _about(words: Words, best: ModelVersionOut | None) -> str:
    if best is None or best.primary_metric is None:
        return words.text("models.parameters", n=best.parameters) if best and best.parameters else ""
    value = figures.reading(words, best.primary_metric, best.metrics.get(best.primary_metric))
    return words.text("models.quality", metric=figures.metric_name(words, best.primary_metric), value=value)


@router.get("/models/{model_id}")
async def show_model(model_id: str, request: Request, ask: Ask) -> Response:
    return await _show(request, ask, model_id)


async def _show(
    request: Request, ask: Asking, model_id: str, errors: Errors | None = None, status: int = 200, title: str | None = None
) -> Response:
    """``title``: a new one that was refused, to be mended."""
    model = await ask.read(models.get_for, model_id)
    page = page_of(request, "models", crumbs=((model.title, ""),))
    best = best_of(model)
    readme = await ask.compute(_readme, ask.settings.home, best, page.words.language) if best else ""
    values = {"title": model.title if title is None else title, **_values(page.words, model)}
    values["use"] = "" if model.trashed_at else await hub_use.of_model(request, ask, model_id, best)
    return render("model.html", page, status=status, errors=errors or {}, readme=readme, **values)


def _readme(home: Path, version: ModelVersionOut, language: str) -> str:
    from kargah.web.pages import model_card  # with its parser: most servers start without anybody reading

    return model_card.card_of(home, version, language)


def _values(words: Words, model: ModelOut) -> dict[str, Any]:
    versions = list(model.versions)
    best = best_of(model)
    measured = bool(versions) and bool(versions[0].primary_metric)
    return {
        "model": model,
        "card": card_of(words, model),
        "created": words.date(model.created_at),
        "trashed": model.trashed_at is not None,
        "models": model_rows(words, versions),
        "how_measured": how_measured(words, versions),
        "metric_columns": [figures.metric_name(words, key) for key in metric_columns(versions)] if measured else [],
        "files_of": best.name if best else "",
        "files": [(entry.path, words.size(entry.size_bytes), entry.sha256[:12]) for entry in (best.files if best else [])],
        "version_id": best.id if best else "",
        "run_address": next((f"/runs/{version.run_id}" for version in versions if version.run_id), ""),
        "origin": _origin(words, best),
        "licence": next((version.licence for version in versions if version.licence), ""),
    }


def _origin(words: Words, best: ModelVersionOut | None) -> str:
    """Where a model that came by a bundle is from."""
    said = best.detail.get("bundle") if best else None
    return words.text("bundles.origin", signer=said["signer"], id=said["id"]) if said else ""


@router.post("/models/{model_id}/rename")
async def rename(model_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        await ask(models.rename, model_id, values.get("title", ""))
    except BadInput as error:
        return await _show(request, ask, model_id, errors_of(request, error), error.status, values.get("title", ""))
    return see(f"/models/{model_id}?done=renamed")


@router.post("/models/{model_id}/delete")
async def delete(model_id: str, ask: Ask) -> Response:
    await ask(models.delete, model_id)
    return see(f"/models?done=model_deleted&undo={model_id}")


@router.post("/models/{model_id}/restore")
async def restore(model_id: str, ask: Ask) -> Response:
    await ask(models.restore, model_id)
    return see(f"/models/{model_id}?done=model_restored")


@router.post("/models/import")
async def import_zip(request: Request, ask: Ask) -> Response:
    """A zip of a model folder, streamed in and unpacked with care."""
    require_creator(ask.actor)
    try:
        upload = await uploads.receive(request, ask)
        async with unpacking.unpacked(ask, upload.digest) as root:
            title = upload.fields.get("title", "").strip() or Path(upload.filename).stem
            model_id = await _register(ask, root, title, upload.once, upload.wish)
    except KargahError as error:
        return await _list_page(request, ask, errors={"file": next(iter(errors_of(request, error).values()))}, status=error.status)
    return see(f"/models/{model_id}?done=model_imported")


@router.post("/models/import-folder")
async def import_folder(request: Request, ask: Ask) -> Response:
    """A folder, or a zip of one, on the server's own disk, under one of the import roots."""
    require_admin(ask.actor)
    values = await form_of(request)
    try:
        if not values.get("folder", "").strip():
            raise BadInput(field="folder", reason="missing")
        path = importing.allowed_folder(ask.settings, values["folder"].strip())
        with tempfile.TemporaryDirectory(dir=unpacking.workspace(ask.settings.home)) as folder:
            root = await asyncio.to_thread(unpacking.opened, path, Path(folder), ask.settings.upload_limit_bytes)
            model_id = await _register(ask, root, path.name.removesuffix(".zip"), values.get("_once", ""), str(path))
    except KargahError as error:
        return await _list_page(request, ask, errors={"folder": next(iter(errors_of(request, error).values()))}, status=error.status)
    return see(f"/models/{model_id}?done=model_imported")


async def _register(ask: Asking, root: Path, title: str, once: str, wish: str) -> str:
    folder, entries = await unpacking.brought_in(ask, root)

    def register(session: Session, actor: Actor) -> ModelOut:
        return models.register_import(session, actor, title[:300] or root.name, folder, entries)

    return str((await once_of_form(ask, once, wish, register))["id"])
