"""Data sets and their versions: uploaded, found, looked at, renamed, thrown away and brought back."""

import json
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.contract.plans import FetchWish, IngestPlan, InputFile, SaidBefore
from kargah.datasets.errors import NotImported, TitleMissing
from kargah.datasets.schemas import (
    DatasetDetail,
    DatasetOut,
    DatasetPage,
    Preview,
    Reason,
    Suggestion,
    UploadOptions,
    VersionOut,
    VersionSummary,
)
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, NotFound
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.recipes import catalogue
from kargah.recipes.columns import Column
from kargah.store import access
from kargah.store.access import Actor, To
from kargah.text.normalise import NormaliserSettings, fold

PAGE = 50
PAGE_LIMIT = 200
MAX_TITLE, MAX_FILENAME_BYTES = 300, 255
MAX_TAGS, MAX_TAG_CHARACTERS = 20, 40
_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
#: The worker is told the name with its hidden characters, so that it can speak of them; these no database keeps.
_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SUMMARY = [getattr(DatasetVersion, name) for name in VersionSummary.model_fields]


def create_from_upload(
    session: Session,
    actor: Actor,
    title: str | None,
    filename: str,
    source: Digest | FetchWish,
    *,
    licence: str | None = None,
    source_note: str | None = None,
    visibility: str = "workspace",
    options: UploadOptions | None = None,
) -> tuple[DatasetOut, VersionSummary, JobOut]:
    """A blob, or what the job is to fetch, becomes a data set as soon as its import job is done. Without a title the file's name is one."""
    access.require_creator(actor)
    name = clean_filename(filename)
    title = _title(PurePosixPath(name).stem if title is None else title)
    dataset_id = new_id("ds")
    dataset = Dataset(
        id=dataset_id,
        slug=dataset_id[-12:],
        title=title,
        title_folded=fold(title)[:MAX_TITLE],
        licence=licence,
        source_note=source_note,
        visibility=visibility,
        **access.owned_by(actor),
    )
    session.add(dataset)
    session.flush()
    version, job = _import(session, actor, dataset, filename, source, options)
    return _out(dataset, version), version, job


def add_version(
    session: Session, actor: Actor, dataset_id: str, filename: str, digest: Digest, *, options: UploadOptions | None = None
) -> tuple[VersionSummary, JobOut]:
    """A newer file of the same data. It becomes the current version when it is imported.

    What a person said of the current one holds for it too: what its columns are, and how its texts are normalised.
    """
    dataset = loaded(session, actor, dataset_id, To.CHANGE)
    options, current = options or UploadOptions(), _shown_version(session, dataset)
    if current is None:
        return _import(session, actor, dataset, filename, digest, options)
    said = _said_of(current)
    if options.normaliser is None:
        options = options.model_copy(update={"normaliser": current.normaliser})
    else:
        said.normaliser = False
    return _import(session, actor, dataset, filename, digest, options, said)


def get_for(session: Session, actor: Actor, dataset_id: str, to: To | str = To.READ, *, trashed: bool = False) -> DatasetDetail:
    """Access is checked by loading; what is in the trash is found only with ``trashed``."""
    dataset = access.load(session, actor, Dataset, dataset_id, to) if trashed else loaded(session, actor, dataset_id, to)
    version = _shown_version(session, dataset)
    versions = session.scalars(_versions([dataset.id]))
    return DatasetDetail.model_validate(dataset).model_copy(
        update={
            "version": None if version is None else VersionOut.model_validate(version),
            "versions": [VersionSummary.model_validate(row) for row in versions],
        }
    )


def list_for(
    session: Session, actor: Actor, *, cursor: str | None = None, limit: int = PAGE, query: str | None = None, trashed: bool = False
) -> DatasetPage:
    """The newest first. ``cursor`` is the last id of the page before; ``query`` is searched in titles, spelling folded."""
    limit = max(1, min(limit, PAGE_LIMIT))
    in_trash = Dataset.trashed_at.is_not(None) if trashed else Dataset.trashed_at.is_(None)
    wanted = select(Dataset).where(access.visible_to(actor, Dataset), in_trash).order_by(Dataset.id.desc()).limit(limit + 1)
    if cursor:
        wanted = wanted.where(Dataset.id < cursor)
    if query:
        wanted = wanted.where(Dataset.title_folded.contains(fold(query), autoescape=True))
    rows = list(session.scalars(wanted))
    items = _with_versions(session, rows[:limit])
    return DatasetPage(items=items, next_cursor=items[-1].id if len(rows) > limit else None)


