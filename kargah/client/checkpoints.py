"""The checkpoints of a training on the server, and what to do about one that failed."""

import builtins
import os
from pathlib import Path

from kargah.client.shapes import JsonDict, Training
from kargah.client.transport import Transport
from kargah.kit import files

DOWNLOAD_READ_TIMEOUT_SECONDS = 60.0


class Checkpoints:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, job_id: str) -> builtins.list[JsonDict]:
        """The newest first: {name, step, epoch, saved_at, size_bytes, best, newest, best_value, files}."""
        answer: builtins.list[JsonDict] = self._transport.json("GET", f"/api/v1/jobs/{job_id}/checkpoints")
        return answer

    def download(self, job_id: str, name: str, target: str | os.PathLike[str]) -> Path:
        """The checkpoint as a zip file at ``target``: whole, or not there."""
        destination = Path(target)
        path = f"/api/v1/jobs/{job_id}/checkpoints/{name}/zip"
        with (
            self._transport.stream(path, read_timeout_seconds=DOWNLOAD_READ_TIMEOUT_SECONDS) as answer,
            files.atomic_writer(destination) as file,
        ):
            for chunk in answer.iter_bytes(files.CHUNK_BYTES):
                file.write(chunk)
        return destination

    def delete(self, job_id: str, name: str) -> None:
        self._transport.json("DELETE", f"/api/v1/jobs/{job_id}/checkpoints/{name}")

    def verify(self, job_id: str, name: str) -> JsonDict:
        """The checkpoint once more, its ``condition`` found by comparing every file with its hash: verified or damaged."""
        answer: JsonDict = self._transport.json("POST", f"/api/v1/jobs/{job_id}/checkpoints/{name}/verify")
        return answer

    def continue_from(
        self,
        job_id: str,
        name: str,
        *,
        spec: JsonDict | None = None,
        title: str | None = None,
        priority: int = 0,
        terms: JsonDict | None = None,
    ) -> Training:
        """A new training that begins with this checkpoint's weights; ``spec`` holds the settings that are to differ."""
        body = {"spec": spec or {}, "title": title, "priority": priority, "terms": terms or {}}
        return Training.model_validate(self._transport.json("POST", f"/api/v1/jobs/{job_id}/checkpoints/{name}/continue", json=body))

    def failure(self, job_id: str) -> JsonDict:
        """Why a job failed: {code, params, evidence, log, memory, fix}. Raises Refused (404) for one that has not."""
        answer: JsonDict = self._transport.json("GET", f"/api/v1/jobs/{job_id}/failure")
        return answer

    def retry(self, job_id: str, *, with_fix: bool = False) -> Training:
        """A training that failed or was stopped, as a new one; ``with_fix``: with the change that ``failure`` proposes."""
        return Training.model_validate(self._transport.json("POST", f"/api/v1/jobs/{job_id}/retry", json={"with_fix": with_fix}))
