"""Who uses an asset: runs, models made from it, evaluations. Read from their own records, so it is never out of date."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, literal, or_, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from kargah.assets import service as assets
from kargah.assets.schemas import AssetOut, AssetPage, UsedBy, UserKind
from kargah.assets.tables import Asset
from kargah.models.tables import Model, ModelVersion
from kargah.runs.tables import Run, RunInput, RunSource
from kargah.store import access
from kargah.store.access import Actor
from kargah.training import checkpoints
from kargah.training.tables import Evaluation

MOST_NAMED = 20
#: A database takes no statement of any length.
_AT_ONCE = 500
#: (who, where the row stands that belongs to the asset, whose it is).
_USES: tuple[tuple[UserKind, InstrumentedAttribute[Any], InstrumentedAttribute[Any]], ...] = (
    ("run", RunInput.dataset_version_id, RunInput.run_id),
    ("run", RunSource.source, RunSource.run_id),
    ("model", ModelVersion.base_version_id, ModelVersion.model_id),
    ("evaluation", Evaluation.model_version_id, Evaluation.id),
    ("evaluation", Evaluation.other_version_id, Evaluation.id),
    ("evaluation", Evaluation.dataset_version_id, Evaluation.id),
)
_USERS: dict[UserKind, Any] = {"run": Run, "model": Model, "evaluation": Evaluation}
Used = dict[UserKind, int]


def list_for(session: Session, actor: Actor, /, *, used: bool | None = None, **wanted: Any) -> AssetPage:
    """As ``assets.list_for``, each with how many use it: two questions, however long the page is. ``used``: only those that are, or not."""
    page = assets.list_for(session, actor, where=None if used is None else _is_used(used), **wanted)
    counts = counted(session, [one.subject_id for one in page.items if one.subject_id])
    items = [one.model_copy(update={"used": counts.get(one.subject_id or "", {})}) for one in page.items]
    return page.model_copy(update={"items": items})


def show(session: Session, actor: Actor, asset_id: str, home: Path) -> AssetOut:
    """The files of a checkpoint are as its folder on this disk has them."""
    asset = assets.get_for(session, actor, asset_id)
    if asset.job_id is not None:
        found = next((one for one in checkpoints.standing(home, asset.job_id) if one.name == asset.place), None)
        asset = asset.model_copy(update={"files": found.files if found else []})
    if asset.subject_id is None:
        return asset
    used = counted(session, [asset.subject_id]).get(asset.subject_id, {})
    seen = [user for kind in used for user in _named(session, actor, kind, asset.subject_id)]
    return asset.model_copy(update={"used": used, "used_by": seen, "hidden": sum(used.values()) - len(seen)})


def counted(session: Session, subject_ids: Sequence[str]) -> dict[str, Used]:
    """Subject → who uses it, counted; what nothing uses is left out."""
    counts: dict[str, Used] = {}
    for start in range(0, len(subject_ids), _AT_ONCE):
        for subject, kind, count in _told(session, subject_ids[start : start + _AT_ONCE]):
            counts.setdefault(subject, {})[kind] = count
    return counts


def _told(session: Session, subject_ids: Sequence[str]) -> list[tuple[str, UserKind, int]]:
    told = union(
        *(
            select(subject.label("subject"), literal(kind).label("kind"), user.label("user")).where(subject.in_(subject_ids))
            for kind, subject, user in _USES
        )
    ).subquery()
    rows = session.execute(select(told.c.subject, told.c.kind, func.count()).group_by(told.c.subject, told.c.kind).order_by(told.c.kind))
    return [(row[0], row[1], row[2]) for row in rows]


def _named(session: Session, actor: Actor, kind: UserKind, subject_id: str) -> list[UsedBy]:
    table = _USERS[kind]
    whose = or_(*(table.id.in_(select(user).where(subject == subject_id)) for one, subject, user in _USES if one == kind))
    found = select(table.id, table.title).where(whose, access.visible_to(actor, table)).order_by(table.id.desc()).limit(MOST_NAMED)
    return [UsedBy(kind=kind, id=row.id, title=row.title) for row in session.execute(found)]


def _is_used(wanted: bool) -> ColumnElement[bool]:
    subject_id = Asset.subject_id
    found = or_(*(subject_id.in_(select(subject).where(subject.is_not(None))) for _, subject, _ in _USES))
    return found if wanted else subject_id.is_(None) | ~found
