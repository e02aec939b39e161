"""A model with all that belongs to it as one signed file: out of one server, into another."""

import builtins
import os
from pathlib import Path
from typing import Any

from kargah.client.shapes import JsonDict
from kargah.client.transport import UPLOAD_TIMEOUT_SECONDS, Transport
from kargah.client.uploads import OnProgress, Uploads

StrPath = str | os.PathLike[str]


class Bundles:
    def __init__(self, transport: Transport) -> None:
        self._transport, self._uploads = transport, Uploads(transport)

    def export(self, model_version_id: str, target: StrPath, *, datasets: bool = False) -> Path:
        """The bundle at ``target``: whole, or not there. With ``datasets`` what the model was trained on comes along."""
        return self._transport.download(f"/api/v1/models/{model_version_id}/bundle?datasets={str(datasets).lower()}", target)

    def import_file(self, path: StrPath, *, signer: str | None = None, on_progress: OnProgress | None = None) -> JsonDict:
        """{model, datasets, signer}. What broke off while it was sent is gone on with.

        Refused with the reason UNKNOWN_SIGNER until ``signer``, the fingerprint of its key, is confirmed; what was sent waits for that.
        """
        return self._import(upload_id=self._uploads.arrive(Path(path), on_progress)["id"], signer=signer)

    def import_path(self, path: StrPath, *, signer: str | None = None) -> JsonDict:
        """The same for a file on the server's own disk, below one of its import roots: nothing is sent."""
        return self._import(path=str(path), signer=signer)

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

    def _import(self, **wish: str | None) -> JsonDict:
        answer: JsonDict = self._transport.json("POST", "/api/v1/bundles", json=wish, timeout=UPLOAD_TIMEOUT_SECONDS)
        return answer