def count_for(session: Session, actor: Actor) -> int:
    wanted = select(func.count()).select_from(Dataset).where(access.visible_to(actor, Dataset), Dataset.trashed_at.is_(None))
    return session.scalar(wanted) or 0


def preview(session: Session, actor: Actor, dataset_id: str, home: Path, limit: int = 50) -> Preview:
    """The first rows, at most 200."""
    version = _ready(session, actor, dataset_id)
    with file_of(home, version, "preview.jsonl").open("rb") as lines:
        rows = [json.loads(line) for line in islice(lines, limit)]
    return Preview(columns=[column.name for column in columns_of(version)], rows=rows, total_rows=version.rows or 0)


def report(session: Session, actor: Actor, dataset_id: str) -> dict[str, Any]:
    """What the import found: {rows, rows_read, rows_dropped, rows_compared, format, encoding, delimiter, problems, normaliser}."""
    return _ready(session, actor, dataset_id).report or {}


def columns(session: Session, actor: Actor, dataset_id: str) -> list[Column]:
    return columns_of(_ready(session, actor, dataset_id))


def suggest(session: Session, actor: Actor, dataset_id: str) -> list[Suggestion]:
    """What could be learned from the columns, the likeliest first; empty when no recipe knows them."""
    return [
        Suggestion(
            recipe=recipe.name,
            score=match.score,
            columns=match.columns,
            reasons=[Reason(code=code, params=params) for code, params in match.reasons],
            spec=match.spec,
        )
        for recipe, match in catalogue.guess(columns(session, actor, dataset_id))
    ]


def rename(session: Session, actor: Actor, dataset_id: str, title: str | None = None, tags: Iterable[str] | None = None) -> DatasetDetail:
    """A new title, other tags, or both; what is None stays. Searching finds both."""
    dataset = loaded(session, actor, dataset_id, To.CHANGE)
    if title is not None:
        dataset.title = _title(title)
        assets.rename(session, _version_ids(session, dataset), dataset.title)
    if tags is not None:
        dataset.tags = clean_tags(tags)
    dataset.title_folded = fold(" ".join([dataset.title, *(dataset.tags or [])]))[:MAX_TITLE]
    session.flush()
    return get_for(session, actor, dataset_id)


def delete(session: Session, actor: Actor, dataset_id: str) -> None:
    """To the trash; ``restore`` brings it back. What was trained on it stays."""
    dataset = loaded(session, actor, dataset_id, To.CHANGE)
    dataset.trashed_at = utc_now()
    assets.set_trashed(session, _version_ids(session, dataset), trashed=True)


def restore(session: Session, actor: Actor, dataset_id: str) -> DatasetDetail:
    dataset = access.load(session, actor, Dataset, dataset_id, To.CHANGE)
    dataset.trashed_at = None
    assets.set_trashed(session, _version_ids(session, dataset), trashed=False)
    session.flush()
    return get_for(session, actor, dataset_id)


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Without blanks around them and without repetition, spelling not counted; the first ``MAX_TAGS``."""
    clean = (clean_name(tag)[:MAX_TAG_CHARACTERS] for tag in tags)
    return list({fold(tag): tag for tag in clean if tag}.values())[:MAX_TAGS]


def clean_name(text: str) -> str:
    """Without control and direction characters, and without blanks around it or doubled."""
    return " ".join(_NOT_IN_NAMES.sub(" ", text).split())


def clean_filename(filename: str) -> str:
    """The name to show: without folders, control and direction characters, at most 255 bytes. Never used as a path."""
    name = _NOT_IN_NAMES.sub("", filename).replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
    if name in ("", ".", ".."):
        return "data"
    stem, dot, ending = name.rpartition(".")
    ending = dot + ending if stem and len(ending) <= 10 else ""
    room_bytes = MAX_FILENAME_BYTES - len(ending.encode())
    return name.removesuffix(ending).encode()[:room_bytes].decode(errors="ignore") + ending


def _import(
    session: Session,
    actor: Actor,
    dataset: Dataset,
    filename: str,
    source: Digest | FetchWish,
    options: UploadOptions | None,
    said: SaidBefore | None = None,
) -> tuple[VersionSummary, JobOut]:
    digest = source if isinstance(source, Digest) else None
    if digest is not None:
        blobs.register(session, [digest])
    plan = IngestPlan(
        job_id="",
        file="upload",
        filename=_UNSTORABLE.sub("", filename)[:400],
        inputs=[InputFile(path="upload", sha256=digest.sha256, size_bytes=digest.size_bytes)] if digest else [],
        fetch=source if isinstance(source, FetchWish) else None,
        said=said,
        **_checked(options or UploadOptions()),
    )
    whole = plan.model_dump(mode="json")
    job = jobs.submit(session, actor, "ingest", dataset.title, whole, threads_wanted=1, visibility=dataset.visibility)
    last = session.scalar(select(func.max(DatasetVersion.number)).where(DatasetVersion.dataset_id == dataset.id)) or 0
    version = DatasetVersion(
        id=new_id("dsv"),
        dataset_id=dataset.id,
        number=last + 1,
        state="IMPORTING",
        job_id=job.id,
        source_filename=clean_filename(filename),
        source_sha256=digest.sha256 if digest else "",
        source_size_bytes=digest.size_bytes if digest else 0,
        size_bytes=0,
    )
    session.add(version)
    session.flush()
    return VersionSummary.model_validate(version), JobOut.model_validate(job)


def _said_of(version: DatasetVersion) -> SaidBefore:
    meant = {column.name: column.meant for column in columns_of(version) if column.meant is not None}
    chosen = version.normaliser is not None and version.normaliser != NormaliserSettings().model_dump()
    return SaidBefore.model_validate({"number": version.number, "meant": meant, "normaliser": chosen})


def _checked(options: UploadOptions) -> dict[str, Any]:
    """The normaliser's settings are completed now: a later default must not change what this import says."""
    try:
        settings = NormaliserSettings.model_validate(options.normaliser or {})
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False)[0]
        raise BadInput(field=".".join(("normaliser", *map(str, first["loc"]))), reason=first["msg"]) from None
    return {**options.model_dump(), "normaliser": settings.model_dump()}


