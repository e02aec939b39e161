"""People's own Python files as jobs."""

import builtins
import os
from collections.abc import Sequence
from pathlib import Path

from kargah.client.errors import Refused
from kargah.client.shapes import JsonDict, Training
from kargah.client.transport import Transport


class Scripts:
    """Off unless the server's KARGAH_CUSTOM_SCRIPTS allows it: then Refused with SCRIPTS_OFF."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def run(
        self,
        path: str | os.PathLike[str],
        *,
        datasets: Sequence[str] = (),
        parameters: JsonDict | None = None,
        title: str | None = None,
        terms: JsonDict | None = None,
    ) -> Training:
        """Queue a Python file that speaks with ``kargah.client.run``; ``datasets`` are ids of data sets or versions."""
        file = Path(path)
        said: JsonDict = {"filename": file.name, "source": _text_of(file), "datasets": list(datasets), "parameters": parameters or {}}
        said |= {name: value for name, value in {"title": title, "terms": terms}.items() if value}
        return Training.model_validate(self._transport.json("POST", "/api/v1/scripts", json=said))

    def again(self, job_id: str) -> Training:
        """One that failed or was stopped, as a new job that goes on from the last checkpoint."""
        return Training.model_validate(self._transport.json("POST", f"/api/v1/scripts/{job_id}/again"))

    def outputs(self, job_id: str) -> builtins.list[JsonDict]:
        """{path, sha256, size_bytes} of each file that it left."""
        found: builtins.list[JsonDict] = self._transport.json("GET", f"/api/v1/scripts/{job_id}/outputs")
        return found

    def download(self, job_id: str, target: str | os.PathLike[str]) -> Path:
        """All outputs as a zip file at ``target``."""
        return self._transport.download(f"/api/v1/scripts/{job_id}/outputs/zip", target)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(422, {"code": "NOT_A_SCRIPT", "detail": f"{file}: {error.reason}"}) from error
