"""A bundle from elsewhere becomes a model and data sets here: looked through first, then verified, then registered, or not at all."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.assets.manifest import commit_id
from kargah.bundles import container, signers, signing
from kargah.bundles.container import Reader
from kargah.bundles.errors import BundleDamaged, BundlePathNotAllowed, BundleRefused, NotABundle
from kargah.bundles.manifest import BundledFile, BundledModel, Manifest
from kargah.bundles.signing import Signature
from kargah.contract import hubs
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut, UploadOptions
from kargah.hub import paths
from kargah.hub.errors import BadPath, TooManyFiles
from kargah.kit import files
from kargah.kit.errors import BadInput, DiskFull
from kargah.kit.files import Digest
from kargah.kit.settings import Settings
from kargah.models import brought, folders
from kargah.models.brought import BroughtIn
from kargah.models.schemas import ModelOut
from kargah.recipes import catalogue
from kargah.store import access
from kargah.store.access import Actor

#: What a model of ours is made of; nothing that runs.
_SUFFIXES = frozenset({".safetensors", ".json", ".md", ".txt", ".model", ".jinja"})


@dataclass(frozen=True)
class Words:
    """What a bundle says, by a signature that is right and with paths that are harmless. Whose it is, is still to be asked."""

    manifest: Manifest
    signature: Signature


@dataclass(frozen=True)
class Bundle(Words):
    """A file of the right form and length; its contents are still to be verified."""

    path: Path


class Imported(BaseModel):
    """``datasets`` are being read by jobs, as uploaded ones are."""

    model: ModelOut
    datasets: list[DatasetOut]
    signer: str


def allowed_file(settings: Settings, given: str) -> Path:
    """``given`` must be a file under one of the import roots, links resolved. Raises BundlePathNotAllowed."""
    path = Path(given).expanduser().resolve()
    roots = [root.expanduser().resolve() for root in settings.import_roots]
    if not any(path.is_relative_to(root) for root in roots) or not path.is_file():
        raise BundlePathNotAllowed(path=given)
    return path


def look_at(path: Path) -> Bundle:
    """Reads little of it, and writes nothing. Raises NotABundle, BundleDamaged, BundleRefused, ModelIsPickle, SignatureWrong."""
    with _readable(path, path.parent), path.open("rb") as file:
        reader = Reader(file)
        said = reader.first(container.LARGEST_MANIFEST_BYTES)
        signed = reader.whole(container.SIGNATURE, container.LARGEST_SIGNATURE_BYTES)
    try:
        words = of_words(said, json.loads(signed))
    except (ValueError, RecursionError) as error:
        raise BundleDamaged(field="file", part=container.SIGNATURE) from error
    manifest = words.manifest
    expected = [len(said), len(signed), manifest.requirements.size_bytes, *(file.size_bytes for file in manifest.blobs().values())]
    if container.size_of(expected) != path.stat().st_size:
        raise BundleDamaged(field="file", part="length")
    return Bundle(manifest, words.signature, path)


def of_words(said: bytes, signed: object) -> Words:
    """Of a manifest as it was signed. Raises NotABundle, BundleDamaged, BundleRefused, ModelIsPickle, SignatureWrong."""
    try:
        signature = Signature.model_validate(signed)
    except ValidationError as error:
        raise BundleDamaged(field="file", part=container.SIGNATURE) from error
    signing.verify(said, signature)
    manifest = _read(said)
    _require_harmless(manifest)
    return Words(manifest, signature)


def require_known(session: Session, actor: Actor, settings: Settings, bundle: Words, confirmed: str | None) -> None:
    """Raises UnknownSigner, and what keeps the asker from bringing anything of this size in: Forbidden, QuotaExceeded, DiskFull."""
    access.require_creator(actor)
    signers.require_known(settings.home, bundle.signature, bundle.manifest.model.title, confirmed)
    room = pieces.limits(session, actor, settings)
    needed_bytes = sum(file.size_bytes for file in bundle.manifest.blobs().values())
    if room.quota_left_bytes is not None and needed_bytes > room.quota_left_bytes:
        raise pieces.QuotaExceeded(needed_bytes=needed_bytes, left_bytes=room.quota_left_bytes, quota_bytes=settings.user_quota_bytes)
    if needed_bytes > room.disk_bytes:
        raise DiskFull(needed_bytes=needed_bytes + blobs.SPARE_BYTES, free_bytes=room.disk_bytes + blobs.SPARE_BYTES)


def keep(settings: Settings, bundle: Bundle) -> list[str]:
    """All contents into the store of files, every hash checked before the first is kept.

    Returns those that were not there before: to be discarded should they not be registered after all.
    """
    home, contents = settings.home, bundle.manifest.blobs()
    incoming = pieces.part_of(home, "x").parent
    with _readable(bundle.path, incoming), tempfile.TemporaryDirectory(dir=incoming, prefix="bundle.") as folder:
        taken = _verified(bundle, Path(folder))
        _require_loadable(bundle.manifest.model, taken)
        fresh = [hashed for hashed in contents if not blobs.path_of(home, hashed).exists()]
        try:
            for hashed, file in contents.items():
                blobs.keep(home, taken[hashed], hashed, file.size_bytes)
        except BaseException:
            blobs.discard(home, fresh)
            raise
    return fresh


def register(session: Session, actor: Actor, bundle: Words) -> Imported:
    """After ``keep``, in one transaction. Where it is from stays with the version: the ids at home, the signer, the commit."""
    manifest, signer = bundle.manifest, bundle.signature.fingerprint
    blobs.register(session, manifest.blobs().values())
    model = manifest.model
    said = model.model_dump(mode="json", include={"id", "model_id", "run_id", "number", "source", "created_at", "commit_id"})
    origin = {**said, "signer": signer, "kargah": manifest.kargah}
    made = brought.register(session, actor, BroughtIn(**model.model_dump(include=set(BroughtIn.model_fields) - {"origin"}), origin=origin))
    found = []
    for one in manifest.datasets:
        digest = Digest(one.file.sha256, one.file.git_sha1, one.file.size_bytes)
        note = one.source_note or f"bundle {one.dataset_id} v{one.number} {one.commit_id or ''} {signer}".strip()[:500]
        options = UploadOptions(normaliser=one.normaliser)
        dataset, _, _ = datasets.create_from_upload(
            session, actor, one.title, f"{one.title}.parquet", digest, licence=one.licence, source_note=note, options=options
        )
        if one.tags:
            dataset = datasets.rename(session, actor, dataset.id, tags=one.tags)
        found.append(dataset)
    return Imported(model=made, datasets=found, signer=signer)


@contextmanager
def _readable(path: Path, folder: Path) -> Iterator[None]:
    """A disk that fills, or a stick that is pulled out, is told as what it is."""
    try:
        yield
    except OSError as error:
        if files.is_full(error):
            raise DiskFull(needed_bytes=path.stat().st_size, free_bytes=files.free_bytes(folder)) from error
        raise BundleDamaged(field="file", part=path.name) from error


def _read(said: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(said)
    except ValidationError as error:
        known = any(part["loc"][:1] in {("format",), ("version",)} for part in error.errors(include_url=False, include_context=False))
        raise (NotABundle(field="file") if known else BundleDamaged(field="file", part=container.MANIFEST)) from error
    if manifest.model.commit_id != commit_id(manifest.model.files):
        raise BundleDamaged(field="file", part=container.MANIFEST)
    told = [*manifest.model.files, *(one.file for one in manifest.datasets)]
    if len({(file.sha256, file.git_sha1, file.size_bytes) for file in told}) != len(manifest.blobs()):
        raise BundleDamaged(field="file", part=container.MANIFEST)
    return manifest


def _require_harmless(manifest: Manifest) -> None:
    names = [file.path for file in manifest.model.files]
    try:
        paths.require_distinct([paths.checked(name) for name in names])
        for name in names:
            files.safe_join(Path("/"), *name.split("/"))
    except (BadPath, TooManyFiles, files.UnsafePath) as error:
        raise BundleRefused(field="file", path=str(error.params.get("path", ""))) from error
    for name in names:
        if PurePosixPath(name).suffix.lower() not in _SUFFIXES and not hubs.is_licence(name):
            raise BundleRefused(field="file", path=name[:200])
    if manifest.model.recipe is not None:
        catalogue.get(manifest.model.recipe)


def _verified(bundle: Bundle, folder: Path) -> dict[str, Path]:
    """Hash → where it lies. Raises BundleDamaged at the first that is not what the manifest says."""
    taken = {}
    with bundle.path.open("rb") as file:
        reader = Reader(file)
        said = reader.first(container.LARGEST_MANIFEST_BYTES)
        signed = reader.whole(container.SIGNATURE, container.LARGEST_SIGNATURE_BYTES)
        if Signature.model_validate_json(signed) != bundle.signature:  # the file was changed since it was looked at
            raise BundleDamaged(field="file", part=container.SIGNATURE)
        signing.verify(said, bundle.signature)
        _require_same(reader, container.REQUIREMENTS, bundle.manifest.requirements, None)
        for hashed, content in bundle.manifest.blobs().items():
            taken[hashed] = folder / hashed
            with taken[hashed].open("xb") as target:
                _require_same(reader, f"{container.BLOBS}{hashed}", content, target)
        reader.end()
    return taken


def _require_same(reader: Reader, name: str, stated: BundledFile, target: BinaryIO | None) -> None:
    if reader.next(name) != stated.size_bytes:
        raise BundleDamaged(field="file", part=stated.path)
    hashed, as_git = sha256(), sha1(b"blob %d\0" % stated.size_bytes, usedforsecurity=False)
    for chunk in reader.content(stated.path, stated.size_bytes):
        hashed.update(chunk)
        as_git.update(chunk)
        if target is not None:
            target.write(chunk)
    if (hashed.hexdigest(), as_git.hexdigest()) != (stated.sha256, stated.git_sha1):
        raise BundleDamaged(field="file", part=stated.path)


def _require_loadable(model: BundledModel, taken: dict[str, Path]) -> None:
    """The headers of weights fit their files, as of any model from elsewhere."""
    for file in model.files:
        if file.path.endswith(".safetensors"):
            try:
                folders.count_parameters(taken[file.sha256])
            except folders.WeightsDamaged as error:
                raise folders.WeightsDamaged(field="file", file=file.path) from error


def is_final(error: BaseException) -> bool:
    """Whether asking again with the same file could not end better: then what was sent of it need not be kept."""
    return isinstance(error, BadInput)
