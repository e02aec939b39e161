"""``python -m kargah.workers.unbundling ATTEMPT_DIR``: the contents of a bundle, each verified, or the reason why not.

Leaves ``outputs/contents/<sha256>``. What ends otherwise leaves nothing; an attempt after a kill begins anew.
"""

import shutil
import sys
import time
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, BinaryIO

from kargah.contract import container
from kargah.contract.container import BundleDamaged, Reader
from kargah.contract.plans import BundledContent, Plan, UnbundlePlan
from kargah.contract.results import UnbundleResult
from kargah.kit import files
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.telling import SPARE_BYTES, NoRoom

FOLDER = "contents"
_PROGRESS_SECONDS = 0.5


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, UnbundlePlan)
    return Unbundling(plan, attempt).run().model_dump(mode="json")


class Unbundling:
    def __init__(self, plan: UnbundlePlan, attempt: Attempt) -> None:
        self._plan, self._tell, self._check = plan, attempt.tell, attempt.wants.check
        self._target = attempt.directory.outputs / FOLDER
        self._total_bytes = sum(content.size_bytes for content in plan.contents)
        self._done_bytes, self._told_seconds = 0, 0.0

    def run(self) -> UnbundleResult:
        """Raises BundleDamaged at the first that is not what the manifest says; NoRoom, which pauses the job."""
        shutil.rmtree(self._target, ignore_errors=True)
        files.make_folder(self._target)
        free_bytes = files.free_bytes(self._target)
        if free_bytes < self._total_bytes + SPARE_BYTES:
            raise NoRoom(self._total_bytes + SPARE_BYTES, free_bytes)
        self._tell("Running")
        try:
            with open(self._plan.path, "rb") as file:
                self._take(Reader(file))
        except BaseException as error:
            shutil.rmtree(self._target, ignore_errors=True)
            if isinstance(error, OSError) and not files.is_full(error):  # a stick that was pulled out
                raise BundleDamaged(field="file", part=Path(self._plan.path).name) from error
            raise
        return UnbundleResult(files=len(self._plan.contents), size_bytes=self._total_bytes)

    def _take(self, reader: Reader) -> None:
        said = reader.first(container.LARGEST_MANIFEST_BYTES)
        signed = reader.whole(container.SIGNATURE, container.LARGEST_SIGNATURE_BYTES)
        if (sha256(said).hexdigest(), sha256(signed).hexdigest()) != self._plan.head:  # another file than was looked at
            raise BundleDamaged(field="file", part=container.SIGNATURE)
        self._require_same(reader, container.REQUIREMENTS, self._plan.requirements, None)
        for content in self._plan.contents:
            with (self._target / content.sha256).open("xb") as target:
                self._require_same(reader, f"{container.BLOBS}{content.sha256}", content, target)
        reader.end()
        self._progress()

    def _require_same(self, reader: Reader, name: str, stated: BundledContent, target: BinaryIO | None) -> None:
        if reader.next(name) != stated.size_bytes:
            raise BundleDamaged(field="file", part=stated.path)
        hashed, as_git = sha256(), sha1(b"blob %d\0" % stated.size_bytes, usedforsecurity=False)
        for chunk in reader.content(stated.path, stated.size_bytes):
            self._check()
            hashed.update(chunk)
            as_git.update(chunk)
            if target is not None:
                target.write(chunk)
                self._done_bytes += len(chunk)
                if time.monotonic() - self._told_seconds >= _PROGRESS_SECONDS:
                    self._progress()
        if (hashed.hexdigest(), as_git.hexdigest()) != (stated.sha256, stated.git_sha1):
            raise BundleDamaged(field="file", part=stated.path)

    def _progress(self) -> None:
        self._told_seconds = time.monotonic()
        self._tell("Progress", done=self._done_bytes, total=self._total_bytes, unit="bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
