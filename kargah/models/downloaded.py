"""What the end of a download means: its files are kept, and become a model to start from or a data set to be read; or why not."""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry, commit_id, content_sha256
from kargah.assets.tables import Asset
from kargah.contract import hubs
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Failed, Finished, Logged, Stopped
from kargah.contract.hubs import HubAccess
from kargah.contract.plans import BundledFiles, StoredFiles
from kargah.contract.results import DownloadResult, OutputFile
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.files import Digest
from kargah.models import folders
from kargah.models import service as models
from kargah.models.downloads import Status
from kargah.models.folders import ModelFolder
from kargah.models.tables import Download, Model, ModelVersion
from kargah.store.access import Actor, Role
from kargah.workers.downloading import FOLDER, listing_of
from kargah.workers.hub import parts, tree

PLANNED = "download.planned"

#: Makes a data set of a file that is kept: (session, for whom, name, filename, file, licence, where it is from) → its id.
TakeDataset = Callable[[Session, Actor, str, str, Digest, str | None, str], str]


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: the files become blobs. May run twice, to the same effect. A folder that is no model is refused here."""
    if not isinstance(event, Finished):
        return
    outputs, result = AttemptDirectory.of(home, job.id, job.attempt).outputs, DownloadResult.model_validate(event.result)
    if _bundled(job) is not None:
        folders.require_weights(outputs / FOLDER, [file.path for file in result.files])
    elif _is_model(job):
        folders.inspect(outputs / FOLDER)
    for file in result.files:
        blobs.keep(home, outputs / FOLDER / file.path, file.sha256, file.size_bytes)
    if result.packed is not None:
        blobs.keep(home, outputs / result.packed.path, result.packed.sha256, result.packed.size_bytes)
    for file in result.files:
        for key in (file.sha256, f"git-{file.git_sha1}"):
            (hubs.downloads_folder(home) / key).unlink(missing_ok=True)


#: Makes a model of the files of another Kargah's, which are kept: (session, for whom, its words) → the ids of model and version.
TakeBundle = Callable[[Session, Actor, BundledFiles], tuple[str, str]]


class Projector:
    """``on_event`` is the trade's. What a data set becomes, and a model of another Kargah, is other domains' to say."""

    def __init__(self, take_dataset: TakeDataset, take_bundle: TakeBundle) -> None:
        self._take_dataset, self._take_bundle = take_dataset, take_bundle

    def on_event(self, session: Session, home: Path, job: Job, event: Event) -> None:
        """Once: a download that is over stays so."""
        row = session.scalars(select(Download).where(Download.job_id == job.id)).one_or_none()
        if row is None or row.finished_at is not None:
            return
        asset = session.get(Asset, row.asset_id) if row.asset_id else None
        if isinstance(event, Logged) and event.code == PLANNED and asset is not None:
            asset.size_bytes = int(event.params["total_bytes"])
        if not isinstance(event, Finished | Failed | Stopped):
            return
        row.finished_at, row.active_user, row.active_peer = event.at, None, None
        HubAccess.forget(home, str(job.plan.get("access", hubs.HUBS)))
        if isinstance(event, Finished):
            self._keep(session, home, job, row, asset, DownloadResult.model_validate(event.result))
        elif isinstance(event, Failed) and asset is not None:
            asset.status, asset.size_bytes = Status.ERROR, 0
        else:
            _throw_away(home, job)
            _forget(session, row, asset)

    def _keep(self, session: Session, home: Path, job: Job, row: Download, asset: Asset | None, result: DownloadResult) -> None:
        blobs.register(session, result.files)
        row.commit_id = result.commit
        bundled = _bundled(job)
        if bundled is not None:
            row.model_id, version_id = self._take_bundle(session, _owner_of(job), bundled)
            job.result = {"model_id": row.model_id, "model_version_id": version_id}
            _forget(session, row, asset)  # the model has a record of its own
            return
        if row.kind == "model":
            version = _registered(session, home, job, row, result)
            row.model_id = version.model_id
            job.result = {"model_id": version.model_id, "model_version_id": version.id}
            if asset is not None:  # the one that was promised when it began
                assets.forget(session, [version.id])
                asset.sha256 = content_sha256(FileEntry.model_validate(entry) for entry in version.files)
                asset.status, asset.subject_id, asset.files = Status.READY, version.id, version.files
                asset.size_bytes, asset.downloaded_at = version.size_bytes, utc_now()
            return
        row.dataset_id = self._dataset(session, job, row, result)
        job.result = {"dataset_id": row.dataset_id}
        _forget(session, row, asset)  # the data set has a record of its own

    def _dataset(self, session: Session, job: Job, row: Download, result: DownloadResult) -> str:
        packed, name = result.packed, _title(job, row)
        table = packed or next((file for file in result.files if hubs.is_table(file.path)), result.files[0])
        blobs.register(session, [table])
        filename = f"{name}.zip" if packed else Path(table.path).name
        digest = Digest(table.sha256, table.git_sha1, table.size_bytes)
        note, stored = f"{result.hub}/datasets/{row.repository}/tree/{result.commit}", _stored(job)
        if stored is not None:
            note = f"{_place_of(stored)}/{table.path}"
        return self._take_dataset(session, _owner_of(job), name, filename, digest, result.licence, note)


def _forget(session: Session, row: Download, asset: Asset | None) -> None:
    row.asset_id = None
    session.flush()
    if asset is not None:
        session.delete(asset)


def _throw_away(home: Path, job: Job) -> None:
    """What a worker that was told to stop has done already; one that was paused, or queued, could not."""
    listed = tree.remembered(listing_of(AttemptDirectory.of(home, job.id, max(1, job.attempt))))
    if listed is not None:
        parts.discard(hubs.downloads_folder(home), [file.key for file in listed.files])


def sweep(home: Path, kept_days: float) -> int:
    """At the start of an agent: what nobody has gone on with for so long leaves. Returns how many files. What is being written is fresh."""
    folder, swept = hubs.downloads_folder(home), 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file() and path.stat().st_mtime < time.time() - kept_days * 86_400:
            path.unlink(missing_ok=True)
            swept += 1
    return swept


def _registered(session: Session, home: Path, job: Job, row: Download, result: DownloadResult) -> ModelVersion:
    folder = folders.inspect(AttemptDirectory.of(home, job.id, job.attempt).outputs / FOLDER)
    entries = [_entry(file) for file in result.files]
    version = _newer(session, job, folder, entries, result.licence)
    if version is None:
        model = models.register_import(session, _owner_of(job), _title(job, row), folder, entries, result.licence)
        version = session.get_one(ModelVersion, model.versions[0].id)
    if (stored := _stored(job)) is not None:
        version.detail = {"store": {"url": _place_of(stored), "endpoint": stored.store.shown, "commit": result.commit}}
        return version
    licence_file = next((entry.path for entry in entries if hubs.is_licence(entry.path)), None)
    said = {"repository": row.repository, "revision": row.revision, "commit": result.commit, "url": result.hub, "gated": result.gated}
    version.source = "hub"
    version.detail = {"hub": {**said, "licence_file": licence_file}}
    session.flush()
    return version


def _newer(session: Session, job: Job, folder: ModelFolder, entries: list[FileEntry], licence: str | None) -> ModelVersion | None:
    """Of an update the next version, or the one that is the same already; None where there is no model any more to be updated."""
    model = session.get(Model, job.plan.get("into") or "")
    if model is None or model.trashed_at is not None:
        return None
    wanted = select(ModelVersion).where(ModelVersion.model_id == model.id).order_by(ModelVersion.number.desc()).limit(1)
    newest = session.scalars(wanted).one()
    if newest.commit_id == commit_id(entries):
        return newest
    owner = Actor(model.owner_id, Role.TRAINER, model.workspace_id, frozenset({model.workspace_id}))  # who asked was judged at the start
    return session.get_one(ModelVersion, models.add_version(session, owner, model.id, folder, entries, licence).id)


def _entry(file: OutputFile) -> FileEntry:
    return FileEntry.model_validate(file.model_dump())


def _bundled(job: Job) -> BundledFiles | None:
    said = job.plan.get("bundled")
    return BundledFiles.model_validate(said) if said else None


def _title(job: Job, row: Download) -> str:
    return str(job.plan.get("title") or row.repository.rpartition("/")[2])


def _stored(job: Job) -> StoredFiles | None:
    said = job.plan.get("stored")
    return StoredFiles.model_validate(said) if said else None


def _place_of(stored: StoredFiles) -> str:
    return f"{stored.store.url}/{stored.place}".rstrip("/")


def _is_model(job: Job) -> bool:
    return bool(job.plan.get("repository_kind", "model") == "model")


def _owner_of(job: Job) -> Actor:
    """As whom its end is written down: the one who asked for it, who may have gone since."""
    return Actor(user_id=job.owner_id, role=Role.TRAINER, workspace_id=job.workspace_id, workspace_ids=frozenset({job.workspace_id}))
