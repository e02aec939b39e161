"""The room of attempts that were over when their agent was killed, before it could give it back."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from kargah.contract.attempt import AttemptDirectory
from kargah.jobs.tables import Attempt
from kargah.kit import files
from kargah.kit.clock import iso, utc_now
from kargah.store.database import Database

#: Attempts that ended so long before the sweep before are looked at once more: clocks are put right now and then.
_AGAIN = timedelta(days=1)


def sweep(database: Database, home: Path, run_folder: Path, host: str) -> int:
    """Have every attempt of this host that is over give its room back; return how many still had some.

    The next sweep looks only at those that ended since this one: of the thousands before nothing is asked of the disk.
    """
    began, mark = utc_now(), run_folder / f"swept-{host}.json"
    left = [directory for directory in _over_since(database, home, host, _before(mark, began)) if _holds_room(directory)]
    for path in left:
        AttemptDirectory(path).give_back()
    files.write_json(mark, iso(began))
    return len(left)


def _over_since(database: Database, home: Path, host: str, moment: datetime | None) -> Iterator[Path]:
    over = select(Attempt.job_id, Attempt.number).where(Attempt.host == host, Attempt.ended_at.is_not(None))
    if moment is not None:
        over = over.where(Attempt.ended_at >= moment)
    with database.read() as session:
        found = session.execute(over).all()
    return (home / "jobs" / job_id / "attempts" / str(number) for job_id, number in found)


def _before(mark: Path, now: datetime) -> datetime | None:
    """From when on attempts are looked at; null: all of them."""
    try:
        return min(datetime.fromisoformat(files.read_json(mark)), now) - _AGAIN
    except (OSError, ValueError, TypeError):
        return None


def _holds_room(path: Path) -> bool:
    return (path / "inputs").exists() or (path / "outputs").exists()
