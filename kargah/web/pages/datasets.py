"""Data sets: the list with the place to drop a file, and the page of one."""

import re
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.assets import blobs
from kargah.contract.fixes import ORDER
from kargah.datasets import rows, versions
from kargah.datasets import service as datasets
from kargah.datasets.errors import BadFix, RowsUnreadable, UnknownVersion
from kargah.datasets.rows import Statistics
from kargah.datasets.schemas import DatasetDetail, DatasetPage, MendWish, Preview, Suggestion, VersionSummary
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import EventOut, JobOut
from kargah.kit.errors import BadInput, Conflict, KargahError, NotFound
from kargah.store.access import Actor, To, require_creator
from kargah.training import purging
from kargah.web import uploads
from kargah.web.api.datasets import add_version, create_from
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages import dataset_views as views
from kargah.web.pages import hub_use, incoming
from kargah.web.pages.access import see
from kargah.web.pages.dataset_fixes import fixes_of
from kargah.web.pages.forms import Errors, errors_of, form_of
from kargah.web.pages.parts import pages_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of

router = APIRouter(include_in_schema=False)
PAGE = 20
PREVIEW_ROWS = 20
MOST_IMPORTS = 100
ACTS = {"stop": jobs.stop, "pause": jobs.pause, "resume": jobs.resume}
#: Rows whose spread is measured while the page is made.
MEASURED_AT_ONCE = 50_000


@router.get("/datasets")
async def list_datasets(request: Request, ask: Ask, q: str = "", cursor: str | None = None) -> Response:
    return await list_page(request, ask, q, cursor)


async def list_page(
    request: Request,
    ask: Asking,
    q: str = "",
    cursor: str | None = None,
    *,
    values: dict[str, str] | None = None,
    errors: Errors | None = None,
    status: int = 200,
) -> Response:
    """The list with the ways to add to it; ``values`` and ``errors`` of a form that was refused."""
    found, imports, position = await ask.read(_list, q, cursor)
    room, unfinished = await ask.read(incoming.load, ask.settings)
    page = page_of(request, "datasets", stream=f"/api/v1/events?since={position}")
    words = page.words
    kept = {"q": q, "cursor": cursor or ""}
    return render(
        "datasets.html",
        page,
        status=status,
        rows=[views.row_of(words, dataset, imports.get(views.import_of(dataset))) for dataset in found.items],
        query=q,
        undo=_undoable(request),
        pages=pages_of("/datasets", kept, found.next_cursor),
        values=values or {},
        errors=errors or {},
        limit=words.size(room.most_bytes),
        room=incoming.room_of(words, room),
        unfinished=[incoming.row_of(words, upload) for upload in unfinished],
        by_path=bool(ask.settings.import_roots),
        normalisers=incoming.normalisers_of(words),
    )


def _undoable(request: Request) -> str:
    """The data set that was just thrown away, when the address names one."""
    asked = request.query_params.get("undo", "")
    return asked if asked.startswith("ds_") and asked.replace("_", "").isalnum() else ""


def _list(session: Session, actor: Actor, query: str, cursor: str | None) -> tuple[DatasetPage, dict[str, JobOut], int]:
    """With the imports that run now, for their progress."""
    position = history.latest_position(session)
    found = datasets.list_for(session, actor, query=query or None, cursor=cursor, limit=PAGE)
    running = jobs.list_for(session, actor, kind="ingest", states=views.RUNNING, limit=MOST_IMPORTS)
    return found, {job.id: job for job in running.items}, position


@router.post("/datasets")
async def upload(request: Request, ask: Ask) -> Response:
    """One file, streamed to the disk; the form works without JavaScript too."""
    require_creator(ask.actor)
    try:
        received = await uploads.receive(request, ask)
        made = await once_of_form(ask, received.once, received.wish, lambda session, actor: create_from(session, actor, received))
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await list_page(request, ask, errors={"file": text}, status=error.status)
    return see(f"/datasets/{made['id']}?done=dataset_uploaded")


@router.get("/datasets/{dataset_id}")
async def show_dataset(dataset_id: str, request: Request, ask: Ask) -> Response:
    return await _show(request, ask, dataset_id)