def _title(title: str) -> str:
    title = clean_name(title)[:MAX_TITLE]
    if not title:
        raise TitleMissing(field="title")
    return title


def loaded(session: Session, actor: Actor, dataset_id: str, to: To | str) -> Dataset:
    dataset = access.load(session, actor, Dataset, dataset_id, to)
    if dataset.trashed_at is not None:
        raise NotFound(kind="datasets", id=dataset_id)
    return dataset


def _ready(session: Session, actor: Actor, dataset_id: str) -> DatasetVersion:
    dataset = loaded(session, actor, dataset_id, To.READ)
    version = _shown_version(session, dataset)
    if version is None or version.state != "READY":
        raise NotImported(title=dataset.title, state=version.state if version else "FAILED")
    return version


def _shown_version(session: Session, dataset: Dataset) -> DatasetVersion | None:
    if dataset.current_version_id:
        return session.get(DatasetVersion, dataset.current_version_id)
    latest = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset.id).order_by(DatasetVersion.number.desc()).limit(1)
    return session.scalars(latest).one_or_none()


def _versions(dataset_ids: Iterable[str]) -> Any:
    """Versions without their columns and reports, which lists never show; the newest first."""
    wanted = select(DatasetVersion).where(DatasetVersion.dataset_id.in_(list(dataset_ids)))
    return wanted.options(load_only(*_SUMMARY)).order_by(DatasetVersion.number.desc())


def _with_versions(session: Session, rows: list[Dataset]) -> list[DatasetOut]:
    latest: dict[str, VersionSummary] = {}
    known: dict[str, VersionSummary] = {}
    for row in session.scalars(_versions([dataset.id for dataset in rows])):
        summary = VersionSummary.model_validate(row)
        known[summary.id] = summary
        latest.setdefault(summary.dataset_id, summary)
    return [_out(dataset, known.get(dataset.current_version_id or "") or latest.get(dataset.id)) for dataset in rows]


def of_jobs(session: Session, job_ids: Iterable[str]) -> dict[str, str]:
    """Job → the data set that it reads a version of."""
    found = select(DatasetVersion.job_id, DatasetVersion.dataset_id).where(DatasetVersion.job_id.in_(list(job_ids)))
    return {str(row.job_id): row.dataset_id for row in session.execute(found)}


def _version_ids(session: Session, dataset: Dataset) -> list[str]:
    return list(session.scalars(select(DatasetVersion.id).where(DatasetVersion.dataset_id == dataset.id)))


def _out(dataset: Dataset, version: VersionSummary | None) -> DatasetOut:
    return DatasetOut.model_validate(dataset).model_copy(update={"version": version})


def columns_of(version: DatasetVersion) -> list[Column]:
    return [Column.model_validate(column) for column in version.columns or []]


def file_of(home: Path, version: DatasetVersion, name: str) -> Path:
    sha256 = next(entry["sha256"] for entry in version.files or [] if entry["path"] == name)
    path = blobs.path_of(home, sha256)
    if not path.is_file():
        raise blobs.FileMissing(path=name, sha256=sha256)
    return path
