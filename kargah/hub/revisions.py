"""What a repository holds: its revisions, which of them is ``main``, and the files of one.

A revision is a version of the model or data set, or a commit that a client pushed; a version that was made of a commit is
shown as that commit.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets.manifest import FileEntry, commit_id
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.hub.errors import RevisionNotFound
from kargah.hub.names import id_of
from kargah.hub.tables import Commit, Repository
from kargah.models.tables import ModelVersion

MAIN = "main"
_PREFIX = re.compile(r"[0-9a-f]{7,40}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
#: Of a data set's own version: the table under its name, what belongs to it where ``load_dataset`` looks for no data.
_SHOWN_AS = {"data.parquet": "data.parquet"}
_BESIDE = ".kargah/"


@dataclass(frozen=True)
class Revision:
    """``row``: the table and the row that has its files; None where nothing was pushed yet."""

    commit_id: str
    created_at: datetime
    title: str
    message: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()
    row: tuple[type[Any], str] | None = None


@dataclass(frozen=True)
class Snapshot:
    """One revision with its files by path, in the order of paths."""

    repository_id: str
    revision: Revision
    files: dict[str, FileEntry]

    @property
    def commit_id(self) -> str:
        return self.revision.commit_id


@dataclass(frozen=True)
class _Version:
    """What models' and data sets' versions have in common here."""

    id: str
    number: int
    name: str
    commit_id: str
    created_at: datetime
    table: type[Any]
    recommended: bool = False
    is_imported: bool = False


def history(session: Session, repository: Repository) -> list[Revision]:
    """``main`` first, then the others, the newest first; never empty."""
    versions = _versions(session, repository)
    commits = _commits(session, repository)
    revisions = _revisions(versions, commits)
    if not revisions:
        return [Revision(commit_id([]), repository.created_at, "")]
    main = _main(session, repository, versions, commits)
    first = next(revision for revision in revisions if revision.row is not None and revision.row[1] == main)
    return [first, *(revision for revision in revisions if revision is not first)]


def find(session: Session, repository: Repository, name: str) -> Revision:
    """By branch, tag or commit id, which may be cut to seven digits or more. Raises RevisionNotFound."""
    known = history(session, repository)
    if name in (MAIN, f"refs/heads/{MAIN}"):
        return known[0]
    for revision in known:
        if name in revision.tags or (_PREFIX.fullmatch(name) and revision.commit_id.startswith(name)):
            return revision
    raise RevisionNotFound(kind="revisions", id=name, revision=name, repository=id_of(repository))


def snapshot(session: Session, repository: Repository, name: str = MAIN) -> Snapshot:
    revision = find(session, repository, name)
    return Snapshot(repository.id, revision, {entry.path: entry for entry in _files(session, revision)})


def _files(session: Session, revision: Revision) -> list[FileEntry]:
    if revision.row is None:
        return []
    table, row_id = revision.row
    stored = session.scalars(select(table.files).where(table.id == row_id)).one() or []
    entries = [FileEntry.model_validate(entry) for entry in stored]
    if table is DatasetVersion:
        entries = [entry.model_copy(update={"path": _SHOWN_AS.get(entry.path, _BESIDE + entry.path)}) for entry in entries]
    return sorted(entries, key=lambda entry: entry.path)


def _versions(session: Session, repository: Repository) -> list[_Version]:
    """The newest first; without their files."""
    if repository.model_id is not None:
        columns = (ModelVersion.id, ModelVersion.number, ModelVersion.name, ModelVersion.commit_id, ModelVersion.created_at)
        wanted = select(*columns, ModelVersion.recommended, ModelVersion.source).where(ModelVersion.model_id == repository.model_id)
        rows = session.execute(wanted.order_by(ModelVersion.number.desc()))
        return [
            _Version(*row[:5], ModelVersion, recommended=row.recommended, is_imported=row.source not in ("training", "baseline"))
            for row in rows
        ]  # fmt: skip
    own = (DatasetVersion.dataset_id == repository.dataset_id, DatasetVersion.state == "READY")
    told = select(DatasetVersion.id, DatasetVersion.number, DatasetVersion.commit_id, DatasetVersion.created_at).where(*own)
    found = session.execute(told.order_by(DatasetVersion.number.desc()))
    return [_Version(row.id, row.number, "", row.commit_id or "", row.created_at, DatasetVersion) for row in found]


def _commits(session: Session, repository: Repository) -> Sequence[Any]:
    """The newest first; without their files."""
    columns = (
        Commit.id,
        Commit.number,
        Commit.commit_id,
        Commit.created_at,
        Commit.title,
        Commit.message,
        Commit.author,
        Commit.version_id,
    )
    return session.execute(select(*columns).where(Commit.repository_id == repository.id).order_by(Commit.number.desc())).all()


def _revisions(versions: list[_Version], commits: Sequence[Any]) -> list[Revision]:
    names = Counter(version.name for version in versions)
    tags = {version.id: _tags(version, names) for version in versions}
    made = {commit.version_id: commit.id for commit in reversed(commits)}  # the newest of those that share a version
    told = [
        Revision(
            row.commit_id,
            row.created_at,
            row.title,
            row.message,
            row.author,
            tags.get(row.version_id, ()) if made[row.version_id] == row.id else (),
            (Commit, row.id),
        )
        for row in commits
    ]
    told += [
        Revision(version.commit_id, version.created_at, " ".join(tags[version.id]), tags=tags[version.id], row=(version.table, version.id))
        for version in versions
        if version.id not in made
    ]
    return sorted(told, key=lambda revision: revision.created_at, reverse=True)


def _tags(version: _Version, names: Counter[str]) -> tuple[str, ...]:
    """``v3``, and the name of what a training made where only one has it."""
    is_tag = names[version.name] == 1 and version.name not in (MAIN, "model", "") and _TAG.fullmatch(version.name)
    return (f"v{version.number}", version.name) if is_tag and version.name != f"v{version.number}" else (f"v{version.number}",)


def _main(session: Session, repository: Repository, versions: list[_Version], commits: Sequence[Any]) -> str:
    """The row that is ``main``: what was pushed last, unless the version in use now is another one than was made of it."""
    current = _current(session, repository, versions)
    if not commits or current is None:
        return str(current.id if current is not None else commits[0].id)
    made_of = next((commit for commit in commits if commit.version_id == current.id), None)
    if made_of is None:
        return str(current.id if current.created_at > commits[0].created_at else commits[0].id)
    is_settled = any(version.id == commits[0].version_id for version in versions)
    return str(made_of.id if is_settled else commits[0].id)


def _current(session: Session, repository: Repository, versions: list[_Version]) -> _Version | None:
    """A data set says it itself; of a model it is what was brought in last, else what its training recommends."""
    if repository.dataset_id is not None:
        chosen = session.scalars(select(Dataset.current_version_id).where(Dataset.id == repository.dataset_id)).one_or_none()
        return next((version for version in versions if version.id == chosen), None)
    return max(versions, key=lambda version: (version.is_imported, version.recommended, version.number), default=None)