async def _show(
    request: Request, ask: Asking, dataset_id: str, errors: Errors | None = None, status: int = 200, title: str | None = None
) -> Response:
    """``title``: a new one that was refused, to be mended."""
    dataset, job, suggestions, preview, said, position = await ask.read(_load, dataset_id, ask.settings.home)
    stream = f"/api/v1/jobs/{job.id}/events?since={position}" if job and not job.is_over else None
    page = page_of(request, "datasets", crumbs=((dataset.title, ""),), stream=stream)
    measured = await _measured(ask, dataset) if preview else []
    values: dict[str, Any] = views.values_of(page.words, dataset, job, suggestions, preview, measured)
    limit = page.words.size(ask.settings.upload_limit_bytes)
    values["found"] = views.found_so_far(page.words, said)
    values["title"] = dataset.title if title is None else title
    values["normalisers"] = incoming.normalisers_of(page.words, "as_before")
    values["use"] = await hub_use.of_dataset(request, ask, dataset_id) if preview else ""
    return render("dataset.html", page, status=status, errors=errors or {}, limit=limit, **values)


async def _measured(ask: Asking, dataset: DatasetDetail) -> list[Statistics]:
    """What is known of the columns' spread; measured now where that takes no time. The page does without when it cannot be."""
    try:
        table = await ask.read(rows.table_of, dataset.id, ask.settings.home)
        if dataset.version and (dataset.version.rows or 0) <= MEASURED_AT_ONCE:
            return await rows.statistics(table, ask.settings.home)
    except RowsUnreadable:
        return []
    return rows.known_statistics(ask.settings.home, table.path.name) or []


def _load(
    session: Session, actor: Actor, dataset_id: str, home: Any
) -> tuple[DatasetDetail, JobOut | None, list[Suggestion], Preview | None, list[EventOut], int]:
    position = history.latest_position(session)
    dataset = datasets.get_for(session, actor, dataset_id, trashed=True)
    job = _job(session, actor, dataset)
    said = history.life_cycle(session, job.id, "Logged") if job and not job.is_over else []
    if dataset.trashed_at or dataset.version is None or dataset.version.state != "READY":
        return dataset, job, [], None, said, position
    return (
        dataset,
        job,
        datasets.suggest(session, actor, dataset_id),
        datasets.preview(session, actor, dataset_id, home, PREVIEW_ROWS),
        said,
        position,
    )


def _job(session: Session, actor: Actor, dataset: DatasetDetail) -> JobOut | None:
    """The import that runs now, of whichever version, else that of the shown one."""
    importing = next((version.job_id for version in dataset.versions if version.state == "IMPORTING"), None)
    try:
        return jobs.show(session, actor, importing or views.import_of(dataset))
    except NotFound:
        return None


@router.post("/datasets/{dataset_id}/versions")
async def upload_version(dataset_id: str, request: Request, ask: Ask) -> Response:
    """A newer file of the same data; the shown version stays until this one is read."""
    await ask.read(datasets.get_for, dataset_id, To.CHANGE)
    try:
        received = await uploads.receive(request, ask)
        await once_of_form(ask, received.once, received.wish, lambda session, actor: add_version(session, actor, dataset_id, received))
    except KargahError as error:
        text = next(iter(errors_of(request, error).values()))
        return await _show(request, ask, dataset_id, {"file": text}, error.status)
    return see(f"/datasets/{dataset_id}?done=version_uploaded")


@router.post("/datasets/{dataset_id}/fix")
async def fix(dataset_id: str, request: Request, ask: Ask) -> Response:
    """A button beside a problem (``only``: its place in the report), or the one for all safe fixes."""
    values = await form_of(request)
    places = [values["only"]] if "only" in values else None

    def mend(session: Session, actor: Actor) -> VersionSummary:
        report = versions.report_of(session, actor, dataset_id, values.get("from_version") or None)
        wished = fixes_of(report, places)
        wish = {"from_version": values.get("from_version") or None, "fixes": wished, "why": values.get("why", "")[:500]}
        return versions.mend(session, actor, dataset_id, wish_of(wish))

    try:
        await once_of_form(ask, values.get("_once", ""), f"{values.get('from_version')} {places}", mend)
    except (BadInput, Conflict, UnknownVersion) as error:
        text = next(iter(errors_of(request, error).values()))
        return await _show(request, ask, dataset_id, {"fix": text}, error.status)
    return see(f"/datasets/{dataset_id}?done=dataset_mending")


