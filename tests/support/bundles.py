"""Bundles made by hand, right and wrong."""

import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from kargah.assets.manifest import commit_id
from kargah.bundles import signing
from kargah.bundles.manifest import BundledFile
from kargah.contract import container
from kargah.contract.container import Layout, Member
from support.model_folders import make_folder

Change = Callable[[dict[str, Any]], None]
REQUIREMENTS = b"kargah==0\n"


def told(path: str, content: bytes) -> dict[str, Any]:
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "git_sha1": git, "size_bytes": len(content)}


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(make_folder(folder).iterdir())}


def manifest_of(contents: dict[str, bytes]) -> dict[str, Any]:
    listed = [told(path, content) for path, content in contents.items()]
    model = {
        "id": "mv_1", "model_id": "mdl_1", "number": 1, "title": "مدل دور", "name": "model", "source": "training", "family": "base",
        "recipe": None, "architecture": "BertModel", "parameters": 12, "commit_id": commit_id(map(BundledFile.model_validate, listed)),
        "created_at": "2026-11-21T10:00:00Z", "files": listed,
    }  # fmt: skip
    return {
        "format": "kargah-bundle", "version": 1, "kargah": "0.1.0", "model": model, "datasets": [],
        "requirements": told("requirements.txt", REQUIREMENTS),
    }  # fmt: skip


def made(home: Path, contents: dict[str, bytes], change: Change | None = None) -> bytes:
    """Signed by the key of ``home``, after ``change`` of what is told of it."""
    said = manifest_of(contents)
    if change is not None:
        change(said)
    return signed(home, json.dumps(said, ensure_ascii=False).encode(), contents)


def signed(home: Path, said: bytes, contents: dict[str, bytes]) -> bytes:
    signature = signing.sign(home, said).model_dump_json().encode()
    members = [Member(container.MANIFEST, len(said), said), Member(container.SIGNATURE, len(signature), signature)]
    members.append(Member(container.REQUIREMENTS, len(REQUIREMENTS), REQUIREMENTS))
    blobs = {hashlib.sha256(content).hexdigest(): content for content in contents.values()}
    members += [Member(f"blobs/{hashed}", len(content), content) for hashed, content in sorted(blobs.items())]
    return b"".join(Layout(members).chunks())


def opened(content: bytes) -> dict[str, bytes]:
    """As anybody's tar reads it."""
    with tarfile.open(fileobj=BytesIO(content), mode="r:") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
