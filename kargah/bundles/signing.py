"""Whose a bundle is: an Ed25519 key of this home, made at the first start, and the signatures of others.

A fingerprint, half of the SHA-256 of the public key, is what people compare.
"""

import base64
import binascii
import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from kargah.bundles.errors import SignatureWrong
from kargah.kit.settings import secret

FINGERPRINT = "^[0-9a-f]{32}$"


class Signature(BaseModel):
    """Of the very bytes of a manifest. Keys and signatures as base64."""

    model_config = ConfigDict(extra="forbid")

    algorithm: str = Field("ed25519", pattern="^ed25519$")
    public_key: str = Field(min_length=44, max_length=44)
    signature: str = Field(min_length=88, max_length=88)

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.public_key)


class SignedManifest(BaseModel):
    """``manifest``: the very text that was signed."""

    manifest: str
    signature: Signature


def key_path(home: Path) -> Path:
    return home / "secrets" / "bundle_key"


def make_key(home: Path) -> None:
    """At the first start; mode 0600."""
    secret(key_path(home))


def public_key(home: Path) -> str:
    """Of this home; the key is made now if it is not there."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _encoded(Ed25519PrivateKey.from_private_bytes(_seed(home)).public_key().public_bytes_raw())


def sign(home: Path, content: bytes) -> Signature:
    """The same bytes give the same signature."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signed = Ed25519PrivateKey.from_private_bytes(_seed(home)).sign(content)
    return Signature(public_key=public_key(home), signature=_encoded(signed))


def verify(content: bytes, signature: Signature) -> None:
    """Raises SignatureWrong."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key, validate=True))
        key.verify(base64.b64decode(signature.signature, validate=True), content)
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise SignatureWrong(field="file") from error


def fingerprint_of(key: str) -> str:
    return hashlib.sha256(base64.b64decode(key)).hexdigest()[:32]


def _seed(home: Path) -> bytes:
    return hashlib.sha256(secret(key_path(home)).encode()).digest()


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
