"""What can be done with a run afterwards: the same once more, and the training as a script of its own."""

import os
from pathlib import Path

from kargah.client.shapes import JsonDict, Training
from kargah.client.transport import Transport


class Runs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def reproduce(self, run_id: str) -> Training:
        """A finished training once more by the very same plan; ``reproduction`` of the new run says how it came out."""
        return Training.model_validate(self._transport.json("POST", f"/api/v1/runs/{run_id}/reproduce"))

    def reproduction(self, run_id: str) -> JsonDict:
        """{of_run_id, state, same, models: [{name, weights_same, metrics}], reasons}; ``same`` is null until it is over."""
        answer: JsonDict = self._transport.json("GET", f"/api/v1/runs/{run_id}/reproduction")
        return answer

    def script(self, run_id: str, target: str | os.PathLike[str]) -> Path:
        """The training as one plain Python file at ``target``. Raises Refused (NO_SCRIPT) with the reason where there is none."""
        return self._transport.download(f"/api/v1/runs/{run_id}/script", target)
