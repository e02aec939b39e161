"""Large files to a server, in pieces: what breaks off goes on where it was, in this process or in the next."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from kargah.client.errors import Refused, ServerUnreachable
from kargah.client.shapes import JsonDict
from kargah.client.transport import UPLOAD_TIMEOUT_SECONDS, Transport
from kargah.kit import files

#: Called with how many bytes have arrived, of how many.
OnProgress = Callable[[int, int], None]
#: Smaller files go in one request.
PIECES_FROM_BYTES = 8 << 20
#: In a row, without a byte that arrives between them: about five minutes.
RETRIES = 15
LONGEST_WAIT_SECONDS = 30.0
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Uploads:
    def __init__(self, transport: Transport, retries: int = RETRIES) -> None:
        self._transport = transport
        self._retries = retries

    def send(self, path: Path, on_progress: OnProgress | None = None, **wish: Any) -> JsonDict:
        """Send a file and have it made a data set: {dataset_id, version_id, job_id, sha256}. The server checks its SHA-256.

        An unfinished upload of the same content, whichever process began it, is gone on with. ``wish``: title, dataset_id and
        the other fields of ``finish``.
        """
        upload = self.arrive(path, on_progress)
        address = f"/api/v1/uploads/{upload['id']}/finish"
        body = {name: value for name, value in wish.items() if value is not None} | {"sha256": upload["sha256"]}
        made: JsonDict = self._patiently(lambda: self._transport.json("POST", address, json=body, timeout=UPLOAD_TIMEOUT_SECONDS))
        return made

    def arrive(self, path: Path, on_progress: OnProgress | None = None) -> JsonDict:
        """All of a file at the server, which has made nothing of it yet."""
        asked = {"filename": path.name, "size_bytes": path.stat().st_size, "sha256": files.digest_of(path).sha256}
        upload: JsonDict = self._patiently(lambda: self._transport.json("POST", "/api/v1/uploads", json=asked))
        with path.open("rb") as file:
            self._send_rest(file, upload, on_progress or _unheard)
        return upload

    def _send_rest(self, file: BinaryIO, upload: JsonDict, on_progress: OnProgress) -> None:
        offset, size_bytes, failed = upload["offset"], upload["size_bytes"], 0
        on_progress(offset, size_bytes)
        while offset < size_bytes:
            before = offset
            try:
                offset = self._send_piece(file, upload, offset)
            except (ServerUnreachable, Refused) as error:
                failed += 1
                self._wait_after(error, failed)
                offset = self._arrived(upload["id"], offset)
            if offset > before:
                failed = 0
                on_progress(offset, size_bytes)

    def _send_piece(self, file: BinaryIO, upload: JsonDict, offset: int) -> int:
        file.seek(offset)
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        address, piece = f"/api/v1/uploads/{upload['id']}", file.read(upload["chunk_bytes"])
        answer = self._transport.send("PATCH", address, content=piece, headers=headers)
        return int(answer.headers["Upload-Offset"])

    def _arrived(self, upload_id: str, otherwise: int) -> int:
        try:
            return int(self._transport.json("GET", f"/api/v1/uploads/{upload_id}")["offset"])
        except ServerUnreachable:
            return otherwise

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        for failed in range(1, self._retries + 2):
            try:
                return ask()
            except (ServerUnreachable, Refused) as error:
                self._wait_after(error, failed)
        raise AssertionError("the last wait raises")

    def _wait_after(self, error: ServerUnreachable | Refused, failed: int) -> None:
        """Raises ``error`` again when waiting mends nothing, or when it was waited for long enough."""
        if failed > self._retries or (isinstance(error, Refused) and error.http_status not in _PASSING):
            raise error
        time.sleep(min(LONGEST_WAIT_SECONDS, 0.25 * 2 ** (failed - 1)))


def _unheard(*_: int) -> None:
    """Nobody wants to know how far it is."""
