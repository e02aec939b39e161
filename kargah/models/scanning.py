"""What lies below a root, found by a job (workers.scan): models come among the models where they lie, tables among the assets.

A scan may be repeated: what is as it was stays, a model that has changed gets another version, and what is gone is said to be missing.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs, damage, roots
from kargah.assets.damage import Damage
from kargah.assets.manifest import FileEntry, content_sha256
from kargah.assets.tables import Asset, Root
from kargah.contract import hubs, scans
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event, Finished
from kargah.contract.plans import ScanPlan
from kargah.contract.results import ScanResult
from kargah.contract.scans import Scanned
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit import files
from kargah.kit.errors import BadInput
from kargah.kit.ids import new_id
from kargah.models import folders, stored
from kargah.models import service as models
from kargah.models.tables import ModelVersion
from kargah.store import access
from kargah.store.access import Actor, Role, To
from kargah.text.normalise import fold

KIND = "scan"
MOST_REFUSED = 50


def start(session: Session, actor: Actor, root_id: str, threads: int = 1, **how: Any) -> JobOut:
    """Queue a scan of a root; one that is not over yet is given back instead. ``how``: again and patience_seconds of its plan."""
    access.require_admin(actor)
    root = access.load(session, actor, Root, root_id, To.CHANGE)
    known = session.get(Job, root.job_id) if root.job_id else None
    if known is not None and known.state not in TERMINAL:
        return JobOut.model_validate(known)
    plan = ScanPlan(job_id="", root_id=root.id, folder=root.path, store=roots.store_at(root), **how).model_dump(mode="json")
    job = jobs.submit(session, actor, KIND, root.name, plan, threads_wanted=threads)
    root.job_id = job.id
    return JobOut.model_validate(job)


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: the index becomes the one that the next scan goes by. May run twice, to the same effect."""
    if isinstance(event, Finished):
        index = scans.index_of(home, job.plan["root_id"])
        files.make_folder(index.parent)
        made = _made(home, job, event)
        if made.is_file():
            files.rename(made, index)
        index.with_suffix(".part").unlink(missing_ok=True)


def _made(home: Path, job: Job, event: Finished) -> Path:
    return AttemptDirectory.of(home, job.id, job.attempt).outputs / ScanResult.model_validate(event.result).index


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    root = session.get(Root, job.plan["root_id"])
    if not isinstance(event, Finished) or root is None:  # it was taken away meanwhile
        return
    result = ScanResult.model_validate(event.result)
    index = list(scans.read(scans.index_of(home, root.id)))
    if roots.store_at(root) is None:
        took = {**Registration(session, home, root, index).run(), "damaged": []}
    else:
        took = stored.Registration(session, root, index, result, again=bool(job.plan.get("again"))).run()
    damaged = len(took["damaged"])
    found = {**result.model_dump(exclude={"index", "pickles"}), **took}
    found |= {name: took[name][:MOST_REFUSED] for name in ("refused", "damaged")}
    root.scanned_at, root.summary = event.at, found
    told = {name: value for name, value in found.items() if name not in {"refused", "damaged"}}
    job.result = {"root_id": root.id, **told, "damaged": damaged}


