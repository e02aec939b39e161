"""Under which names hub clients find what is here: given when they are first asked for, then kept whatever the title becomes."""

from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.accounts.tables import User, Workspace
from kargah.datasets.tables import Dataset
from kargah.hub.slugs import RESERVED, is_name, slug_of
from kargah.hub.tables import Namespace, Repository
from kargah.kit.ids import new_id
from kargah.models.tables import Download, Model
from kargah.store import access
from kargah.store.access import Actor

#: What a repository of each kind is the name of, and the column that says which one.
SUBJECTS: dict[str, Any] = {"model": Model, "dataset": Dataset}
COLUMNS: dict[str, Any] = {"model": Repository.model_id, "dataset": Repository.dataset_id}
NAMED_AT_ONCE = 500


def namespace_of(session: Session, user_id: str) -> str:
    """The asker's half of names; made of the address's local part when it is first asked for. Wants a writing transaction."""
    known = session.get(Namespace, user_id)
    if known is not None:
        return known.name
    _one_at_a_time(session)
    user = session.get_one(User, user_id)
    wanted = slug_of(user.email.partition("@")[0], "user")
    taken = set(session.scalars(select(Namespace.name).where(Namespace.name.startswith(wanted, autoescape=True)))) | RESERVED
    taken |= {name.lower() for name in session.scalars(select(Repository.namespace).distinct())}
    name = _free(wanted, taken)
    session.add(Namespace(user_id=user_id, name=name))
    session.flush()
    return name


def own(session: Session, actor: Actor) -> str | None:
    """The asker's namespace, if it was asked for before."""
    row = session.get(Namespace, actor.user_id)
    return None if row is None else row.name


def give_own(session: Session, actor: Actor) -> str:
    return namespace_of(session, actor.user_id)


def are_missing(session: Session, actor: Actor, kind: str) -> bool:
    """Whether something that ``actor`` sees has no name yet."""
    return session.scalar(_nameless(actor, kind).limit(1)) is not None


def give_all(session: Session, actor: Actor, kind: str) -> None:
    """Name what ``actor`` sees and nobody has named."""
    _one_at_a_time(session)
    for subject in session.scalars(_nameless(actor, kind).order_by(SUBJECTS[kind].id).limit(NAMED_AT_ONCE)):
        _give(session, kind, subject)


def known_of(session: Session, actor: Actor, kind: str, subject_id: str) -> str | None:
    """``owner/name`` of a model or data set, if it has one."""
    found = session.scalars(select(Repository).where(COLUMNS[kind] == subject_id, access.visible_to(actor, Repository))).one_or_none()
    return None if found is None else id_of(found)


def give(session: Session, actor: Actor, kind: str, subject_id: str) -> str:
    """The same, and named now if it is not. Access is checked by loading the subject."""
    _one_at_a_time(session)
    known = known_of(session, actor, kind, subject_id)
    return known or id_of(_give(session, kind, access.load(session, actor, SUBJECTS[kind], subject_id)))


def id_of(repository: Repository) -> str:
    return f"{repository.namespace}/{repository.name}"


def new(session: Session, kind: str, namespace: str, name: str, owner: dict[str, str], **subject: str) -> Repository:
    row = Repository(
        id=new_id("repo"), kind=kind, namespace=namespace, name=name, folded=f"{namespace}/{name}".lower(), **subject, **owner
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _one_at_a_time(session: Session) -> None:
    """Held by whoever gives names: of two that want the same one, the second sees that it is taken."""
    session.execute(select(Workspace.id).where(Workspace.id == DEFAULT_WORKSPACE).with_for_update())


def _nameless(actor: Actor, kind: str) -> Any:
    table = SUBJECTS[kind]
    named = exists().where(COLUMNS[kind] == table.id)
    return select(table).where(access.visible_to(actor, table), table.trashed_at.is_(None), ~named)


def _give(session: Session, kind: str, subject: Any) -> Repository:
    owner = {"owner_id": subject.owner_id, "workspace_id": subject.workspace_id, "visibility": subject.visibility}
    own = {COLUMNS[kind].key: subject.id}
    known_as = _known_as(session, kind, subject)
    if known_as is not None:
        return new(session, kind, *known_as, owner, **own)
    namespace = namespace_of(session, subject.owner_id)
    wanted = slug_of(subject.title, kind)
    alike = select(Repository.folded).where(Repository.kind == kind, Repository.folded.startswith(f"{namespace}/{wanted}", autoescape=True))
    taken = {folded.partition("/")[2] for folded in session.scalars(alike)}
    return new(session, kind, namespace, _free(wanted, taken), owner, **own)


def _known_as(session: Session, kind: str, subject: Any) -> tuple[str, str] | None:
    """What was downloaded keeps the name that it has at its own hub, so that programs find it by that; the first of several does."""
    column = Download.model_id if kind == "model" else Download.dataset_id
    downloaded = select(Download.repository).where(column == subject.id).order_by(Download.id).limit(1)
    namespace, _, name = (session.scalars(downloaded).first() or "").partition("/")
    if not (is_name(namespace) and is_name(name)) or namespace.lower() in RESERVED:
        return None
    taken = select(Repository.id).where(Repository.kind == kind, Repository.folded == f"{namespace}/{name}".lower())
    return None if session.scalar(taken) is not None else (namespace, name)


def _free(wanted: str, taken: set[str] | frozenset[str]) -> str:
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
