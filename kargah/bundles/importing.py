"""A bundle from elsewhere becomes a model and data sets here: looked through first, then verified, then registered, or not at all."""

import json
import shutil
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.assets.manifest import commit_id
from kargah.assets.tables import Upload
from kargah.bundles import signers, signing
from kargah.bundles.errors import BundlePathNotAllowed, BundleRefused
from kargah.bundles.manifest import BundledFile, BundledModel, Manifest
from kargah.bundles.signing import Signature
from kargah.contract import container, hubs
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.container import BundleDamaged, NotABundle, Reader
from kargah.contract.events import Event, Failed, Finished, Stopped
from kargah.contract.plans import BundledContent, UnbundlePlan
from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut, UploadOptions
from kargah.hub import paths
from kargah.hub.errors import BadPath, TooManyFiles
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit import files
from kargah.kit.errors import DiskFull, KargahError
from kargah.kit.files import Digest
from kargah.kit.settings import Settings
from kargah.models import brought, folders
from kargah.models.brought import BroughtIn
from kargah.models.schemas import ModelOut
from kargah.recipes import catalogue
from kargah.store import access
from kargah.store.access import Actor, Role
from kargah.workers.unbundling import FOLDER

KIND = "unbundle"
#: What a model of ours is made of; nothing that runs.
_SUFFIXES = frozenset({".safetensors", ".json", ".md", ".txt", ".model", ".jinja"})


@dataclass(frozen=True)
class Words:
    """What a bundle says, by a signature that is right and with paths that are harmless. Whose it is, is still to be asked."""

    manifest: Manifest
    signature: Signature


@dataclass(frozen=True)
class Bundle(Words):
    """A file of the right form and length; its contents are still to be verified. ``said``, ``signed``: its words as they stand in it."""

    path: Path
    said: bytes
    signed: bytes


class Imported(BaseModel):
    """``datasets`` are being read by jobs, as uploaded ones are."""

    model: ModelOut
    datasets: list[DatasetOut]
    signer: str


class ImportStarted(BaseModel):
    """``job``: its ``result`` says in the end what was made: model_id, model_version_id, dataset_ids, signer."""

    job: JobOut
    title: str
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
    try:
        with path.open("rb") as file:
            reader = Reader(file)
            said = reader.first(container.LARGEST_MANIFEST_BYTES)
            signed = reader.whole(container.SIGNATURE, container.LARGEST_SIGNATURE_BYTES)
    except OSError as error:  # a stick that was pulled out
        raise BundleDamaged(field="file", part=path.name) from error
    try:
        words = of_words(said, json.loads(signed))
    except (ValueError, RecursionError) as error:
        raise BundleDamaged(field="file", part=container.SIGNATURE) from error
    manifest = words.manifest
    expected = [len(said), len(signed), manifest.requirements.size_bytes, *(file.size_bytes for file in manifest.blobs().values())]
    if container.size_of(expected) != path.stat().st_size:
        raise BundleDamaged(field="file", part="length")
    return Bundle(manifest, words.signature, path, said, signed)


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


def start(
    session: Session, actor: Actor, settings: Settings, bundle: Bundle, confirmed: str | None, upload_id: str | None
) -> ImportStarted:
    """Queue it; a job that is not over yet for the same file is given back instead. Raises what ``require_known`` does."""
    require_known(session, actor, settings, bundle, confirmed)
    manifest, title = bundle.manifest, bundle.manifest.model.title
    plan = UnbundlePlan(
        job_id="", path=str(bundle.path.resolve()), head=(sha256(bundle.said).hexdigest(), sha256(bundle.signed).hexdigest()),
        requirements=_content(manifest.requirements), contents=[_content(file) for file in manifest.blobs().values()],
        manifest=bundle.said.decode(), signature=bundle.signature.model_dump(), upload_id=upload_id, by_admin=actor.is_admin,
    )  # fmt: skip
    active = select(Job).where(Job.kind == KIND, Job.owner_id == actor.user_id, Job.state.not_in(TERMINAL))
    job = next((one for one in session.scalars(active) if one.plan["path"] == plan.path and tuple(one.plan["head"]) == plan.head), None)
    job = job or jobs.submit(session, actor, KIND, title, plan.model_dump(mode="json"), threads_wanted=1)
    return ImportStarted(job=JobOut.model_validate(job), title=title, signer=bundle.signature.fingerprint)


def prepare(home: Path, job: Job, event: Event) -> None:
    """Before the transaction: its contents become blobs. May run twice, to the same effect. Weights that do not fit their headers are
    refused here; what was not here before goes again when any of it cannot be kept."""
    if not isinstance(event, Finished):
        return
    plan = UnbundlePlan.model_validate(job.plan)
    folder = AttemptDirectory.of(home, job.id, job.attempt).outputs / FOLDER
    try:
        _require_loadable(_words_of(plan).manifest.model, {content.sha256: folder / content.sha256 for content in plan.contents})
    except KargahError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    fresh = [content.sha256 for content in plan.contents if not blobs.path_of(home, content.sha256).exists()]
    try:
        for content in plan.contents:
            blobs.keep(home, folder / content.sha256, content.sha256, content.size_bytes)
    except BaseException:
        blobs.discard(home, fresh)
        raise


def on_event(session: Session, home: Path, job: Job, event: Event) -> None:
    """Once, at the end: what it holds is registered for whoever asked; what was sent of it is kept no longer."""
    if not isinstance(event, Finished | Failed | Stopped):
        return
    plan, owner = UnbundlePlan.model_validate(job.plan), _owner_of(job)
    if isinstance(event, Finished):
        words = _words_of(plan)
        made = register(session, owner, words)
        if plan.by_admin:
            signers.remember(replace(owner, role=Role.ADMIN), home, words.signature)
        versions = [version.id for version in made.model.versions]
        found = {"model_id": made.model.id, "model_version_id": versions[0], "dataset_ids": [one.id for one in made.datasets]}
        job.result = {**found, "signer": made.signer}
    elif isinstance(event, Failed):  # perhaps kept, and then not registered; what others are bringing just now is pinned
        hashes = {content.sha256 for content in plan.contents}
        blobs.discard(home, hashes - blobs.in_use(session, hashes))
    upload = session.get(Upload, plan.upload_id) if plan.upload_id else None
    if upload is not None:
        pieces.part_of(home, upload.id).unlink(missing_ok=True)
        session.delete(upload)


def _words_of(plan: UnbundlePlan) -> Words:
    return of_words(plan.manifest.encode(), plan.signature)


def _content(file: BundledFile) -> BundledContent:
    return BundledContent.model_validate(file.model_dump())


def _owner_of(job: Job) -> Actor:
    """As whom its end is written down: the one who asked for it, who may have gone since."""
    return Actor(user_id=job.owner_id, role=Role.TRAINER, workspace_id=job.workspace_id, workspace_ids=frozenset({job.workspace_id}))


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


def _require_loadable(model: BundledModel, taken: dict[str, Path]) -> None:
    """The headers of weights fit their files, as of any model from elsewhere."""
    for file in model.files:
        if file.path.endswith(".safetensors"):
            try:
                folders.count_parameters(taken[file.sha256])
            except folders.WeightsDamaged as error:
                raise folders.WeightsDamaged(field="file", file=file.path) from error
