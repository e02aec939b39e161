"""Where the room goes, folders that are used where they lie, the check of all files, and the trash."""

import builtins
import os
from collections.abc import Callable
from typing import Any

from kargah.client.shapes import Job, JsonDict
from kargah.client.transport import Transport

StrPath = str | os.PathLike[str]


class Storage:
    def __init__(self, transport: Transport, wait: Callable[[str], Job]) -> None:
        self._transport, self._wait = transport, wait

    def show(self) -> JsonDict:
        """{shares, stored_bytes, named_bytes, roots, quotas}."""
        answer: JsonDict = self._transport.json("GET", "/api/v1/storage")
        return answer

    def check(self, *, wait: bool = True) -> JsonDict:
        """For admins: have all files read and hashed again. {job, checked_at, unchecked, damaged: [{sha256, …}], damaged_count}."""
        job = self._transport.json("POST", "/api/v1/scrub")
        if wait:
            self._wait(job["id"])
        answer: JsonDict = self._transport.json("GET", "/api/v1/scrub")
        return answer

    def roots(self) -> builtins.list[JsonDict]:
        """For admins: folders of the server whose files are used where they lie, each with what its last scan found."""
        items: builtins.list[JsonDict] = self._transport.json("GET", "/api/v1/roots")["items"]
        return items

    def add_root(self, path: StrPath, *, name: str = "", wait: bool = True, **store: Any) -> JsonDict:
        """A folder on the server's own disk, or ``s3://bucket/prefix``; it is scanned at once, and nothing is ever written there.

        ``store``: endpoint, region, key, secret of an object store.
        """
        root = self._transport.json("POST", "/api/v1/roots", json={"path": str(path), "name": name, **store})
        return self._scanned(root["id"], root["job_id"], wait)

    def scan(self, root_id: str, *, again: bool = False, wait: bool = True) -> JsonDict:
        """Read what has changed there since the last scan; with ``again`` all of it, as a check that it is what it was."""
        asked = f"/api/v1/roots/{root_id}/scan?again={str(again).lower()}"
        return self._scanned(root_id, self._transport.json("POST", asked)["id"], wait)

    def found(self, root_id: str | None = None) -> builtins.list[JsonDict]:
        """What lies under a root, or under all that are object stores: the latest 200 {id, kind, name, place, status, size_bytes, …}."""
        asked = {"root": root_id} if root_id else {"source": "s3"}
        items: builtins.list[JsonDict] = self._transport.json("GET", "/api/v1/assets", params={**asked, "limit": 200})["items"]
        return items

    def bring(self, asset_id: str, *, wait: bool = True, **wish: Any) -> JsonDict:
        """Have what lies in an object store come to the server, as a model or a data set. Raises JobEnded when that came to nothing.

        ``wish``: window, bytes_per_second.
        """
        made: JsonDict = self._transport.json("POST", f"/api/v1/assets/{asset_id}/bring", json=wish)
        if wait and made["status"] == "downloading":
            self._wait(made["job"]["id"])
            made = self._transport.json("GET", f"/api/v1/downloads/{made['id']}")
        return made

    def remove_root(self, root_id: str) -> None:
        """Its files are left as they are; refused while models of it are here (ROOT_IN_USE)."""
        self._transport.json("DELETE", f"/api/v1/roots/{root_id}")

    def trash(self) -> JsonDict:
        """{items: [{id, kind, title, size_bytes, trashed_at, expires_at}], total, size_bytes, kept_days}."""
        answer: JsonDict = self._transport.json("GET", "/api/v1/trash")
        return answer

    def restore(self, kind: str, item_id: str) -> None:
        """``kind``: model, dataset or artifact."""
        self._transport.json("POST", f"/api/v1/trash/{kind}/{item_id}/restore")

    def purge(self, kind: str, item_id: str) -> None:
        """For good; refused while something uses it."""
        self._transport.json("DELETE", f"/api/v1/trash/{kind}/{item_id}")

    def _scanned(self, root_id: str, job_id: str, wait: bool) -> JsonDict:
        if wait:
            self._wait(job_id)
        answer: JsonDict = self._transport.json("GET", f"/api/v1/roots/{root_id}")
        return answer
