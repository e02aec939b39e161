"""A scan of an object store: every name is listed, and what a model has or may be a table is read as a stream and hashed.

What has the same size and ETag as before is not read again. The rest of a bucket is counted and not read: reading costs its owner.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import PurePosixPath

from kargah.contract import hubs, scans
from kargah.contract.plans import ScanPlan
from kargah.contract.results import ScanResult
from kargah.contract.scans import Scanned
from kargah.contract.stores import Store, StoreAccess
from kargah.workers.edge import Attempt
from kargah.workers.ledger import Ledger
from kargah.workers.objects import Found, ObjectChanged, Objects, StoreRefused, StoreUnreachable

READERS = 4
_LOOK_SECONDS, _LONGEST_REST_SECONDS = 0.1, 8.0


class Halted(Exception):
    """The scan must end: whoever reads need not go on."""


def run(plan: ScanPlan, store: Store, attempt: Attempt) -> ScanResult:
    objects = Objects(store, StoreAccess.read(attempt.directory.home, plan.root_id))
    attempt.tell("Running")
    attempt.directory.outputs.mkdir(parents=True, exist_ok=True)
    return ScanOfObjects(objects, Ledger(plan, attempt), attempt, plan.patience_seconds).run()


class ScanOfObjects:
    def __init__(self, objects: Objects, ledger: Ledger, attempt: Attempt, patience_seconds: float) -> None:
        self._objects, self._ledger, self._attempt, self._patience_seconds = objects, ledger, attempt, patience_seconds
        self._halted = threading.Event()

    def run(self) -> ScanResult:
        with self._ledger.opened(), ThreadPoolExecutor(READERS) as threads:
            try:
                for found, answer in self._read(threads):
                    self._take(found, answer)
                    self._ledger.progress()
            finally:
                self._halted.set()
                threads.shutdown(wait=False, cancel_futures=True)
        return self._ledger.result

    def _wanted(self) -> Iterator[Found]:
        """What is worth reading. The names of a whole bucket are held, for only all names of a folder tell what it is."""
        folders: dict[str, list[Found]] = {}
        for found in self._objects.listed():
            self._attempt.wants.check()
            if found.path and not found.path.endswith("/"):  # what consoles make for a folder
                folders.setdefault(found.path.rpartition("/")[0], []).append(found)
        for inside in folders.values():
            is_model = scans.is_model(_name(one) for one in inside)
            if is_model and not any(one.path.endswith(".safetensors") for one in inside):
                self._ledger.result.pickles.append(next(one.path for one in inside if PurePosixPath(one.path).suffix in hubs.PICKLES))
                is_model = False
            for found in inside:
                if hubs.is_of_model(_name(found)) if is_model else scans.is_table(_name(found)):
                    yield found
                else:
                    self._ledger.result.files += 1
                    self._ledger.result.size_bytes += found.size_bytes

    def _read(self, threads: ThreadPoolExecutor) -> Iterator[tuple[Found, Scanned | None]]:
        """In the order of asking, a few ahead. What is as it was is written down at once."""
        pending: deque[tuple[Found, Future[Scanned | None]]] = deque()
        for found in self._wanted():
            self._attempt.wants.check()
            known = self._ledger.known.get(found.path)
            if known is not None and (known.size_bytes, known.etag) == (found.size_bytes, found.etag):
                self._ledger.count(known)
                continue
            pending.append((found, threads.submit(self._hashed, found)))
            if len(pending) > 2 * READERS:
                yield self._answered(*pending.popleft())
        while pending:
            yield self._answered(*pending.popleft())

    def _answered(self, found: Found, answer: Future[Scanned | None]) -> tuple[Found, Scanned | None]:
        while True:
            self._attempt.wants.check()
            try:
                return found, answer.result(_LOOK_SECONDS)
            except NotYet:
                continue

    def _take(self, found: Found, scanned: Scanned | None) -> None:
        if scanned is None:
            self._ledger.result.unreadable += 1
            return
        before = self._ledger.before.get(found.path)
        if before is None or (before.size_bytes, before.etag) != (found.size_bytes, found.etag) or before.sha256 == scanned.sha256:
            self._ledger.add(scanned)
            return
        # What it was known by stays: the same bytes, brought again, mend it. Another attempt reads it again, and says so again.
        self._ledger.result.damaged.append(found.path)
        self._ledger.add(before, is_kept=False)

    def _hashed(self, found: Found) -> Scanned | None:
        """Gone on with where it broke off, as long as bytes arrive. None for what is refused, or has changed since it was listed."""
        sha256, git_sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % found.size_bytes, usedforsecurity=False)
        there = failed = 0
        since = time.monotonic()
        while there < found.size_bytes:
            before = there
            try:
                for chunk in self._objects.read(found.path, found.etag, there, found.size_bytes):
                    if self._halted.is_set():
                        raise Halted
                    sha256.update(chunk)
                    git_sha1.update(chunk)
                    there += len(chunk)
            except (StoreRefused, ObjectChanged):
                return None
            except StoreUnreachable:
                failed, since = (1, time.monotonic()) if there > before else (failed + 1, since)
                if self._halted.is_set() or time.monotonic() - since > self._patience_seconds:
                    raise
                self._halted.wait(min(_LONGEST_REST_SECONDS, 0.25 * 2**failed))
        if there > found.size_bytes:
            return None
        return Scanned(found.path, found.size_bytes, 0, 0, sha256.hexdigest(), git_sha1.hexdigest(), found.etag)


def _name(found: Found) -> str:
    return found.path.rpartition("/")[2]
