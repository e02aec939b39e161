"""The version of a model or data set that follows from what was pushed: found on the disk first, then made in the commit's transaction."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets import uploads as pieces
from kargah.assets.manifest import FileEntry
from kargah.contract.plans import InputFile
from kargah.datasets import service as datasets
from kargah.hub import card
from kargah.hub.tables import Repository
from kargah.kit import packing
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.models import folders
from kargah.models import service as models
from kargah.models.folders import ModelFolder
from kargah.models.tables import Model
from kargah.store.access import Actor

README = "README.md"
#: Files of a data repository that are no data, besides hidden ones.
_NO_DATA_SUFFIXES = frozenset({".md", ".py", ".yaml", ".yml", ".ipynb", ".png", ".jpg", ".svg", ".pdf"})
_NO_DATA_NAMES = frozenset({"license", "licence", "license.txt", "notice", "dataset_infos.json", "dataset_dict.json", "state.json"})


@dataclass(frozen=True)
class Substance:
    """What a commit's files amount to. ``files``: those that a version would be made of; none when nothing usable is there yet.

    ``folder`` of a model; ``filename`` and ``source`` of data: one file, or a zip of several.
    """

    files: tuple[FileEntry, ...] = ()
    folder: ModelFolder | None = None
    filename: str = ""
    source: Digest | None = None
    title: str | None = None
    licence: str | None = None


def find(home: Path, kind: str, files: dict[str, FileEntry], before: dict[str, FileEntry]) -> Substance:
    """Reads the disk, and may keep a zip; no database. ``before``: the files of the parent. Raises WeightsDamaged."""
    readme = files.get(README)
    said = card.read(blobs.path_of(home, readme.sha256) if readme else None)
    title, licence = said.get("pretty_name", "")[:300] or None, said.get("license", "")[:100] or None
    if kind == "model":
        folder = _model_in(home, files)
        taken = tuple(files[path] for path in folder.paths) if folder else ()
        return Substance(taken, folder, title=title, licence=licence)
    data = tuple(_data_in(files.values()))
    if not data or data == tuple(_data_in(before.values())):
        return Substance(data, title=title, licence=licence)
    filename, source = _source(home, data)
    return Substance(data, None, filename, source, title, licence)


def make(session: Session, actor: Actor, row: Repository, substance: Substance, parent_version_id: str | None) -> str | None:
    """The version's id; the parent's own where nothing that it is made of has changed; None where there is nothing to make one of."""
    if not substance.files:
        return None
    if row.kind == "dataset":
        return _dataset_version(session, actor, row, substance) if substance.source is not None else parent_version_id
    return _model_version(session, actor, row, substance, parent_version_id)


def _model_in(home: Path, files: dict[str, FileEntry]) -> ModelFolder | None:
    """By the same inspection as any other folder from elsewhere."""
    top = [entry for path, entry in files.items() if "/" not in path]
    if "config.json" not in files or not any(entry.path.endswith(".safetensors") for entry in top):
        return None
    with tempfile.TemporaryDirectory(dir=pieces.part_of(home, "x").parent) as folder:
        blobs.lay_out(home, _inputs(top), Path(folder))
        try:
            return folders.inspect(Path(folder))
        except folders.NotAModelFolder:
            return None


def _model_version(session: Session, actor: Actor, row: Repository, substance: Substance, parent_version_id: str | None) -> str:
    assert substance.folder is not None
    files = list(substance.files)
    if row.model_id is None:
        made = models.register_import(session, actor, substance.title or row.name, substance.folder, files, substance.licence)
        session.get_one(Model, made.id).visibility = row.visibility
        assets.set_visibility(session, [made.versions[0].id], row.visibility)
        row.model_id = made.id
        return made.versions[0].id
    if parent_version_id is not None and _working(models.get_version_for(session, actor, parent_version_id).files) == _working(files):
        return parent_version_id
    return models.add_version(session, actor, row.model_id, substance.folder, files, substance.licence).id


def _working(files: list[FileEntry]) -> list[FileEntry]:
    """Without what is only read: another card makes no other model."""
    return [entry for entry in files if not entry.path.endswith(".md")]


def _data_in(files: Iterable[FileEntry]) -> list[FileEntry]:
    """Of the kind that there is most of, where there are several."""
    data = [entry for entry in files if _is_data(PurePosixPath(entry.path))]
    kinds = [PurePosixPath(entry.path).suffix.lower() for entry in data]
    most = max(sorted(set(kinds)), key=kinds.count, default="")
    return [entry for entry, kind in zip(data, kinds, strict=True) if kind == most]


def _is_data(path: PurePosixPath) -> bool:
    if any(part.startswith(".") for part in path.parts):
        return False
    return path.suffix.lower() not in _NO_DATA_SUFFIXES and path.name.lower() not in _NO_DATA_NAMES


def _source(home: Path, data: tuple[FileEntry, ...]) -> tuple[str, Digest]:
    if len(data) == 1:
        only = data[0]
        return PurePosixPath(only.path).name, Digest(only.sha256, only.git_sha1, only.size_bytes)
    packed = pieces.part_of(home, new_id("upl"))
    try:
        with tempfile.TemporaryDirectory(dir=packed.parent) as folder:
            blobs.lay_out(home, _inputs(data), Path(folder))
            return "data.zip", blobs.put_file(home, packing.pack(Path(folder), packed), move=True)
    finally:
        packed.unlink(missing_ok=True)


def _dataset_version(session: Session, actor: Actor, row: Repository, substance: Substance) -> str:
    assert substance.source is not None
    if row.dataset_id is not None:
        version, _ = datasets.add_version(session, actor, row.dataset_id, substance.filename, substance.source)
        return version.id
    dataset, version, _ = datasets.create_from_upload(
        session, actor, substance.title or row.name, substance.filename, substance.source,
        licence=substance.licence, visibility=row.visibility,
    )  # fmt: skip
    row.dataset_id = dataset.id
    return version.id


def _inputs(entries: Iterable[FileEntry]) -> list[InputFile]:
    return [InputFile(path=entry.path, sha256=entry.sha256, size_bytes=entry.size_bytes) for entry in entries]
