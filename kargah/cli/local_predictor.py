"""Ask a model folder without a server: the same predictor process, for as long as the question takes."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from kargah.cli import attempts
from kargah.cli.errors import WorkerDied, WorkerFailed
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Failed
from kargah.contract.plans import PredictPlan
from kargah.hardware.profile import usable_cores
from kargah.kit import files

ANSWER_SECONDS = 600.0


def predict(folder: Path, inputs: list[Any]) -> list[dict[str, Any]]:
    """One output an input. Raises WorkerFailed with the predictor's own code, WorkerDied."""
    with attempts.workspace() as workspace:
        directory = attempts.new_attempt(workspace, "predict")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files.link_or_copy(path.resolve(), directory.inputs / "model" / path.relative_to(folder))
        plan = PredictPlan(
            job_id="local",
            threads=usable_cores(),
            model_version_id="local",
            folder="model",
            socket=str(workspace / "ask.sock"),
        )
        process = attempts.start("predict", directory, plan.model_dump(mode="json"))
        try:
            _wait_until_ready(process, directory)
            return _ask(plan.socket, inputs)
        finally:
            attempts.stop(process, directory)


def _wait_until_ready(process: subprocess.Popen[bytes], directory: AttemptDirectory) -> None:
    for event in attempts.events_of(process, directory):
        if isinstance(event, Failed):
            raise WorkerFailed(event.code, event.params, event.evidence)
        if event.kind == "Running":
            return
    raise WorkerDied(status=process.returncode, log=str(directory.log), tail=attempts.tail_of(directory.log))


def _ask(path: str, inputs: list[Any]) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(path)
        connection.sendall(json.dumps({"id": os.urandom(4).hex(), "inputs": inputs}).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer = json.loads(answers.readline())
    if "error" in answer:
        raise WorkerFailed(answer["error"]["code"], answer["error"].get("params") or {})
    outputs: list[dict[str, Any]] = answer["outputs"]
    return outputs
