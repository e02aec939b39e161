"""Which files were found damaged, and which assets they make unusable; and that the same bytes, brought again, mend them."""

from collections.abc import Collection, Iterable
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kargah.assets.tables import STORED, Asset, Blob


class Damage(StrEnum):
    """``DAMAGED``: other bytes than it was kept with. ``MISSING``: no file there. ``UNREADABLE``: the disk does not give it."""

    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"


def mark(session: Session, kind: Damage, hashes: Iterable[str]) -> None:
    found = list(hashes)
    if found:
        session.execute(update(Blob).where(Blob.sha256.in_(found)).values(damage=kind.value))


def mend(session: Session, hashes: Collection[str]) -> None:
    """Of files whose bytes have just come again, and were hashed on the way."""
    damaged = list(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(hashes), Blob.damage.is_not(None)))) if hashes else []
    if damaged:
        session.execute(update(Blob).where(Blob.sha256.in_(damaged)).values(damage=None))
        settle(session)


def settle(session: Session) -> None:
    """An asset with a damaged file is in error; one whose files are whole again is ready."""
    bad = set(session.scalars(select(Blob.sha256).where(Blob.damage.is_not(None))))
    judged = select(Asset.id, Asset.status, Asset.files).where(Asset.status.in_(["ready", "error"]), Asset.source != STORED)
    for row in session.execute(judged):
        hashes = {entry["sha256"] for entry in row.files}
        status = "error" if hashes & bad else "ready"
        if hashes and status != row.status:
            session.execute(update(Asset).where(Asset.id == row.id).values(status=status))


def users_of(session: Session, hashes: Collection[str]) -> dict[str, list[str]]:
    """SHA-256 → ids of the assets that have a file of it."""
    users: dict[str, list[str]] = {sha256: [] for sha256 in hashes}
    for row in session.execute(select(Asset.id, Asset.files).where(Asset.status == "error", Asset.source != STORED)):
        for sha256 in {entry["sha256"] for entry in row.files} & users.keys():
            users[sha256].append(row.id)
    return users
