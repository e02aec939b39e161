"""Whose bundles are taken: this server's own, those that admins have confirmed, and what is confirmed with the import itself.

The confirmed keys stand in one file of the home, as hosts do for SSH: they are the server's, like its own key.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from kargah.bundles import signing
from kargah.bundles.errors import UnknownSigner
from kargah.bundles.signing import Signature
from kargah.kit import files
from kargah.kit.errors import NotFound
from kargah.store import access
from kargah.store.access import Actor


class SignerOut(BaseModel):
    """``public_key``: Ed25519, base64."""

    fingerprint: str
    public_key: str


def own(home: Path) -> SignerOut:
    key = signing.public_key(home)
    return SignerOut(fingerprint=signing.fingerprint_of(key), public_key=key)


def known(home: Path) -> list[SignerOut]:
    """The confirmed ones, in the order in which they were."""
    return [SignerOut(fingerprint=fingerprint, public_key=key) for fingerprint, key in _read(home).items()]


def require_known(home: Path, signature: Signature, title: str, confirmed: str | None) -> None:
    """Raises UnknownSigner, until ``confirmed`` is the fingerprint."""
    if signature.fingerprint not in {own(home).fingerprint, confirmed, *_read(home)}:
        raise UnknownSigner(signer=signature.fingerprint, title=title)


def remember(actor: Actor, home: Path, signature: Signature) -> None:
    """What an admin has confirmed with an import holds from then on; what others confirm holds for that import."""
    if not actor.is_admin or signature.fingerprint in {own(home).fingerprint, *_read(home)}:
        return
    with _alone(home):
        files.write_json(_path(home), {**_read(home), signature.fingerprint: signature.public_key}, mode=0o600)


def forget(actor: Actor, home: Path, fingerprint: str) -> None:
    """What came in by it stays."""
    access.require_admin(actor)
    with _alone(home):
        left = _read(home)
        if left.pop(fingerprint, None) is None:
            raise NotFound(kind="bundle_signers", id=fingerprint[:64])
        files.write_json(_path(home), left, mode=0o600)


def _path(home: Path) -> Path:
    return home / "secrets" / "bundle_signers.json"


def _read(home: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = files.read_json(_path(home))
    except FileNotFoundError:
        return {}
    return found


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Over all processes of this home."""
    folder = home / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "bundle_signers.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
