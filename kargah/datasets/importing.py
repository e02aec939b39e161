"""Data that is not sent: fetched from the network, or taken from a disk of the server."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.contract.plans import FetchWish
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut
from kargah.kit import addresses, packing
from kargah.kit.errors import BadInput, Forbidden
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor


class DataPathNotAllowed(Forbidden):
    """``path`` is below none of the import roots, or is not there: the answer is the same."""

    code = "DATA_PATH_NOT_ALLOWED"


class EmptyFolder(BadInput):
    """``path``."""

    code = "EMPTY_FOLDER"


class UrlWish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=addresses.LONGEST_URL)
    title: str | None = Field(None, max_length=300)


class PathWish(BaseModel):
    """``path``: of a file, or of a folder whose files are the parts of one data set."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=4000)
    title: str | None = Field(None, max_length=300)


def import_url(session: Session, actor: Actor, settings: Settings, wish: UrlWish) -> DatasetOut:
    """The job fetches the file and reads it. Raises BadUrl, AddressRefused for what can be seen without asking anybody."""
    access.require_creator(actor)
    target = addresses.parsed(wish.url)
    addresses.check_literal(target, settings.url_import_allow)
    room = pieces.limits(session, actor, settings)
    pieces.require_room(room, settings, 0 if room.most_bytes else 1)
    fetch = FetchWish(
        url=target.url, allow=settings.url_import_allow, limit_bytes=room.most_bytes, limit_seconds=settings.url_import_minutes * 60
    )
    filename = unquote(PurePosixPath(target.path.partition("?")[0]).name) or target.host
    dataset, _, _ = datasets.create_from_upload(session, actor, wish.title or None, filename, fetch, source_note=target.shown[:500])
    return dataset


def allowed_path(settings: Settings, given: str) -> Path:
    """``given`` must be there, under one of the import roots, links resolved. Raises DataPathNotAllowed."""
    path = Path(given).expanduser().resolve()
    roots = [root.expanduser().resolve() for root in settings.import_roots]
    if not any(path.is_relative_to(root) for root in roots) or not (path.is_file() or path.is_dir()):
        raise DataPathNotAllowed(path=given)
    return path


def bring_in(settings: Settings, path: Path, room: pieces.Limits) -> Digest:
    """Reads and keeps the file, or the folder as a zip; touches no database. What lies there stays as it is."""
    if path.is_file():
        pieces.require_room(room, settings, path.stat().st_size)
        return blobs.put_file(settings.home, path)
    sizes = [member.stat().st_size for member in packing.members(path)]
    if not sizes:
        raise EmptyFolder(path=path.name)
    pieces.require_room(room, settings, sum(sizes))
    packed = pieces.part_of(settings.home, new_id("upl"))
    try:
        return blobs.put_file(settings.home, packing.pack(path, packed), move=True)
    finally:
        packed.unlink(missing_ok=True)


def import_kept(session: Session, actor: Actor, wish: PathWish, path: Path, digest: Digest) -> DatasetOut:
    filename = path.name if path.is_file() else f"{path.name}.zip"
    dataset, _, _ = datasets.create_from_upload(session, actor, wish.title or None, filename, digest)
    return dataset
