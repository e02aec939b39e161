"""What may be downloaded: the catalogue, which is data (catalogue.toml), and what admins have allowed besides."""

import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kargah.contract import hubs
from kargah.kit import i18n
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.kit.ids import new_id
from kargah.models.tables import AllowedRepository
from kargah.store import access
from kargah.store.access import Actor
from kargah.text.normalise import fold

SOURCE = Path(__file__).with_name("catalogue.toml")
ALL_OF = "/*"

Kind = Literal["model", "dataset"]
#: ``multi``: many besides.
Language = Literal["fa", "en", "multi"]


class Task(StrEnum):
    ENCODER = "encoder"
    SENTIMENT = "sentiment"
    TOPIC = "topic"
    NAMED_ENTITIES = "named_entities"
    EMBEDDING = "embedding"
    ENTAILMENT = "entailment"
    PARAPHRASE = "paraphrase"
    QUESTION_ANSWERING = "question_answering"
    MULTIPLE_CHOICE = "multiple_choice"
    SUMMARISATION = "summarisation"
    TRANSLATION = "translation"
    TEXT_TO_TEXT = "text_to_text"
    LANGUAGE_MODEL = "language_model"
    CHAT = "chat"
    INSTRUCTIONS = "instructions"
    PLAIN_TEXT = "plain_text"
    SPEECH_TO_TEXT = "speech_to_text"


class NotAllowed(BadInput):
    """``repository`` stands neither in the catalogue nor among what admins allow."""

    code = "MODEL_NOT_ALLOWED"
    status = 400


class BadPattern(BadInput):
    """``pattern`` is neither a repository (owner/name) nor an organisation (owner/*)."""

    code = "BAD_REPOSITORY"


class AlreadyAllowed(Conflict):
    """``pattern``."""

    code = "ALREADY_ALLOWED"


class Entry(BaseModel):
    """``parameters`` of a model, ``rows`` of a data set. ``licence_seen``: on the repository's own page; else it is from memory.

    ``folder``: of a data set of many, the one that is fetched.
    """

    # pydantic's own engine takes eighteen megabytes for this pattern.
    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re")

    repository: str = Field(pattern=f"^(?:{hubs.REPOSITORY.pattern})$")
    kind: Kind
    task: Task | None = None
    parameters: int | None = Field(None, gt=0)
    bytes_a_parameter: int = Field(4, gt=0)
    rows: int | None = Field(None, gt=0)
    languages: list[Language] = []
    licence: str | None = None
    licence_seen: bool = False
    licence_doubtful: bool = False
    non_commercial: bool = False
    gated: bool = False
    revision: str = "main"
    folder: str | None = None
    recommended: bool = False
    in_catalogue: bool = True

    @property
    def name(self) -> str:
        return self.repository.rpartition("/")[2]

    @property
    def size_bytes(self) -> int | None:
        """Of its weights, by their number; null where nobody has counted."""
        return self.parameters * self.bytes_a_parameter if self.parameters else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def for_trade(self) -> bool | None:
        """Whether its licence lets it be used in a business; null where it is unknown or in doubt."""
        if self.non_commercial or (self.licence and "-nc" in self.licence):
            return False
        return None if self.licence is None or self.licence_doubtful else True


class AllowedOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    kind: str
    pattern: str


@cache
def entries() -> tuple[Entry, ...]:
    """In their order: Persian first."""
    said = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    return tuple(Entry.model_validate({**entry, "kind": kind}) for kind in ("model", "dataset") for entry in said[kind])


def search(session: Session, actor: Actor, kind: Kind, query: str = "", task: str | None = None) -> list[Entry]:
    """The catalogue, then single repositories that admins allow. ``query`` is sought in names, tasks and licences, spelling folded."""
    known = {entry.repository for entry in entries()}
    single = (row.pattern for row in _allowed(session, actor, kind) if not row.pattern.endswith(ALL_OF))
    extra = [Entry(repository=pattern, kind=kind, in_catalogue=False) for pattern in sorted(set(single) - known)]
    found = [entry for entry in (*entries(), *extra) if entry.kind == kind and (not task or entry.task == task)]
    wanted = fold(query).split()
    return [entry for entry in found if all(word in _searched(entry) for word in wanted)]


def _searched(entry: Entry) -> str:
    tasks = [i18n.text(language, f"catalogue.task.{entry.task}") for language in i18n.LANGUAGES] if entry.task else []
    return fold(" ".join([entry.repository, *tasks, entry.licence or "", *entry.languages]))


def find(session: Session, actor: Actor, kind: Kind, named: str) -> Entry:
    """By its id on the hub, or its name alone where it stands in the catalogue. Raises NotAllowed."""
    for entry in entries():
        if entry.kind == kind and named.casefold() in {entry.repository.casefold(), entry.name.casefold()}:
            return entry
    if hubs.REPOSITORY.fullmatch(named) and ".." not in named:
        patterns = {row.pattern.casefold() for row in _allowed(session, actor, kind)}
        if patterns & {named.casefold(), f"{named.casefold().partition('/')[0]}{ALL_OF}"}:
            return Entry(repository=named, kind=kind, in_catalogue=False)
    raise NotAllowed(field="modelId", repository=named[:200])


def allowed(session: Session, actor: Actor) -> list[AllowedOut]:
    """What admins allow besides the catalogue."""
    return [AllowedOut.model_validate(row) for kind in ("model", "dataset") for row in _allowed(session, actor, kind)]


def allow(session: Session, actor: Actor, kind: Kind, pattern: str) -> AllowedOut:
    """One repository, or with ``owner/*`` all of an organisation. For admins."""
    access.require_admin(actor)
    pattern = pattern.strip()
    name = pattern.removesuffix(ALL_OF) if pattern.endswith(ALL_OF) else pattern
    if not hubs.REPOSITORY.fullmatch(name) or ".." in name or ("/" in name) == pattern.endswith(ALL_OF):
        raise BadPattern(field="pattern", pattern=pattern[:200])
    row = AllowedRepository(id=new_id("alw"), kind=kind, pattern=pattern, **access.owned_by(actor))
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise AlreadyAllowed(pattern=pattern) from error
    return AllowedOut.model_validate(row)


def disallow(session: Session, actor: Actor, allowed_id: str) -> None:
    """What was downloaded stays."""
    access.require_admin(actor)
    row = session.get(AllowedRepository, allowed_id)
    if row is None or row.workspace_id not in actor.workspace_ids:
        raise NotFound(kind="allowed_repositories", id=allowed_id)
    session.delete(row)


def _allowed(session: Session, actor: Actor, kind: str) -> list[AllowedRepository]:
    within = AllowedRepository.workspace_id.in_(actor.workspace_ids)
    found = select(AllowedRepository).where(within, AllowedRepository.kind == kind).order_by(AllowedRepository.pattern)
    return list(session.scalars(found))
