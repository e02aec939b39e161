"""What a scan has found so far, what earlier ones had, and the index that it leaves: contract.scans."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from kargah.contract import scans
from kargah.contract.plans import ScanPlan
from kargah.contract.results import ScanResult
from kargah.contract.scans import Scanned
from kargah.kit import files
from kargah.workers.edge import Attempt

INDEX = "index.jsonl"
_PROGRESS_SECONDS = 0.5


class Ledger:
    """``known``: what need not be read if it is as it was. ``before``: what the last whole scan found."""

    def __init__(self, plan: ScanPlan, attempt: Attempt) -> None:
        self._attempt = attempt
        index = scans.index_of(attempt.directory.home, plan.root_id)
        self._part_path = index.with_suffix(".part")
        files.make_folder(index.parent)
        if plan.again and plan.attempt == 1:  # a part of an earlier scan is not of this one's reading
            self._part_path.unlink(missing_ok=True)
        self.before = {one.path: one for one in scans.read(index)}
        self.known = {**({} if plan.again else self.before), **{one.path: one for one in scans.read(self._part_path)}}
        self.result = ScanResult(index=INDEX, files=0, size_bytes=0, hashed=0, hashed_bytes=0)
        self._told_seconds = 0.0
        self._output: Any = None
        self._part: TextIO

    @contextmanager
    def opened(self) -> Iterator[None]:
        with files.atomic_writer(self._attempt.directory.outputs / INDEX) as output, self._part_path.open("a", encoding="utf-8") as part:
            self._output, self._part = output, part
            yield

    def add(self, scanned: Scanned, *, is_kept: bool = True) -> None:
        """What was read just now. ``is_kept``: another attempt need not read it again."""
        self.result.hashed += 1
        self.result.hashed_bytes += scanned.size_bytes
        self.count(scanned)
        if is_kept:
            self._part.write(scanned.line())

    def count(self, scanned: Scanned) -> None:
        self.result.files += 1
        self.result.size_bytes += scanned.size_bytes
        self._output.write(scanned.line().encode())

    def progress(self) -> None:
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS:
            self._told_seconds = now
            params = {"n": self.result.files}
            self._attempt.tell("Progress", done=self.result.size_bytes, unit="bytes", code="scan.so_far", params=params)