class Registration:
    """Of one scan. ``places`` are paths below the root: of a model's folder, of a table."""

    def __init__(self, session: Session, home: Path, root: Root, index: list[Scanned]) -> None:
        self._session, self._home, self._root = session, home, root
        self._folders: dict[str, list[Scanned]] = {}
        for one in index:
            self._folders.setdefault(one.path.rpartition("/")[0], []).append(one)
        self._known = {row.place: row for row in session.scalars(select(Asset).where(Asset.root_id == root.id))}
        self._seen: set[str] = set()
        self._refused: list[dict[str, Any]] = []
        self._missing: set[str] = set()
        self._models = self._tables = 0

    def run(self) -> dict[str, Any]:
        for place, found in self._folders.items():
            if scans.is_model(PurePosixPath(one.path).name for one in found):
                self._take_model(place, found)
            else:
                self._take_tables(found)
        gone = self._forget_gone()
        return {"models": self._models, "tables": self._tables, "gone": gone, "refused": self._refused}

    def _take_model(self, place: str, found: list[Scanned]) -> None:
        taken = [one for one in found if hubs.is_of_model(PurePosixPath(one.path).name) and one.git_sha1]
        entries = [FileEntry(path=PurePosixPath(one.path).name, sha256=one.sha256, git_sha1=one.git_sha1 or "", size_bytes=one.size_bytes)
                   for one in taken]  # fmt: skip
        self._models += 1
        self._seen.add(place)
        known = self._known.get(place)
        if known is not None and known.sha256 == content_sha256(entries):
            self._link_again(known, place, entries)
            return
        try:
            folder = folders.inspect(Path(self._root.path) / place)
        except BadInput as error:
            self._refuse(place, error)
            return
        if set(folder.paths) != {entry.path for entry in entries}:  # it is being written just now: the next scan finds it whole
            return
        if known is not None:
            self._unlink(known)
        self._link(place, entries)
        title = PurePosixPath(place).name or self._root.name
        self._record(place, self._version(known, title, folder, entries))

    def _link_again(self, known: Asset, place: str, entries: list[FileEntry]) -> None:
        """Its disk was away, or its files lay elsewhere for a while."""
        if known.status != "ready":
            self._link(place, entries)
            damage.mend(self._session, {entry.sha256 for entry in entries})

    def _link(self, place: str, entries: list[FileEntry]) -> None:
        for entry in entries:
            blobs.link(self._home, Path(self._root.path) / place / entry.path, entry.sha256)

    def _refuse(self, place: str, error: BadInput) -> None:
        self._models -= 1
        self._seen.discard(place)
        self._refused.append({"place": place, **error.as_dict()})

    def _version(self, known: Asset | None, title: str, folder: folders.ModelFolder, entries: list[FileEntry]) -> str:
        """A model that has changed where it lies is another version of the same."""
        owner = self._owner()
        old = self._session.get(ModelVersion, known.subject_id) if known is not None and known.subject_id else None
        if known is not None:
            known.root_id = known.place = None
        if old is None:
            return models.register_import(self._session, owner, title, folder, entries).versions[0].id
        return models.add_version(self._session, owner, old.model_id, folder, entries).id

    def _record(self, place: str, version_id: str) -> None:
        asset = self._session.scalars(select(Asset).where(Asset.subject_id == version_id)).one()
        asset.root_id, asset.place = self._root.id, place

    def _take_tables(self, found: Iterable[Scanned]) -> None:
        for one in found:
            name = PurePosixPath(one.path).name
            if not scans.is_table(name) or one.git_sha1 is None:
                continue
            self._tables += 1
            self._seen.add(one.path)
            known = self._known.get(one.path)
            if known is None:
                known = Asset(
                    id=new_id("ast"), kind="dataset", name=name[:300], name_folded=fold(name)[:300], source="local", status="ready",
                    root_id=self._root.id, place=one.path, files=[], **_owned_as(self._root),
                )  # fmt: skip
                self._session.add(known)
            if known.sha256 != one.sha256:
                self._unlink(known)
                entry = FileEntry(path=name, sha256=one.sha256, git_sha1=one.git_sha1, size_bytes=one.size_bytes)
                known.files, known.size_bytes, known.sha256 = [entry.model_dump()], one.size_bytes, one.sha256
        self._session.flush()

    def _forget_gone(self) -> int:
        """Tables leave with their record. Models stay, and say that their files are missing: something may stand on them."""
        gone = [row for place, row in self._known.items() if place not in self._seen and row.root_id == self._root.id]
        for row in gone:
            self._unlink(row)
            if row.subject_id is None:
                self._session.delete(row)
        self._session.flush()
        missing = {sha256 for sha256 in self._missing if not blobs.path_of(self._home, sha256).is_file()}
        if missing:
            damage.mark(self._session, Damage.MISSING, missing)
            damage.settle(self._session)
        return len(gone)

    def _unlink(self, row: Asset) -> None:
        """Its files are not known here by their old hashes any more; what was kept besides is."""
        folder = Path(self._root.path) / ((row.place or "") if row.kind == "model" else (row.place or "").rpartition("/")[0])
        self._missing |= {entry["sha256"] for entry in row.files if blobs.unlink(self._home, folder / entry["path"], entry["sha256"])}

    def _owner(self) -> Actor:
        row = self._root
        return Actor(row.owner_id, Role.TRAINER, row.workspace_id, frozenset({row.workspace_id}))


def _owned_as(root: Root) -> dict[str, str]:
    return {"owner_id": root.owner_id, "workspace_id": root.workspace_id, "visibility": root.visibility}
