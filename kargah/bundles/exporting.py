"""A model version, with what it was trained on when that is wanted, as a bundle."""

import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1, sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

import kargah
from kargah.assets import blobs
from kargah.assets.blobs import FileMissing
from kargah.bundles import signing
from kargah.bundles.manifest import REQUIREMENTS, BundledDataset, BundledFile, BundledModel, Manifest
from kargah.bundles.signing import SignedManifest
from kargah.contract import container
from kargah.contract.container import Layout, Member
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.runs.tables import RunInput
from kargah.store import access
from kargah.store.access import Actor

TABLE = "data.parquet"


@dataclass(frozen=True)
class Export:
    """``mark``: changes when a byte of the bundle does."""

    filename: str
    mark: str
    layout: Layout


def describe(session: Session, actor: Actor, version_id: str, *, with_datasets: bool) -> Manifest:
    """The same version gives the same manifest each time. Raises NotFound also for a data set that the asker may not see."""
    found = models.get_version_for(session, actor, version_id)
    title = models.get_for(session, actor, found.model_id).title
    requirements = locked_requirements()
    return Manifest(
        kargah=kargah.__version__,
        model=_model(found, title),
        datasets=_datasets(session, actor, found.run_id) if with_datasets and found.run_id else [],
        requirements=BundledFile(
            path=REQUIREMENTS, sha256=sha256(requirements).hexdigest(), git_sha1=_git_sha1(requirements), size_bytes=len(requirements)
        ),
    )


def lay_out(home: Path, manifest: Manifest) -> Export:
    """Raises FileMissing before a byte is sent: half a bundle cannot say what is missing."""
    words = words_of(home, manifest)
    said, signature = words.manifest.encode(), words.signature.model_dump_json().encode()
    members = [Member(container.MANIFEST, len(said), said), Member(container.SIGNATURE, len(signature), signature)]
    requirements = locked_requirements()
    members.append(Member(container.REQUIREMENTS, len(requirements), requirements))
    for file in manifest.blobs().values():
        blob = blobs.path_of(home, file.sha256)
        if not blob.is_file() or blob.stat().st_size != file.size_bytes:
            raise FileMissing(path=file.path, sha256=file.sha256)
        members.append(Member(f"{container.BLOBS}{file.sha256}", file.size_bytes, blob))
    name = f"{manifest.model.title[:80]}-{manifest.model.name}.kargah"
    return Export(name, sha256(said + signature).hexdigest(), Layout(members))


def words_of(home: Path, manifest: Manifest) -> SignedManifest:
    said = manifest.model_dump_json()
    return SignedManifest(manifest=said, signature=signing.sign(home, said.encode()))


def locked_requirements() -> bytes:
    """What is tested to work with this Kargah, as pip reads it: the lock, with this Kargah and the torch that is here."""
    packed = Path(kargah.__file__).parent / "requirements" / "run.txt"
    lock = packed if packed.is_file() else Path(kargah.__file__).parents[1] / "requirements" / "run.txt"
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    with suppress(PackageNotFoundError):
        lines.append(f"torch=={version('torch').partition('+')[0]}")
    return "\n".join([f"kargah=={kargah.__version__}", *lines, ""]).encode()


def _model(found: ModelVersionOut, title: str) -> BundledModel:
    detail = {name: found.detail.get(name) for name in ("split", "interval", "train_seconds")}
    words = {"title": _seen(title) or found.name, "licence": _seen(found.licence)}
    return BundledModel.model_validate({**found.model_dump(exclude={"detail"}), **detail, **words})


def _datasets(session: Session, actor: Actor, run_id: str) -> list[BundledDataset]:
    used = select(RunInput.dataset_version_id).where(RunInput.run_id == run_id)
    versions = select(DatasetVersion).where(DatasetVersion.id.in_(used)).order_by(DatasetVersion.id)
    return [_dataset(access.load(session, actor, Dataset, row.dataset_id), row) for row in session.scalars(versions)]


def _dataset(dataset: Dataset, row: DatasetVersion) -> BundledDataset:
    table = next(entry for entry in row.files or [] if entry["path"] == TABLE)
    return BundledDataset(
        id=row.id, dataset_id=dataset.id, number=row.number, title=_seen(dataset.title) or TABLE, licence=_seen(dataset.licence),
        source_note=_seen(dataset.source_note), tags=dataset.tags or [], rows=row.rows, commit_id=row.commit_id, normaliser=row.normaliser,
        file=BundledFile.model_validate(table),
    )  # fmt: skip


def _seen(text: str | None) -> str | None:
    """Without control characters, which somebody's title may have brought here."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text or "").split()) or None


def _git_sha1(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
