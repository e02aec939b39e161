"""The predictor process: answers on its socket, batches, refuses clearly, goes when told."""

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

from attempts import Job, events_of, start
from samples import sentiments

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import PredictPlan
from kargah.kit import files


def ask(path: Path, *requests: dict[str, Any]) -> dict[Any, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        with connection.makefile("rb") as lines:
            answers = [json.loads(lines.readline()) for _ in requests]
    return {answer["id"]: answer for answer in answers}


def test_the_predictor_answers_many_at_once_refuses_one_clearly_and_ends_at_sigterm(tmp_path: Path) -> None:
    trained, _ = Job(tmp_path / "training", "text-classification", sentiments(120), spec={"max_steps": 20}).run()
    directory = AttemptDirectory.of(tmp_path, "job_2", 1)
    files.link_or_copy(trained.plan, directory.plan)
    directory.inputs.mkdir(parents=True)
    (directory.inputs / "model").symlink_to(trained.outputs / "model")
    path = tmp_path / "s"
    plan = PredictPlan(job_id="job_2", model_version_id="v", folder="model", socket=str(path))
    files.write_json(directory.plan, plan.model_dump())
    process = start(directory, "kargah.workers.predict")
    while not any(event.kind in ("Running", "Failed") for event in events_of(directory)):
        assert process.poll() is None
        time.sleep(0.05)
    answers = ask(
        path,
        {"id": 1, "inputs": ["خیلی خوب بود", {"text": "افتضاح"}]},
        {"id": 2, "inputs": ["خوب", {"nothing": 1}]},
        {"id": 3, "inputs": []},
        {"id": 4, "inputs": "not a list"},
    )
    assert {tuple(answer) for answer in answers[1]["outputs"]} == {("label", "score", "scores")}
    assert abs(sum(answers[1]["outputs"][0]["scores"].values()) - 1) < 1e-6
    assert answers[2]["error"] == {"code": "INPUT_MISSING", "params": {"field": "inputs[1].text", "index": 1, "missing": "text"}}
    assert answers[3]["outputs"] == []
    assert answers[4]["error"]["code"] == "BAD_INPUT"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert events_of(directory)[-1].kind == "Stopped"
    assert not path.exists()
