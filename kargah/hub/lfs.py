"""Large files, sent by themselves before the commit that names them. They wait beside the store of files, under who sent them and to
which repository, until a commit takes them; what no commit takes is swept as any unfinished upload is.

The address that a file is sent to is signed and expires, since clients show no credential there.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from kargah.accounts import service as accounts
from kargah.assets import uploads as pieces
from kargah.assets.blobs import HashDiffers
from kargah.hub.errors import RepositoryNotFound
from kargah.hub.tables import Repository
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, BadToken
from kargah.kit.ids import new_id
from kargah.kit.jwts import jwt
from kargah.kit.settings import Settings
from kargah.store import access
from kargah.store.access import Actor

#: Files up to this size come with the commit itself; larger ones by themselves.
REGULAR_BYTES = 64 << 20
GRANTED_FOR = timedelta(hours=24)
_AUDIENCE, _ALGORITHM = "hub-object", "HS256"


class SizeDiffers(BadInput):
    """``expected`` and ``received`` bytes of ``sha256``."""

    code = "HUB_SIZE_DIFFERS"


@dataclass(frozen=True)
class Grant:
    """Who may send which file to which repository. By ``session_id`` or ``token_id`` it ends with the credential that asked for it."""

    repository_id: str
    user_id: str
    session_id: str | None
    token_id: str | None
    sha256: str
    size_bytes: int


def granted(settings: Settings, actor: Actor, repository_id: str, sha256: str, size_bytes: int) -> str:
    grant = Grant(repository_id, actor.user_id, actor.session_id, actor.token_id, sha256, size_bytes)
    return jwt.encode({**asdict(grant), "aud": _AUDIENCE, "exp": utc_now() + GRANTED_FOR}, settings.secret_key, algorithm=_ALGORITHM)


def read_grant(settings: Settings, token: str) -> Grant:
    """Raises BadToken for one that is expired, altered, or none of ours."""
    try:
        claims = jwt.decode(token, settings.secret_key, algorithms=[_ALGORITHM], audience=_AUDIENCE, options={"require": ["exp", "aud"]})
        return Grant(**{name: claims[name] for name in Grant.__dataclass_fields__})
    except (jwt.InvalidTokenError, ValueError, KeyError) as error:
        raise BadToken from error


def require_granted(session: Session, grant: Grant) -> Actor:
    """Whoever was granted it may still come in, and still change the repository."""
    actor = accounts.identify_again(session, grant.user_id, grant.session_id, grant.token_id).actor
    row = session.get(Repository, grant.repository_id)
    if row is None:
        raise RepositoryNotFound(kind="repositories", id=grant.repository_id, repository=grant.repository_id)
    access.require_change(actor, row)
    return actor


def require_room(session: Session, actor: Actor, settings: Settings, sizes_bytes: list[int]) -> None:
    """For all of them together, besides what waits already. Raises TooLarge, QuotaExceeded, DiskFull."""
    room = pieces.limits(session, actor, settings)
    for size_bytes in sizes_bytes:
        pieces.require_room(room, settings, size_bytes)
    wanted_bytes = sum(sizes_bytes) + sum(path.stat().st_size for path in _folder(settings.home).glob(f"lfs.{actor.user_id}.*"))
    if room.quota_left_bytes is not None and wanted_bytes > room.quota_left_bytes:
        raise pieces.QuotaExceeded(needed_bytes=wanted_bytes, left_bytes=room.quota_left_bytes, quota_bytes=room.quota_bytes)


def waiting_of(home: Path, user_id: str, repository_id: str, sha256: str) -> Path:
    return _folder(home) / f"lfs.{user_id}.{repository_id}.{sha256}"


async def receive(home: Path, grant: Grant, chunks: AsyncIterator[bytes]) -> None:
    """Whole and of the stated hash, or nothing is kept. Raises TooLarge, SizeDiffers, HashDiffers, DiskFull."""
    part = _folder(home) / f"{new_id('lfs')}.part"
    try:
        received_bytes = await pieces.append(part, 0, grant.size_bytes, chunks)
        if received_bytes != grant.size_bytes:
            raise SizeDiffers(field="size", expected=grant.size_bytes, received=received_bytes, sha256=grant.sha256)
        digest = await asyncio.to_thread(files.digest_of, part)
        if digest.sha256 != grant.sha256:
            raise HashDiffers(path=grant.sha256[:12], expected=grant.sha256)
        await asyncio.to_thread(os.replace, part, waiting_of(home, grant.user_id, grant.repository_id, grant.sha256))
    finally:
        part.unlink(missing_ok=True)


def _folder(home: Path) -> Path:
    folder = home / "blobs" / "incoming"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
