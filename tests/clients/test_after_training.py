"""What a finished training is good for afterwards: the same once more, and a script that trains without Kargah."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import Server

from kargah.client import Kargah, Refused, Training

GOOD, BAD = ("خوب", "عالی", "زیبا"), ("بد", "زشت", "خراب")


@pytest.fixture(scope="module")
def kargah(server: Server) -> Iterator[Kargah]:
    with Kargah(server.url, server.token, language="en") as client:
        yield client


@pytest.fixture(scope="module")
def texts(kargah: Kargah, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "moods.csv"
    rows = [f"این {(GOOD if number % 2 else BAD)[number % 3]} بود {number},{'خوب' if number % 2 else 'بد'}" for number in range(60)]
    path.write_text("\n".join(["متن,برچسب", *rows]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(kargah: Kargah, texts: Path) -> Training:
    dataset = kargah.datasets.upload(texts)
    spec = {"preset": "bag", "epochs": 4, "vocab_size": 600, "learning_rate": 0.01}
    training = kargah.trainings.start(datasets=[dataset.id], recipe="text-classification", spec=spec, title="حال")
    kargah.jobs.wait(training.job.id)
    return training


def test_a_run_done_once_more_has_the_same_weights_and_figures(kargah: Kargah, trained: Training) -> None:
    again = kargah.runs.reproduce(trained.run_id)
    kargah.jobs.wait(again.job.id)
    found = kargah.runs.reproduction(again.run_id)
    assert (found["of_run_id"], found["same"], found["reasons"]) == (trained.run_id, True, [])
    assert {(model["name"], model["weights_same"]) for model in found["models"]} == {("model", True), ("linear", True), ("majority", True)}
    with pytest.raises(Refused) as refused:
        kargah.runs.reproduction(trained.run_id)
    assert refused.value.http_status == 404


def test_the_card_tells_what_a_model_was_made_of_and_with(kargah: Kargah, trained: Training) -> None:
    version = next(one for one in kargah.trainings.models(trained.run_id) if one.name == "model")
    card = kargah.transport.send("GET", f"/api/v1/models/{version.id}/files/README.md").text
    plan = kargah.transport.json("GET", f"/api/v1/models/{version.id}/files/plan.json")
    hashes = [file["sha256"] for file in plan["inputs"]]
    assert len(hashes) == 2
    for fact in (trained.job.id, "Seed: `42`", "Threads: `1`", "text-classification 1", "torch 2.", *hashes):
        assert fact in card


def test_a_run_that_did_not_end_well_is_not_reproduced(kargah: Kargah, finished_job: dict[str, Any]) -> None:
    dataset = kargah.datasets.list(query="x, y").items[0]
    waiting = kargah.trainings.start(datasets=[dataset.id], terms={"not_before": "2099-01-01T00:00:00Z"})
    with pytest.raises(Refused) as refused:
        kargah.runs.reproduce(waiting.run_id)
    assert refused.value.reason == "NOTHING_TO_REPRODUCE"
    kargah.jobs.stop(waiting.job.id)


def test_a_run_as_a_script_trains_on_the_same_file_by_itself(kargah: Kargah, trained: Training, texts: Path, tmp_path: Path) -> None:
    script = kargah.runs.script(trained.run_id, tmp_path / "mood.py")
    said = script.read_text(encoding="utf-8")
    assert f"RUN = '{trained.run_id}'" in said
    assert "EPOCHS = 4.0" in said
    assert "PRESET = 'bag'" in said
    done = subprocess.run([sys.executable, script, texts], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "54 rows to train, 6 held out" in done.stdout
    assert (tmp_path / "model.pt").stat().st_size > 1000


def test_where_there_is_no_script_the_reason_is_said(kargah: Kargah, finished_job: dict[str, Any], tmp_path: Path) -> None:
    run = kargah.transport.json("GET", f"/api/v1/jobs/{finished_job['job_id']}/run")
    with pytest.raises(Refused) as refused:
        kargah.runs.script(run["id"], tmp_path / "none.py")
    assert refused.value.reason == "NO_SCRIPT"
    assert "tabular" in refused.value.detail
    assert not (tmp_path / "none.py").exists()
