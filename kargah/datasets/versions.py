"""Versions made from versions: mended, and gone back to. A version itself never changes."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kargah.contract import fixes
from kargah.contract.fixes import CapLength, EditRows, FillMissing, Fix, RenameColumn, Split
from kargah.contract.plans import InputFile, MendPlan
from kargah.datasets import service as datasets
from kargah.datasets.errors import BadFix, ColumnNameNotFree, UnknownColumn, UnknownVersion
from kargah.datasets.schemas import DatasetDetail, JsonDict, Lineage, MendWish, VersionSummary
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs import service as jobs
from kargah.kit.ids import new_id
from kargah.recipes.columns import Column, ColumnKind
from kargah.store.access import Actor, To
from kargah.text.numbers import parse_number

PARENT = "parent"
_NEEDED = ("data.parquet", "columns.json", "report.json", "ragged.jsonl")
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)
_TEXTUAL = (ColumnKind.TEXT, ColumnKind.CATEGORY)
_EDITABLE = (*_NUMERIC, *_TEXTUAL, ColumnKind.BOOLEAN, ColumnKind.EMPTY)
#: Of which kinds of columns a person may say that they are such.
_SETTABLE = {
    "number": (*_NUMERIC, *_TEXTUAL),
    "date": _TEXTUAL,
    "identifier": (*_NUMERIC, *_TEXTUAL),
    "category": (*_NUMERIC, *_TEXTUAL, ColumnKind.BOOLEAN),
    "text": (*_NUMERIC, *_TEXTUAL, ColumnKind.BOOLEAN),
}
#: More edits than these are counted in the lineage; the job's plan has them all.
EDITS_TOLD = 20


def mend(session: Session, actor: Actor, dataset_id: str, wish: MendWish) -> VersionSummary:
    """Queue the making of a new version. It becomes the current one when it is made; the parent stays as it is."""
    dataset = datasets.loaded(session, actor, dataset_id, To.CHANGE)
    parent = version_of(session, dataset, wish.from_version)
    _check(wish.fixes, datasets.columns_of(parent))
    plan = MendPlan(
        job_id="",
        folder=PARENT,
        inputs=[
            InputFile(path=f"{PARENT}/{entry['path']}", sha256=entry["sha256"], size_bytes=entry["size_bytes"])
            for entry in parent.files or []
            if entry["path"] in _NEEDED
        ],
        fixes=wish.fixes,
        normaliser=parent.normaliser,
    )
    whole = plan.model_dump(mode="json")
    job = jobs.submit(session, actor, "mend", dataset.title, whole, threads_wanted=1, visibility=dataset.visibility)
    lineage = Lineage(
        parent_id=parent.id, parent_number=parent.number, fixes=[_told(fix) for fix in wish.fixes],
        by_id=actor.user_id, by=actor.name, why=" ".join(wish.why.split()),
    )  # fmt: skip
    last = session.scalar(select(func.max(DatasetVersion.number)).where(DatasetVersion.dataset_id == dataset.id)) or 0
    version = DatasetVersion(
        id=new_id("dsv"), dataset_id=dataset.id, number=last + 1, state="IMPORTING", job_id=job.id,
        source_filename=parent.source_filename, source_sha256=parent.source_sha256, source_size_bytes=parent.source_size_bytes,
        size_bytes=0, lineage=lineage.model_dump(mode="json"),
    )  # fmt: skip
    session.add(version)
    session.flush()
    return VersionSummary.model_validate(version)


def choose(session: Session, actor: Actor, dataset_id: str, version_id: str) -> DatasetDetail:
    """Make another READY version the current one: what trainings take from now on. Nothing is lost either way."""
    dataset = datasets.loaded(session, actor, dataset_id, To.CHANGE)
    dataset.current_version_id = version_of(session, dataset, version_id).id
    session.flush()
    return datasets.get_for(session, actor, dataset_id)


def report_of(session: Session, actor: Actor, dataset_id: str, version_id: str | None) -> JsonDict:
    """What was found in a version; in the current one when none is named."""
    return version_of(session, datasets.loaded(session, actor, dataset_id, To.READ), version_id).report or {}


def version_of(session: Session, dataset: Dataset, version_id: str | None) -> DatasetVersion:
    """The named READY version of this data set, else the current one. Raises UnknownVersion."""
    wanted = version_id or dataset.current_version_id
    version = session.get(DatasetVersion, wanted) if wanted else None
    if version is None or version.dataset_id != dataset.id or version.state != "READY":
        raise UnknownVersion(version=wanted or "", field="from_version")
    return version


def _check(wished: list[Fix], columns: list[Column]) -> None:
    """All that can be refused is refused here, with its place named."""
    kinds = {column.name: column.kind for column in columns}
    media = [name for name, kind in kinds.items() if kind in (ColumnKind.AUDIO, ColumnKind.IMAGE)]
    if media:
        raise BadFix(field="fixes", reason=f"{media[0]}: {kinds[media[0]]}", known=", ".join(fixes.ORDER))
    _check_names(wished, kinds)
    for number, fix in enumerate(wished):
        for name in fixes.columns_of(fix):
            if name not in kinds:
                raise UnknownColumn(field=f"fixes.{number}", column=name, known=", ".join(kinds))
        reason = _fault(fix, kinds)
        if reason:
            raise BadFix(field=f"fixes.{number}", reason=reason, known=", ".join(fixes.ORDER))


def _check_names(wished: list[Fix], kinds: dict[str, ColumnKind]) -> None:
    """New names are clean and nobody else's; no column gets two."""
    taken = set(kinds) | {fix.column for fix in wished if isinstance(fix, Split)}
    renamed = set[str]()
    for number, fix in enumerate(wished):
        if isinstance(fix, RenameColumn):
            if fix.to in taken or fix.column in renamed or datasets.clean_name(fix.to) != fix.to:
                raise ColumnNameNotFree(field=f"fixes.{number}.to", name=fix.to)
            taken.add(fix.to)
            renamed.add(fix.column)


