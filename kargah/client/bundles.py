"""A model with all that belongs to it as one signed file: out of one server, into another."""

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kargah.client.shapes import Job, JsonDict
from kargah.client.transport import Transport
from kargah.client.uploads import OnProgress, Uploads

StrPath = str | os.PathLike[str]


class Bundles:
    def __init__(self, transport: Transport, wait: Callable[[str], Job]) -> None:
        self._transport, self._uploads, self._wait = transport, Uploads(transport), wait

    def export(self, model_version_id: str, target: StrPath, *, datasets: bool = False) -> Path:
        """The bundle at ``target``: whole, or not there. With ``datasets`` what the model was trained on comes along."""
        return self._transport.download(f"/api/v1/models/{model_version_id}/bundle?datasets={str(datasets).lower()}", target)

    def import_file(
        self, path: StrPath, *, signer: str | None = None, on_progress: OnProgress | None = None, wait: bool = True
    ) -> JsonDict:
        """{model, datasets, signer} once the job that verifies and registers it is over; without ``wait`` {job, title, signer}.

        What broke off while it was sent is gone on with. Raises JobEnded for contents that are not what is signed.

        Refused with the reason UNKNOWN_SIGNER until ``signer``, the fingerprint of its key, is confirmed; what was sent waits for that.
        """
        return self._import(wait, upload_id=self._uploads.arrive(Path(path), on_progress)["id"], signer=signer)

    def import_path(self, path: StrPath, *, signer: str | None = None, wait: bool = True) -> JsonDict:
        """The same for a file on the server's own disk, below one of its import roots: nothing is sent."""
        return self._import(wait, path=str(path), signer=signer)

    def peer_items(self, url: str, token: str) -> builtins.list[JsonDict]:
        """What another Kargah shows to ``token``: {kind, id, title, size_bytes}. An admin of this server must have allowed its host."""
        items: builtins.list[JsonDict] = self._transport.json("POST", "/api/v1/peers/list", json={"url": url, "token": token})["items"]
        return items

    def fetch(self, url: str, token: str, item_id: str, *, kind: str = "model", signer: str | None = None, **wish: Any) -> JsonDict:
        """Have the server fetch one of them: a download, whose ``job`` can be waited for. ``wish``: title, window."""
        asked = {"url": url, "token": token, "id": item_id, "kind": kind, "signer": signer, **wish}
        answer: JsonDict = self._transport.json("POST", "/api/v1/peers/import", json=asked)
        return answer

    def signers(self) -> JsonDict:
        """{own, known}: the server's own key, and those whose bundles it takes without asking; each {fingerprint, public_key}."""
        answer: JsonDict = self._transport.json("GET", "/api/v1/bundles/signers")
        return answer

    def _import(self, wait: bool, **wish: str | None) -> JsonDict:
        started: JsonDict = self._transport.json("POST", "/api/v1/bundles", json=wish)
        if not wait:
            return started
        made = self._wait(started["job"]["id"]).result or {}
        model = self._transport.json("GET", f"/api/v1/models/{made['model_id']}")
        datasets = [self._transport.json("GET", f"/api/v1/datasets/{dataset_id}") for dataset_id in made["dataset_ids"]]
        return {"model": model, "datasets": datasets, "signer": made["signer"]}
