"""``python -m kargah.workers.downloading ATTEMPT_DIR``: the wanted files of a repository of a hub, whole and verified, or a reason why not.

Leaves ``outputs/repository/``. What is on its way lies in the home's ``downloads`` folder, so that a later attempt, and a later
download of the same files, goes on with it. A stop throws it away.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from kargah.contract import hubs
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.hubs import HubAccess
from kargah.contract.plans import DownloadPlan, Plan
from kargah.contract.results import DownloadResult, OutputFile
from kargah.contract.stores import StoreAccess
from kargah.kit import files, packing
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.hub import parts, tree
from kargah.workers.hub.errors import DownloadTooLarge, HubWantsConsent, NoRoomForDownload, NotOnHub
from kargah.workers.hub.link import Link
from kargah.workers.hub.sources import Sources
from kargah.workers.hub.transfer import Transfer
from kargah.workers.hub.tree import RemoteFile, Tree
from kargah.workers.objects import Objects, StoreRefused
from kargah.workers.telling import NoRoom, Teller
from kargah.workers.wants import StopWanted

FOLDER, PACKED = "repository", "packed.zip"
#: Of what is to come: the file system's own, and what others write meanwhile. A data set is packed besides.
SPARE_SHARE = {"model": 1.1, "dataset": 2.1}


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, DownloadPlan)
    return Download(plan, attempt).run().model_dump(mode="json")


class Download:
    def __init__(self, plan: DownloadPlan, attempt: Attempt) -> None:
        self._plan, self._directory, self._check = plan, attempt.directory, attempt.wants.check
        self._tell: Teller = attempt.tell
        self._folder = hubs.downloads_folder(attempt.directory.home)
        self._listing = listing_of(attempt.directory)
        self._objects: Objects | None = None
        if plan.stored is not None:
            self._objects = Objects(plan.stored.store, StoreAccess.read(attempt.directory.home, plan.stored.root_id))
        self._link = Link(HubAccess.read(attempt.directory.home, plan.access), plan.allow, plan.silence_seconds)

    def run(self) -> DownloadResult:
        listed = tree.remembered(self._listing) or self._listed()
        try:
            return self._fetched(listed)
        except StopWanted:
            parts.discard(self._folder, [file.key for file in listed.files])
            raise

    def _listed(self) -> Tree:
        self._tell("Progress", done=0, unit="bytes", code="download.listing")
        sources = Sources(self._plan.hubs, self._plan.patience_seconds, self._check, self._say_failure)
        listed = tree.planned(self._plan) or tree.ask_for(self._plan, self._link, sources)
        if self._plan.limit_bytes is not None and listed.size_bytes > self._plan.limit_bytes:
            raise DownloadTooLarge(needed_bytes=listed.size_bytes, limit_bytes=self._plan.limit_bytes)
        files.write_bytes(self._listing, listed.model_dump_json().encode())
        self._tell.log(
            "download.planned", files=len(listed.files), total_bytes=listed.size_bytes, hub=listed.hub, commit=listed.commit
        )  # fmt: skip
        return listed

    def _say_failure(self, hub: str, reason: str) -> None:
        self._tell.log("download.hub_failed", level="warning", hub=hub, reason=reason)

    def _fetched(self, listed: Tree) -> DownloadResult:
        files.make_folder(self._folder)
        self._take_what_is_here(listed)
        address_of = partial(self._address_of, listed.commit)
        transfer = Transfer(self._plan, listed, self._folder, self._link, self._tell, self._check, address_of)
        transfer.prepare()
        self._require_room(listed, transfer)
        self._tell("Running")
        try:
            transfer.run()
        except (NotOnHub, HubWantsConsent) as error:
            if self._plan.stored is None:
                raise
            said = "NoSuchKey" if isinstance(error, NotOnHub) else "AccessDenied"
            raise StoreRefused(url=listed.hub, path=self._plan.stored.store.url, reason=said) from error
        outputs = self._directory.outputs / FOLDER
        kept = [self._kept(outputs, file, transfer) for file in listed.files]
        return DownloadResult(
            repository=self._plan.repository,
            revision=self._plan.revision,
            commit=listed.commit,
            hub=listed.hub,
            files=kept,
            packed=self._packed(outputs, [file.path for file in kept if hubs.is_table(file.path)]),
            licence=listed.licence,
            gated=listed.gated,
            fetched_bytes=transfer.fetched_bytes,
        )

    def _address_of(self, commit: str, hub: str, path: str) -> str:
        if self._objects is not None and self._plan.stored is not None:
            return self._objects.address(self._plan.stored.place + path)
        return tree.address_of(self._plan, hub, commit, path)

    def _take_what_is_here(self, listed: Tree) -> None:
        """Of a newer commit most files are often those of the older one: what this home keeps by the same hash need not come again."""
        may_be_here = self._plan.into is not None or self._plan.stored is not None
        for file in listed.files:
            kept = self._directory.home / "blobs" / (file.sha256 or "-")[:2] / (file.sha256 or "-")  # as assets.blobs lays them
            if may_be_here and kept.is_file() and kept.stat().st_size == file.size_bytes and not (self._folder / file.key).exists():
                self._check()
                if files.digest_of(kept).sha256 == file.sha256:
                    files.link_or_copy(kept, self._folder / file.key)

    def _require_room(self, listed: Tree, transfer: Transfer) -> None:
        """Before the first byte a download without room fails; one that has begun waits until there is some."""
        there = transfer.there_bytes
        needed_bytes = round(SPARE_SHARE[self._plan.repository_kind] * (listed.size_bytes - there))
        free_bytes = files.free_bytes(self._folder)
        if needed_bytes <= free_bytes:
            return
        if there:
            raise NoRoom(needed_bytes, free_bytes)
        raise NoRoomForDownload(needed_bytes=needed_bytes, free_bytes=free_bytes)

    def _kept(self, outputs: Path, file: RemoteFile, transfer: Transfer) -> OutputFile:
        self._check()
        place = files.safe_join(outputs, *file.path.split("/"))
        whole = transfer.parts[file.key].whole
        digest = transfer.parts[file.key].digest or files.digest_of(whole)
        files.link_or_copy(whole, place)
        return OutputFile(path=file.path, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)

    def _packed(self, outputs: Path, tables: list[str]) -> OutputFile | None:
        """As a folder that was dropped onto the page would come."""
        if self._plan.repository_kind == "model" or len(tables) < 2:
            return None
        packed = packing.pack(outputs, self._directory.outputs / PACKED, tables)
        digest = files.digest_of(packed)
        return OutputFile(path=PACKED, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)


def listing_of(directory: AttemptDirectory) -> Path:
    """What the repository holds, for all attempts of a job."""
    return directory.job_path / "repository.json"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
