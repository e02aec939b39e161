"""The bundled data: the x,y table, offered without an import, is what a training learns that was told of no data."""

import json
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.manifest import FileEntry, commit_id
from kargah.datasets import service as datasets
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.kit.ids import new_id
from kargah.store import access
from kargah.store.access import Actor
from kargah.text.normalise import NormaliserSettings, fold

SAMPLES = Path(__file__).parent / "samples"
LINE, GENRES = "line", "genre-fa.csv"
LICENCE = "Apache-2.0"


def ensure_line(session: Session, actor: Actor, home: Path) -> str:
    """The id of the workspace's copy of the table, made when it is first wanted."""
    access.require_creator(actor)
    note = f"bundled:{LINE}"
    known = select(Dataset.id).where(access.visible_to(actor, Dataset), Dataset.source_note == note, Dataset.trashed_at.is_(None))
    found: str | None = session.scalars(known.order_by(Dataset.id)).first()
    return found or _make(session, actor, home, note)


def import_genres(session: Session, actor: Actor, home: Path, title: str) -> str:
    """The id of the workspace's copy of the Persian texts in four genres: it comes in as any uploaded file does, once."""
    access.require_creator(actor)
    note = f"bundled:{GENRES}"
    known = select(Dataset.id).where(access.visible_to(actor, Dataset), Dataset.source_note == note, Dataset.trashed_at.is_(None))
    found: str | None = session.scalars(known.order_by(Dataset.id)).first()
    if found:
        return found
    digest = blobs.put_file(home, SAMPLES / GENRES)
    dataset, _, _ = datasets.create_from_upload(session, actor, title, GENRES, digest, licence=LICENCE, source_note=note)
    return dataset.id


def _make(session: Session, actor: Actor, home: Path, note: str) -> str:
    folder = SAMPLES / LINE
    entries = [_kept(home, path) for path in sorted(folder.iterdir())]
    blobs.register(session, entries)
    dataset = Dataset(
        id=new_id("ds"), slug=f"{LINE}-{new_id('ds')[-8:]}", title="x, y", title_folded=fold("x, y"), licence=LICENCE,
        source_note=note, visibility="workspace", **access.owned_by(actor),
    )  # fmt: skip
    session.add(dataset)
    session.flush()
    report = json.loads((folder / "report.json").read_bytes())
    source = next(entry for entry in entries if entry.path == "data.parquet")
    version = DatasetVersion(
        id=new_id("dsv"), dataset_id=dataset.id, number=1, state="READY", source_filename=f"{LINE}.csv", source_sha256=source.sha256,
        source_size_bytes=source.size_bytes, commit_id=commit_id(entries), format=report["format"], encoding=report["encoding"],
        rows=report["rows"], size_bytes=sum(entry.size_bytes for entry in entries), report=report,
        columns=json.loads((folder / "columns.json").read_bytes()), files=[entry.model_dump() for entry in entries],
        normaliser=NormaliserSettings().model_dump(),
    )  # fmt: skip
    session.add(version)
    dataset.current_version_id = version.id
    assets.record(session, dataset, "dataset", dataset.title, version.id, entries)
    return dataset.id


def _kept(home: Path, path: Path) -> FileEntry:
    digest = blobs.put_file(home, path)
    return FileEntry(path=path.name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
