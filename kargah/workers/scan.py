"""``python -m kargah.workers.scan ATTEMPT_DIR``: the files below a root, each with its hashes. Nothing is written there.

A folder's are looked at here, an object store's by workers.scan_objects.

Out: ``outputs/index.jsonl`` (contract.scans) and a contract.results.ScanResult. What was hashed is kept all along, so that an attempt
that is paused, killed or cut off by the end of a disk is gone on with and not begun anew.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kargah.contract import scans
from kargah.contract.plans import Plan, ScanPlan
from kargah.contract.results import ScanResult
from kargah.contract.scans import Scanned
from kargah.kit.errors import NotFound
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.hashing import Hashed, Hashers, How, Wanted
from kargah.workers.ledger import Ledger

#: A file that changes within one tick of its file system's clock may keep its time: so young a one is looked at again next time.
_SETTLED_NS = 2_000_000_000


class RootGone(NotFound):
    """``path``: the folder is not there, or may not be read; its disk may not be mounted."""

    code = "ROOT_GONE"


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, ScanPlan)
    if plan.store is not None:
        from kargah.workers import scan_objects

        return scan_objects.run(plan, plan.store, attempt).model_dump(mode="json")
    if not Path(plan.folder).is_dir() or not os.access(plan.folder, os.R_OK | os.X_OK):
        raise RootGone(kind="roots", id=plan.root_id, path=plan.folder)
    attempt.tell("Running")
    attempt.directory.outputs.mkdir(parents=True, exist_ok=True)
    with Hashers(plan.threads, attempt.wants.check) as hashers:
        return Scan(plan, attempt, hashers).run().model_dump(mode="json")


class Scan:
    def __init__(self, plan: ScanPlan, attempt: Attempt, hashers: Hashers) -> None:
        self._root, self._attempt, self._hashers = plan.folder, attempt, hashers
        self._ledger = Ledger(plan, attempt)
        self._result = self._ledger.result
        self._began_ns = time.time_ns()

    def run(self) -> ScanResult:
        with self._ledger.opened():
            for one, found in self._hashers.hash(self._changed()):
                self._take(one, found)
                self._ledger.progress()
        return self._result

    def _changed(self) -> Iterator[Wanted]:
        """Those to be read; what is as it was is written down at once."""
        for entry in self._walk():
            self._attempt.wants.check()
            known, wanted = self._ledger.known.get(self._below(entry.path)), scans.may_be_wanted(entry.name)
            if known is None and not wanted:  # nothing need be asked about it before it is opened
                yield Wanted(entry.path, 0, How.SHA256)
                continue
            with suppress(FileNotFoundError):  # it went away just now
                stat = entry.stat(follow_symlinks=False)
                seen = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
                if known is not None and known[1:4] == seen and (known.git_sha1 is not None or not wanted):
                    self._ledger.count(known)
                else:
                    yield Wanted(entry.path, stat.st_size, How.BOTH if wanted else How.SHA256)

    def _walk(self) -> Iterator["os.DirEntry[str]"]:
        """Ordinary files, each folder's in the order of their names. Links are followed nowhere: none can lead out of the root."""
        folders = [self._root]
        while folders:
            below = []
            for entry in self._entries(folders.pop()):
                if not _is_text(entry.name):
                    self._result.badly_named += 1
                elif entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    self._result.links += 1
                else:
                    yield entry
            folders += reversed(below)

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        try:
            return sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self._result.unreadable += 1
            return []

    def _take(self, one: Wanted, found: Hashed) -> None:
        if found.error:
            self._result.unreadable += 1
            return
        is_settled = found.mtime_ns < self._began_ns - _SETTLED_NS
        scanned = Scanned(
            self._below(one.path), found.size_bytes, found.mtime_ns if is_settled else 0, found.inode, found.sha256, found.git_sha1
        )
        self._ledger.add(scanned)

    def _below(self, path: str) -> str:
        return path[len(self._root.rstrip("/")) + 1 :]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