@router.post("/datasets/{dataset_id}/columns")
async def set_kind(dataset_id: str, request: Request, ask: Ask) -> Response:
    """What a column is, as a person says: a new version."""
    values = await form_of(request)
    fix = {"kind": "set_kind", **{name: values.get(name, "") for name in ("column", "to", "otherwise")}}
    return await _mended(request, ask, dataset_id, values, fix, "column")


@router.post("/datasets/{dataset_id}/names")
async def rename_column(dataset_id: str, request: Request, ask: Ask) -> Response:
    """Another name of a column: a new version."""
    values = await form_of(request)
    fix = {"kind": "rename_column", "column": values.get("column", ""), "to": datasets.clean_name(values.get("to", ""))}
    return await _mended(request, ask, dataset_id, values, fix, "name")


async def _mended(request: Request, ask: Asking, dataset_id: str, values: dict[str, str], fix: dict[str, str], field: str) -> Response:
    """``field``: where the form says what is wrong with it."""

    def mend(session: Session, actor: Actor) -> VersionSummary:
        wish = {"from_version": values.get("from_version") or None, "fixes": [fix], "why": values.get("why", "")[:500]}
        return versions.mend(session, actor, dataset_id, wish_of(wish))

    try:
        await once_of_form(ask, values.get("_once", ""), f"{values.get('from_version')} {fix}", mend)
    except (BadInput, Conflict, UnknownVersion) as error:
        text = next(iter(errors_of(request, error).values()))
        return await _show(request, ask, dataset_id, {field: text}, error.status)
    return see(f"/datasets/{dataset_id}?done=dataset_mending")


def wish_of(asked: dict[str, Any]) -> MendWish:
    """Raises BadFix for what no fix is."""
    try:
        return MendWish.model_validate(asked)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
        raise BadFix(field=".".join(map(str, first["loc"])), reason=first["msg"], known=", ".join(ORDER)) from None


@router.post("/datasets/{dataset_id}/current")
async def choose_version(dataset_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    await ask(versions.choose, dataset_id, values.get("version", ""))
    return see(f"/datasets/{dataset_id}?done=version_chosen")


@router.post("/datasets/{dataset_id}/rename")
async def rename(dataset_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    try:
        tags = re.split("[,،;؛]", values["tags"]) if "tags" in values else None
        await ask(datasets.rename, dataset_id, values.get("title", ""), tags)
    except BadInput as error:
        return await _show(request, ask, dataset_id, errors_of(request, error), error.status, values.get("title", ""))
    return see(f"/datasets/{dataset_id}?done=renamed")


@router.post("/datasets/{dataset_id}/delete")
async def delete(dataset_id: str, ask: Ask) -> Response:
    await ask(datasets.delete, dataset_id)
    return see(f"/datasets?done=dataset_deleted&undo={dataset_id}")


@router.post("/datasets/{dataset_id}/restore")
async def restore(dataset_id: str, ask: Ask) -> Response:
    await ask(datasets.restore, dataset_id)
    return see(f"/datasets/{dataset_id}?done=dataset_restored")


@router.post("/datasets/{dataset_id}/purge")
async def purge(dataset_id: str, request: Request, ask: Ask) -> Response:
    try:
        freed = await ask(purging.purge_dataset, dataset_id)
    except Conflict as error:
        return await _show(request, ask, dataset_id, errors_of(request, error), error.status)
    await ask.compute(blobs.discard, ask.settings.home, freed)
    return see("/models/trash?done=dataset_purged")


def _importing(session: Session, actor: Actor, dataset_id: str) -> JobOut | None:
    return _job(session, actor, datasets.get_for(session, actor, dataset_id))


@router.post("/datasets/{dataset_id}/import/{act}")
async def act_on_import(dataset_id: str, act: Literal["stop", "pause", "resume"], ask: Ask) -> Response:
    """A pause keeps what was fetched; a file that is read already is read from its beginning again."""
    job = await ask.read(_importing, dataset_id)
    if job is not None:
        await ask(ACTS[act], job.id)
    return see(f"/datasets/{dataset_id}")
