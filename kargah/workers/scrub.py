"""``python -m kargah.workers.scrub ATTEMPT_DIR``: every file of the store is read again, from the disk, and compared with its name.

Changes nothing; what is found wrong was read twice. Out: a contract.results.ScrubResult.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kargah.contract.plans import Plan, ScrubPlan
from kargah.contract.results import ScrubResult
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.hashing import Hashed, Hashers, How, Wanted

_HEX = frozenset("0123456789abcdef")
_SHA256_LENGTH = 64
_PROGRESS_SECONDS = 0.5
MOST_NAMED = 10_000


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, ScrubPlan)
    attempt.tell("Running")
    with Hashers(plan.threads, attempt.wants.check) as hashers:
        return Scrub(attempt, hashers).run(stored(attempt.directory.home)).model_dump(mode="json")


def stored(home: Path) -> list[Wanted]:
    """Every file of the store, in the order of its name."""
    folders = (folder for folder in sorted((home / "blobs").glob("??")) if folder.is_dir())
    paths = (path for folder in folders for path in sorted(folder.iterdir()))
    return [
        Wanted(str(path), _size_bytes(path), How.COLD) for path in paths if len(path.name) == _SHA256_LENGTH and _HEX.issuperset(path.name)
    ]


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Scrub:
    def __init__(self, attempt: Attempt, hashers: Hashers) -> None:
        self._tell, self._hashers = attempt.tell, hashers
        self._result = ScrubResult(files=0, size_bytes=0)
        self._told_seconds = 0.0

    def run(self, wanted: list[Wanted]) -> ScrubResult:
        total_bytes = sum(one.size_bytes for one in wanted)
        suspects = []
        for one, found in self._hashers.hash(wanted):
            self._result.files += 1
            self._result.size_bytes += found.size_bytes
            if found.sha256 != Path(one.path).name:
                suspects.append(one)
            self._progress(total_bytes)
        self._look_again(suspects)
        return self._result

    def _look_again(self, suspects: Iterable[Wanted]) -> None:
        """One that was thrown away meanwhile is no finding; nor is what a second reading finds right."""
        for one, found in self._hashers.hash(suspects):
            path = Path(one.path)
            if found.sha256 == path.name or (not path.is_symlink() and not path.exists()):
                continue
            kind = _kind_of(found)
            getattr(self._result, kind).append(path.name)
            if len(self._result.damaged) + len(self._result.unreadable) <= MOST_NAMED:
                self._tell.log(f"scrub.{kind}", level="error", sha256=path.name)

    def _progress(self, total_bytes: int) -> None:
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS or self._result.size_bytes >= total_bytes:
            self._told_seconds = now
            self._tell("Progress", done=self._result.size_bytes, total=max(total_bytes, self._result.size_bytes), unit="bytes")


def _kind_of(found: Hashed) -> str:
    return "unreadable" if found.error else "damaged"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
