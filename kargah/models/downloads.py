"""Downloads from hubs, as people ask for them: started, looked at. The doing is a job's (workers.downloading)."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kargah.assets import uploads
from kargah.assets.tables import STORED, Asset
from kargah.contract import hubs
from kargah.contract.hubs import HubAccess
from kargah.contract.plans import DownloadPlan
from kargah.jobs import service as jobs
from kargah.jobs import states
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms, Window
from kargah.kit import addresses, files
from kargah.kit.errors import BadInput, DiskFull, KargahError, NotAvailable, NotFound, TooMany
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models import catalogue
from kargah.models.catalogue import Entry, Kind
from kargah.models.tables import Download, Model
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.text.normalise import fold

KIND = "download"
SOURCE = "HuggingFace"
SPARE_SHARE = 1.1
MOST_LISTED = 500


class Offline(NotAvailable):
    """This server was told to ask no hub."""

    code = "OFFLINE"


class DownloadActive(TooMany):
    """``repository``: what the asker, or somebody at the same address, is downloading now. The code is as the documents write it."""

    code = "rate_limited"


class BadHub(KargahError):
    """``hub`` of the settings is no address of a hub."""

    code = "BAD_HUB"


class Status(StrEnum):
    """``AVAILABLE``: not here. The words are those of the documented routes."""

    AVAILABLE = "available"
    DOWNLOADING = "downloading"
    READY = "ready"
    ERROR = "error"


class DownloadWish(BaseModel):
    """``repository``: an id of the hub, or a name of the catalogue. ``window``: hours of the day in which it may run.

    ``bytes_per_second``: less than the server's own limit, where there is one. ``update``: of a model that is here, what the hub has
    now becomes its next version; where that is the same, nothing is made.
    """

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(min_length=1, max_length=200)
    kind: Kind = "model"
    revision: str | None = Field(None, max_length=200)
    window: Window | None = None
    bytes_per_second: int | None = Field(None, ge=1024)
    update: bool = False


class DownloadOut(BaseModel):
    """``started`` is false where it was here, or on its way, already. ``source``: HuggingFace for what came from a hub, or s3."""

    id: str
    kind: Kind
    repository: str
    revision: str
    status: Status
    asset_id: str | None
    model_id: str | None
    dataset_id: str | None
    commit_id: str | None
    job: JobOut
    source: str = SOURCE
    owner_id: str
    created_at: datetime
    finished_at: datetime | None
    started: bool = False


def start(session: Session, actor: Actor, settings: Settings, wish: DownloadWish) -> DownloadOut:
    """Queue a download, or give the one of the same repository that is on its way or done.

    Raises NotAllowed, Offline, DownloadActive, DiskFull, QuotaExceeded.
    """
    access.require_creator(actor)
    entry = catalogue.find(session, actor, wish.kind, wish.repository.strip())
    known = latest(session, actor, wish.kind, [entry.repository]).get(entry.repository)
    into = known.model_id if wish.update and known is not None and known.status is Status.READY else None
    if known is not None and known.status in {Status.READY, Status.DOWNLOADING} and into is None:
        return known
    if into is not None:
        access.load(session, actor, Model, into, To.CHANGE)
    if settings.offline:
        raise Offline(part="hub")
    require_room(session, actor, settings, entry.size_bytes or 0)
    HubAccess(token=settings.hub_token, token_for=settings.hub_token_url, proxy=settings.hub_proxy_url).write(settings.home)
    revision = wish.revision or entry.revision
    plan = _plan(session, actor, settings, entry, revision, wish.bytes_per_second).model_copy(update={"into": into})
    return queue(session, actor, plan, entry.size_bytes or 0, Terms(window=wish.window))


def queue(session: Session, actor: Actor, plan: DownloadPlan, size_bytes: int, terms: Terms, source: str = SOURCE) -> DownloadOut:
    """The job, the download and the record of what will be. Raises DownloadActive."""
    name, kind = plan.repository, plan.repository_kind
    job = jobs.submit(session, actor, KIND, plan.title or name, plan.model_dump(mode="json"), threads_wanted=1, terms=terms)
    asset = _asset(session, actor, kind, plan.title or name, size_bytes, source)
    row = Download(
        id=new_id("dl"), kind=kind, repository=name, revision=plan.revision, job_id=job.id, asset_id=asset.id,
        active_user=actor.user_id, active_peer=actor.peer[:64] or None, **access.owned_by(actor),
    )  # fmt: skip
    _add_alone(session, actor, row)
    return _out(row, job, None).model_copy(update={"started": True})


def show(session: Session, actor: Actor, download_id: str) -> DownloadOut:
    row = access.load(session, actor, Download, download_id)
    return _out(row, session.get_one(Job, row.job_id), _model_of(session, row))


def list_for(session: Session, actor: Actor) -> list[DownloadOut]:
    """Of each repository the latest, the newest first."""
    found = [one for kind in ("model", "dataset") for one in latest(session, actor, kind).values()]
    return sorted(found, key=lambda one: one.id, reverse=True)


def latest(session: Session, actor: Actor, kind: Kind | str, repositories: Iterable[str] | None = None) -> dict[str, DownloadOut]:
    """Repository → its latest download."""
    found = select(Download, Job, Model).join(Job, Job.id == Download.job_id).outerjoin(Model, Model.id == Download.model_id)
    found = found.where(access.visible_to(actor, Download), Download.kind == kind).order_by(Download.id.desc()).limit(MOST_LISTED)
    if repositories is not None:
        found = found.where(Download.repository.in_(list(repositories)))
    shown: dict[str, DownloadOut] = {}
    for row, job, model in session.execute(found):
        if row.repository not in shown and not _is_vain_update(job):
            shown[row.repository] = _out(row, job, model)
    return shown


def _is_vain_update(job: Job) -> bool:
    """One that came to nothing leaves what was here as it was."""
    return bool(job.plan.get("into")) and State(job.state) in {State.FAILED, State.STOPPED}


def latest_of(session: Session, actor: Actor, kind: Kind, named: str) -> DownloadOut:
    """Raises NotFound where nobody has asked for it."""
    entry = catalogue.find(session, actor, kind, named)
    known = latest(session, actor, kind, [entry.repository]).get(entry.repository)
    if known is None:
        raise NotFound(kind="downloads", id=named)
    return known


def status_of(job_state: str, is_here: bool) -> Status:
    """A stopped download is as if it had never been; so is one whose model was thrown away."""
    state = State(job_state)
    if state == State.COMPLETED:
        return Status.READY if is_here else Status.AVAILABLE
    if state == State.FAILED:
        return Status.ERROR
    return Status.AVAILABLE if state == State.STOPPED else Status.DOWNLOADING


def _add_alone(session: Session, actor: Actor, row: Download) -> None:
    """The uniqueness of two columns keeps two from starting at once, in whatever process."""
    _let_go(session)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        mine = (Download.active_user == actor.user_id) | (Download.active_peer == row.active_peer)
        active = session.scalars(select(Download.repository).where(mine)).first()
        raise DownloadActive(repository=active or row.repository) from error


def _let_go(session: Session) -> None:
    """Of downloads that are over, where nobody has told their end yet."""
    over = select(Job.id).where(Job.state.in_(states.TERMINAL))
    session.execute(
        update(Download).where(Download.active_user.is_not(None), Download.job_id.in_(over)).values(active_user=None, active_peer=None)
    )


def _asset(session: Session, actor: Actor, kind: str, name: str, size_bytes: int, source: str) -> Asset:
    asset = Asset(
        id=new_id("ast"), kind=kind, name=name, name_folded=fold(name)[:300], status=Status.DOWNLOADING, source=source, files=[],
        size_bytes=size_bytes, **access.owned_by(actor),
    )  # fmt: skip
    session.add(asset)
    session.flush()
    return asset


def require_room(session: Session, actor: Actor, settings: Settings, size_bytes: int) -> None:
    """By what is said beforehand; the job looks again once the hub has said it exactly."""
    needed_bytes = round(SPARE_SHARE * size_bytes)
    folder = hubs.downloads_folder(settings.home)
    folder.mkdir(parents=True, exist_ok=True)
    free_bytes = files.free_bytes(folder)
    if needed_bytes > free_bytes:
        raise DiskFull(needed_bytes=needed_bytes, free_bytes=free_bytes)
    room = uploads.limits(session, actor, settings)
    if room.quota_left_bytes is not None and needed_bytes > room.quota_left_bytes:
        raise uploads.QuotaExceeded(needed_bytes=needed_bytes, left_bytes=room.quota_left_bytes, quota_bytes=room.quota_bytes)


def _plan(session: Session, actor: Actor, settings: Settings, entry: Entry, revision: str, bytes_per_second: int | None) -> DownloadPlan:
    if not hubs.REVISION.fullmatch(revision) or ".." in revision:
        raise BadInput(field="revision", reason="other")
    limits_of_pace = [limit for limit in (settings.hub_bytes_per_second, bytes_per_second) if limit]
    return plan_of(
        session, actor, settings, repository=entry.repository, repository_kind=entry.kind, revision=revision, folder=entry.folder,
        hubs=settings.hub_urls, rate_bytes_per_second=min(limits_of_pace, default=None),
    )  # fmt: skip


def plan_of(session: Session, actor: Actor, settings: Settings, **wanted: Any) -> DownloadPlan:
    """``wanted``: what is to come and from where, with what the settings say of every download."""
    common = {
        "allow": [*settings.url_import_allow, *(_host_of(url) for url in settings.hub_urls)],
        "connections": settings.hub_connections,
        "rate_bytes_per_second": settings.hub_bytes_per_second,
        "limit_bytes": uploads.limits(session, actor, settings).quota_left_bytes,
        "patience_seconds": 60 * settings.hub_patience_minutes,
    }
    return DownloadPlan(job_id="", **{**common, **wanted})


def _host_of(url: str) -> str:
    """What an admin named as a hub may be asked, also on one's own network."""
    try:
        return addresses.parsed(url).host
    except KargahError as error:
        raise BadHub(hub=url) from error


def _model_of(session: Session, row: Download) -> Model | None:
    return session.get(Model, row.model_id) if row.model_id else None


def _out(row: Download, job: Job, model: Model | None) -> DownloadOut:
    is_here = row.dataset_id is not None or (model is not None and model.trashed_at is None)
    return DownloadOut(
        id=row.id, kind="model" if row.kind == "model" else "dataset", repository=row.repository, revision=row.revision,
        status=status_of(job.state, is_here), asset_id=row.asset_id, model_id=row.model_id, dataset_id=row.dataset_id,
        commit_id=row.commit_id, job=JobOut.model_validate(job), owner_id=row.owner_id, created_at=row.created_at,
        finished_at=row.finished_at, source=STORED if job.plan.get("stored") else SOURCE,
    )  # fmt: skip
