"""Evaluations by SDK, API, terminal and page against a real server: from a training that is not over yet to a verdict and its errors."""

import csv
import html
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.server import Server

from kargah.client import Kargah, Refused


@pytest.fixture(scope="module")
def evaluated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of the recommended model of a training that was under way when it was asked for."""
    table = tmp_path_factory.mktemp("data") / "sizes.csv"
    table.write_text(
        "اندازه,رده,source\n" + "".join(f"{size},{'بزرگ' if size > 60 else 'کوچک'},{'=a' if size % 2 else 'b'}\n" for size in range(30, 90))
    )
    with Kargah(server.url, server.token, language="en") as kargah:
        dataset = kargah.datasets.upload(table)
        spec = {"epochs": 2, "columns": {"target": "رده", "features": ["اندازه"]}}
        training = kargah.trainings.start(datasets=[dataset.id], recipe="tabular", spec=spec)
        waiting = kargah.evaluations.start(training.run_id, dataset.id, wait=False)
        assert (waiting["model_version_id"], waiting["job"]["state"]) == (None, "QUEUED")
        kargah.jobs.wait(waiting["job"]["id"])
        return {**kargah.evaluations.show(waiting["id"]), "versions": kargah.trainings.models(training.run_id)}


def done(folder: Path, server: Server, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KARGAH_", "COLUMNS"))} | {"HOME": str(folder)}
    command = [sys.executable, "-m", "kargah", "--language", "en", *arguments, "--server", server.url, "--token", server.token]
    ended = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


@pytest.fixture
def kargah(server: Server) -> Kargah:
    return Kargah(server.url, server.token, language="en")


def test_an_evaluation_queued_behind_a_training_measures_what_it_recommends_on_rows_it_did_not_learn(evaluated: dict[str, Any]) -> None:
    recommended = next(version for version in evaluated["versions"] if version.recommended)
    result = evaluated["result"]
    assert (evaluated["model_version_id"], evaluated["job"]["state"]) == (recommended.id, "COMPLETED")
    assert result["rows"] + result["left_out"]["taught"] == 60
    assert result["models"][0]["metrics"]["accuracy"]["value"] == pytest.approx(recommended.metrics["accuracy"])
    assert {part["column"] for part in result["models"][0]["slices"] if part["by"] == "column"} == {"source"}


def test_two_models_are_compared_and_errors_are_paged_searched_and_taken_away(
    server: Server, kargah: Kargah, evaluated: dict[str, Any], tmp_path: Path
) -> None:
    majority = next(version for version in evaluated["versions"] if version.family == "majority")
    network = next(version for version in evaluated["versions"] if version.family == "network")
    found = kargah.evaluations.start(majority.id, evaluated["dataset_id"], against=network.id, title="=1+1")
    told = found["result"]
    assert [model["version_id"] for model in told["models"]] == [majority.id, network.id]
    assert told["paired"]["verdict"] in {"first", "second", "none"}
    errors = told["models"][0]["errors"]
    assert errors == told["rows"] - round(told["models"][0]["metrics"]["accuracy"]["value"] * told["rows"]) > 1
    first = kargah.evaluations.errors(found["id"], limit=1)
    assert (len(first["rows"]), first["total"], first["next_cursor"]) == (1, errors, "1")
    number = first["rows"][0]["cells"]["row"]
    assert number - 1 + 30 == int(first["rows"][0]["cells"]["input"].partition("=")[2])
    searched = kargah.evaluations.errors(found["id"], contains=f"={number - 1 + 30}", column="input")
    assert [row["cells"]["row"] for row in searched["rows"]] == [number]
    path = kargah.evaluations.download_errors(found["id"], tmp_path / "errors.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert len(list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))) == errors
    lines = kargah.evaluations.download_errors(found["id"], tmp_path / "errors.jsonl", form="jsonl").read_text().splitlines()
    assert {json.loads(line)["row"] for line in lines} >= {number}
    alone = kargah.evaluations.start(network.id, evaluated["dataset_id"], title="alone")
    again = kargah.evaluations.compare(found["id"], alone["id"])
    assert (again["paired"], again["rows"], again["only_first"], again["only_second"]) == (told["paired"], told["rows"], 0, 0)
    assert "beside-verdict" in kargah.transport.send("GET", f"/evaluations/{found['id']}?beside={alone['id']}").text
    said = done(tmp_path, server, "compare-evaluations", found["id"], alone["id"])
    assert "is better than" in said or "No difference" in said
    with pytest.raises(Refused) as unlike:
        kargah.evaluations.compare(found["id"], alone["id"], other_model=1)
    assert unlike.value.reason == "NOT_FOUND"
    listed = kargah.evaluations.list(model=majority.model_id, dataset=evaluated["dataset_id"]).items
    assert {one["id"] for one in listed} >= {found["id"], evaluated["id"]}
    kargah.evaluations.delete(found["id"])
    with pytest.raises(Refused) as refusal:
        kargah.evaluations.show(found["id"])
    assert refusal.value.http_status == 404


def test_the_terminal_measures_compares_and_saves_errors(server: Server, evaluated: dict[str, Any], tmp_path: Path) -> None:
    one, other = evaluated["versions"][0].id, evaluated["versions"][-1].id
    said = done(tmp_path, server, "evaluate", one, evaluated["dataset_id"], "--against", other, "--by", "source", "--errors", "errors.csv")
    assert "Accuracy" in said
    assert "is better than" in said or "No difference" in said
    assert (tmp_path / "errors.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    told = json.loads(done(tmp_path, server, "evaluate", one, evaluated["dataset_id"], "--json"))
    assert told["result"]["models"][0]["version_id"] == one


def test_the_page_shows_the_errors_that_are_looked_for_and_refuses_in_words(server: Server, evaluated: dict[str, Any]) -> None:
    client = server.client()
    page = client.get(f"/evaluations/{evaluated['id']}?q=zzz&column=input").text
    assert "No such errors" in page
    assert "calibration" in page
    assert client.get("/api/v1/evaluations/ev_none/errors").status_code == 404
    answer = client.post(
        "/api/v1/evaluations", json={"model": evaluated["model_version_id"], "dataset": evaluated["dataset_id"], "part": "test"}
    )
    assert (answer.status_code, answer.json()["code"], answer.json()["params"]["field"]) == (422, "EVALUATION_PART_MISSING", "part")


def test_columns_and_slices_are_chosen_in_the_form_as_elsewhere(
    server: Server, kargah: Kargah, evaluated: dict[str, Any], tmp_path: Path
) -> None:
    """Of data that call the learnt column otherwise; without scripts the form shows their columns when asked to."""
    table = tmp_path / "other.csv"
    table.write_text(
        "طول,رده,منطقه\n"
        + "".join(f"{size},{'بزرگ' if size > 60 else 'کوچک'},{'شمال' if size % 3 else 'جنوب'}\n" for size in range(30, 90))
    )
    dataset = kargah.datasets.upload(table)
    client, network = server.client(), next(one for one in evaluated["versions"] if one.family == "network")
    asked = {"model": network.id, "dataset": dataset.id}
    page = client.get("/evaluations/new", params={**asked, "changed": "dataset"}).text
    assert 'name="slice" value="منطقه"' in page
    assert 'name="column.target"' in page
    refused = client.post("/evaluations", data=asked)
    assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
    sent = client.post("/evaluations", data={**asked, "slices": "1", "slice": "منطقه", "column.features": "طول"})
    assert sent.status_code == 303, sent.text
    started = kargah.evaluations.show(sent.headers["location"].rpartition("/")[2])
    kargah.jobs.wait(started["job"]["id"])
    found = kargah.evaluations.show(started["id"])
    assert (found["columns"], found["slices"]) == ({"features": "طول"}, ["منطقه"])
    parts = [part for part in found["result"]["models"][0]["slices"] if part["by"] == "column"]
    assert {(part["column"], part["value"]): part["rows"] for part in parts} == {("منطقه", "شمال"): 40, ("منطقه", "جنوب"): 20}
    same = html.unescape(client.get(f"/evaluations/{found['id']}").text)
    assert "--column 'features=طول'" in same
    assert "--by 'منطقه'" in same
    with pytest.raises(Refused) as refusal:
        kargah.evaluations.compare(evaluated["id"], found["id"])
    assert (refusal.value.reason, refusal.value.http_status) == ("EVALUATIONS_UNLIKE", 422)