def _fault(fix: Fix, kinds: dict[str, ColumnKind]) -> str:
    """What cannot be about a fix whose columns are there; "" when all is well."""
    if isinstance(fix, EditRows):
        if not fix.edits and not fix.deletions:
            return "edits"
        return next((reason for edit in fix.edits if (reason := _edit_fault(edit.value, kinds[edit.column]))), "")
    if isinstance(fix, FillMissing):
        if fix.by == "value":
            return _edit_fault(fix.value, kinds[fix.column]) if fix.value else "value"
        return "" if fix.by == "most_frequent" or kinds[fix.column] in _NUMERIC else f"{fix.by}: {kinds[fix.column]}"
    if isinstance(fix, Split):
        return "validation_share + test_share" if not 0 < fix.validation_share + fix.test_share < 1 else ""
    if isinstance(fix, fixes.DropColumns):
        return "columns" if set(fix.columns) >= set(kinds) else ""
    if isinstance(fix, fixes.SetKind):
        return "" if kinds[fix.column] in _SETTABLE[fix.to] else f"{fix.to}: {kinds[fix.column]}"
    if isinstance(fix, fixes.CastDates | fixes.KeepLanguages | fixes.JoinRows):
        return "" if kinds[fix.column] in _TEXTUAL else f"{fix.column}: {kinds[fix.column]}"
    if isinstance(fix, fixes.CapClasses):
        return "" if kinds[fix.column] in _EDITABLE else f"{fix.column}: {kinds[fix.column]}"
    named = fix.columns if isinstance(fix, fixes.Trim | fixes.StripHidden | fixes.RepairEncoding | fixes.Normalise | CapLength) else []
    return next((f"{name}: {kinds[name]}" for name in named if kinds[name] not in _TEXTUAL), "")


def _edit_fault(value: str | None, kind: ColumnKind) -> str:
    if kind not in _EDITABLE:
        return str(kind)
    if value and kind in _NUMERIC and parse_number(value) is None:
        return f"{value[:40]}: {kind}"
    return f"{value[:40]}: {kind}" if value and kind is ColumnKind.BOOLEAN and value.lower() not in ("true", "false") else ""


def _told(fix: Fix) -> JsonDict:
    told = fix.model_dump(mode="json")
    if isinstance(fix, EditRows) and len(fix.edits) + len(fix.deletions) > EDITS_TOLD:
        return {"kind": fix.kind, "edits": len(fix.edits), "deletions": len(fix.deletions)}
    return told
