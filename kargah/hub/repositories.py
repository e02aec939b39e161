"""Repositories: found by their names, listed, created, made private or not, thrown away."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from kargah.assets import service as assets
from kargah.datasets import service as datasets
from kargah.datasets.tables import DatasetVersion
from kargah.hub import names, revisions, slugs
from kargah.hub.errors import BadRepositoryName, ForeignNamespace, RepositoryExists, RepositoryNotFound
from kargah.hub.revisions import Revision, Snapshot
from kargah.hub.tables import Repository
from kargah.models import service as models
from kargah.models.tables import ModelVersion
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.text.normalise import fold

PAGE, PAGE_LIMIT = 100, 1000


@dataclass(frozen=True)
class Address:
    """``kind``: model or dataset."""

    kind: str
    namespace: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class About:
    """A repository as lists and its own page tell of it. ``task`` and ``licence`` where they are known."""

    row_id: str
    address: Address
    title: str
    is_private: bool
    created_at: datetime
    main: Revision
    task: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Listed:
    items: list[About]
    next_cursor: str | None


def load(session: Session, actor: Actor, address: Address, to: To = To.READ) -> Repository:
    """Access is checked by loading; what is in the trash is not found. Raises RepositoryNotFound, Forbidden."""
    wanted = select(Repository).where(Repository.kind == address.kind, Repository.folded == address.id.lower())
    row = session.scalars(wanted.where(access.visible_to(actor, Repository))).one_or_none()
    if row is None or _subject_of(session, row, trashed=True):
        raise RepositoryNotFound(kind="repositories", id=address.id, repository=address.id)
    if to is To.CHANGE:
        access.require_change(actor, row)
    return row


def is_here(session: Session, actor: Actor, address: Address) -> bool:
    try:
        load(session, actor, address)
    except RepositoryNotFound:
        return False
    return True


def show(session: Session, actor: Actor, address: Address, revision: str = revisions.MAIN) -> tuple[About, Snapshot]:
    row = load(session, actor, address)
    return _about(session, row), revisions.snapshot(session, row, revision)


def snapshot(session: Session, actor: Actor, address: Address, revision: str) -> Snapshot:
    return revisions.snapshot(session, load(session, actor, address), revision)


def history(session: Session, actor: Actor, address: Address) -> list[Revision]:
    """``main`` first."""
    return revisions.history(session, load(session, actor, address))


def list_for(
    session: Session, actor: Actor, kind: str, *, query: str = "", author: str = "", cursor: str = "", limit: int = PAGE
) -> Listed:
    """The newest first; ``query`` is searched in names and, spelling folded, in titles."""
    table, column = names.SUBJECTS[kind], names.COLUMNS[kind]
    wanted = select(Repository).outerjoin(table, table.id == column).where(Repository.kind == kind, table.trashed_at.is_(None))
    wanted = wanted.where(access.visible_to(actor, Repository)).order_by(Repository.id.desc())
    if cursor:
        wanted = wanted.where(Repository.id < cursor)
    if author:
        wanted = wanted.where(Repository.folded.startswith(f"{author.lower()}/", autoescape=True))
    if query:
        named = Repository.folded.contains(query.lower(), autoescape=True)
        wanted = wanted.where(or_(named, table.title_folded.contains(fold(query), autoescape=True)))
    limit = max(1, min(limit, PAGE_LIMIT))
    rows = list(session.scalars(wanted.limit(limit + 1)))
    more = rows[limit - 1].id if len(rows) > limit else None
    return Listed([_about(session, row) for row in rows[:limit]], more)


def create(session: Session, actor: Actor, kind: str, name: str, namespace: str | None, *, private: bool) -> Address:
    """An empty one, under the asker's own namespace. Raises BadRepositoryName, ForeignNamespace, RepositoryExists."""
    access.require_creator(actor)
    own = names.namespace_of(session, actor.user_id)
    if not slugs.is_name(name):
        raise BadRepositoryName(field="name", name=name[: slugs.LONGEST_NAME])
    if namespace and namespace.lower() != own:
        raise ForeignNamespace(namespace=namespace[: slugs.LONGEST_NAME], own=own)
    address = Address(kind, own, name)
    wanted = select(Repository.id).where(Repository.kind == kind, Repository.folded == address.id.lower())
    if session.scalar(wanted) is not None:
        raise RepositoryExists(repository=address.id)
    owner = {**access.owned_by(actor), "visibility": "private" if private else "workspace"}
    names.new(session, kind, own, name, owner)
    return address


def set_private(session: Session, actor: Actor, address: Address, *, private: bool) -> None:
    """With the model or data set that it is the name of, and its files. Jobs and runs that used it stay as they are."""
    row = load(session, actor, address, To.CHANGE)
    row.visibility = "private" if private else "workspace"
    subject = _subject_of(session, row)
    if subject is not None:
        subject.visibility = row.visibility
    versions = [
        *session.scalars(select(DatasetVersion.id).where(DatasetVersion.dataset_id == row.dataset_id)),
        *session.scalars(select(ModelVersion.id).where(ModelVersion.model_id == row.model_id)),
    ]
    assets.set_visibility(session, [row.id, *versions], row.visibility)


def delete(session: Session, actor: Actor, address: Address) -> None:
    """Its model or data set goes to the trash, and the name with it; a name of nothing yet just goes."""
    row = load(session, actor, address, To.CHANGE)
    if row.model_id is not None:
        models.delete(session, actor, row.model_id)
    elif row.dataset_id is not None:
        datasets.delete(session, actor, row.dataset_id)
    else:
        assets.set_trashed(session, [row.id], trashed=True)
        session.delete(row)


def page_of(session: Session, actor: Actor, address: Address) -> str:
    """Where people look at it."""
    row = load(session, actor, address)
    if row.model_id is not None:
        return f"/models/{row.model_id}"
    return f"/datasets/{row.dataset_id}" if row.dataset_id is not None else f"/{address.kind}s"


def _subject_of(session: Session, row: Repository, *, trashed: bool | None = None) -> Any:
    """The model or data set; with ``trashed`` only if it is, or is not, in the trash."""
    subject_id = row.model_id or row.dataset_id
    subject = session.get(names.SUBJECTS[row.kind], subject_id) if subject_id else None
    if subject is None or trashed is None or (subject.trashed_at is not None) is trashed:
        return subject
    return None


def _about(session: Session, row: Repository) -> About:
    subject = _subject_of(session, row)
    main = revisions.history(session, row)[0]
    task = subject.recipe if row.kind == "model" and subject is not None else None
    return About(
        row_id=row.id,
        address=Address(row.kind, row.namespace, row.name),
        title=subject.title if subject is not None else row.name,
        is_private=row.visibility == "private",
        created_at=row.created_at if subject is None else subject.created_at,
        main=main,
        task=task,
        licence=_licence(session, row, subject),
    )


def _licence(session: Session, row: Repository, subject: Any) -> str | None:
    if row.kind == "dataset":
        return None if subject is None else subject.licence
    newest = select(ModelVersion.licence).where(ModelVersion.model_id == row.model_id, ModelVersion.licence.is_not(None))
    return session.scalars(newest.order_by(ModelVersion.number.desc()).limit(1)).first()
