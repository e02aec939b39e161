"""Every literal exchange of the documented HTTP contract that is owed so far, against a running server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.server import EMAIL, NAME, PASSWORD, TERMINAL, Server, wait_for

ROOT = Path(__file__).parents[2]
STATUS_FIELDS = {
    "job_id", "status", "progress", "epoch", "step", "total_steps", "loss", "message", "pid", "checkpoint", "created_at", "finished_at",
    "simulation",
}  # fmt: skip
ANALYSIS_FIELDS = {
    "id", "runId", "jobId", "status", "baseModel", "datasets", "teacherModel", "epoch", "trainLoss", "valLoss", "accuracy", "throughput",
    "bestCheckpoint", "lastCheckpoint", "startedAt", "finishedAt", "progress",
}  # fmt: skip
TRAIN = {"epochs": 3, "batch_size": 16, "lr": 0.01}
LONG = {"epochs": 1000, "batch_size": 1, "lr": 0.001}


def refusal(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["ok"], body["error"]) == (status, False, code), answer.text
    assert body["message"] and body["message"] != code
    return body


# Health and accounts


def test_health_is_open_to_all(server: Server) -> None:
    answer = server.client(None).get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert (body["ok"], body["service"], body["version"]) == (True, "kargah", "0.1.0")
    assert body["uptime"] > 0
    assert server.client(None).get("/api/health").json()["checks"]["database"] is True


def test_the_first_account_is_an_active_admin(http: httpx.Client) -> None:
    body = http.get("/api/auth/me").json()
    assert body["ok"] is True
    assert {name: body["user"][name] for name in ("email", "name", "role", "status")} == {
        "email": EMAIL,
        "name": NAME,
        "role": "admin",
        "status": "active",
    }


def test_registering_answers_with_a_token_and_the_user(server: Server) -> None:
    form = {"email": "trainer@example.org", "password": "a long enough phrase", "name": "رضا"}
    answer = server.client(None).post("/api/auth/register", json=form)
    body = answer.json()
    assert answer.status_code == 201
    assert body["ok"] is True
    assert set(body["user"]) == {"id", "email", "name", "role", "status"}
    assert (body["user"]["role"], body["user"]["status"]) == ("trainer", "active")
    assert server.client(body["token"]).get("/api/auth/me").json()["user"]["id"] == body["user"]["id"]


def test_a_taken_address_and_a_weak_password_are_refused(server: Server) -> None:
    client = server.client(None)
    taken = {"email": EMAIL.upper(), "password": "a long enough phrase", "name": "x"}
    refusal(client.post("/api/auth/register", json=taken), 409, "EMAIL_TAKEN")
    refusal(client.post("/api/auth/register", json={**taken, "email": "weak@example.org", "password": "12345"}), 422, "WEAK_PASSWORD")


def test_logging_in_gives_a_token_until_logging_out(server: Server) -> None:
    answer = server.client(None).post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200
    client = server.client(answer.json()["token"])
    assert client.get("/api/auth/me").status_code == 200
    assert client.post("/api/auth/logout").json()["ok"] is True
    refusal(client.get("/api/auth/me"), 401, "BAD_TOKEN")


def test_a_wrong_password_and_an_unknown_address_look_the_same(server: Server) -> None:
    client = server.client(None)
    wrong = refusal(client.post("/api/auth/login", json={"email": EMAIL, "password": "wrong"}), 401, "BAD_CREDENTIALS")
    unknown = refusal(client.post("/api/auth/login", json={"email": "no@example.org", "password": "wrong"}), 401, "BAD_CREDENTIALS")
    assert wrong == unknown


PROTECTED = ["/api/auth/me", "/api/train/jobs", "/api/lifecycle/jobs", "/api/datasets/list", "/api/datasets", "/api/analysis/training/jobs"]


@pytest.mark.parametrize("path", PROTECTED)
def test_without_a_token_or_with_a_bad_one_there_is_no_answer(server: Server, path: str) -> None:
    refusal(server.client(None).get(path), 401, "LOGIN_REQUIRED")
    refusal(server.client("not-a-token").get(path), 401, "BAD_TOKEN")


def test_a_viewer_reads_but_starts_nothing(server: Server, viewer_token: str, finished_job: dict[str, Any]) -> None:
    viewer = server.client(viewer_token)
    assert viewer.get("/api/train/status", params={"job_id": finished_job["job_id"]}).status_code == 200
    refusal(viewer.post("/api/train", json=TRAIN), 403, "FORBIDDEN")
    refusal(viewer.post("/api/train/stop", json={"job_id": finished_job["job_id"]}), 403, "FORBIDDEN")
    refusal(viewer.post("/api/datasets/upload", files={"file": ("a.csv", b"x,y\n1,2\n")}), 403, "FORBIDDEN")


@pytest.fixture(scope="module")
def viewer_token(server: Server) -> str:
    """Made by the machine's owner on the terminal, as an admin would."""
    command = [sys.executable, "-m", "kargah", "users", "add", "viewer@example.org", "--role", "viewer", "--home", str(server.home)]
    subprocess.run(command, check=True, env={**os.environ, "KARGAH_PASSWORD": "only looking around"})
    form = {"email": "viewer@example.org", "password": "only looking around"}
    token: str = server.client(None).post("/api/auth/login", json=form).json()["token"]
    return token


def test_refusals_speak_the_callers_language(server: Server) -> None:
    persian = server.client(None).get("/api/auth/me", headers={"Accept-Language": "fa"}).json()["message"]
    english = server.client(None).get("/api/auth/me", headers={"Accept-Language": "en"}).json()["message"]
    assert persian != english
    assert any("\u0600" <= letter <= "\u06ff" for letter in persian)


# Training


def test_a_training_without_data_learns_the_bundled_table_to_the_end(finished_job: dict[str, Any]) -> None:
    assert set(finished_job) == STATUS_FIELDS
    assert finished_job["status"] == "COMPLETED"
    assert finished_job["progress"] == 100.0
    assert finished_job["step"] == finished_job["total_steps"] > 0
    assert finished_job["epoch"] == 3
    assert isinstance(finished_job["loss"], float)
    assert finished_job["simulation"] is False
    assert finished_job["finished_at"] > finished_job["created_at"] > 1_700_000_000


def test_starting_answers_queued(http: httpx.Client) -> None:
    answer = http.post("/api/train", json={**TRAIN, "dry_run": True, "name": "آزمایشی"})
    body = answer.json()
    assert answer.status_code == 200
    assert body == {"ok": True, "job_id": body["job_id"], "pid": None, "status": "QUEUED"}
    assert body["job_id"].startswith("job_")
    status = wait_for(http, body["job_id"], TERMINAL)
    assert (status["status"], status["simulation"]) == ("COMPLETED", True)


def test_stop_ends_a_running_training_and_its_stream(http: httpx.Client) -> None:
    job_id = http.post("/api/train", json=LONG).json()["job_id"]
    running = wait_for(http, job_id, {"RUNNING"})
    assert running["pid"] > 0
    answer = http.post("/api/train/stop", json={"job_id": job_id}).json()
    assert answer == {"ok": True, "job_id": job_id, "status": "STOPPING"}
    events = list(stream(http, job_id))
    assert events[-1][1] == "status"
    assert events[-1][2]["status"] == "STOPPED"
    assert wait_for(http, job_id, {"STOPPED"})["pid"] is None
    refusal(http.post(f"/api/lifecycle/jobs/{job_id}/control", json={"action": "resume"}), 409, "ILLEGAL_MOVE")


def test_the_job_list_shows_the_newest_first(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    body = http.get("/api/train/jobs").json()
    assert body["ok"] is True
    times = [job["created_at"] for job in body["data"]]
    assert times == sorted(times, reverse=True)
    assert finished_job["job_id"] in [job["job_id"] for job in body["data"]]
    assert all(set(job) == STATUS_FIELDS for job in body["data"])


def test_an_unknown_job_or_data_set_is_not_found(http: httpx.Client) -> None:
    refusal(http.get("/api/train/status", params={"job_id": "job_none"}), 404, "NOT_FOUND")
    refusal(http.post("/api/train/stop", json={"job_id": "job_none"}), 404, "NOT_FOUND")
    refusal(http.get("/api/lifecycle/jobs/job_none/stream"), 404, "NOT_FOUND")
    refusal(http.get("/api/analysis/training/status/run_none"), 404, "NOT_FOUND")
    refusal(http.post("/api/train", json={**TRAIN, "dataset": "ds_none"}), 404, "NOT_FOUND")


@pytest.mark.parametrize("change", [{"epochs": -1}, {"batch_size": "many"}, {"lr": 0}, {"epochs": 1e9}, {"task": "magic"}])
def test_impossible_settings_are_refused_by_name(http: httpx.Client, change: dict[str, Any]) -> None:
    answer = http.post("/api/train", json={**TRAIN, **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["ok"] is False


# Life cycle


def stream(client: httpx.Client, job_id: str, last_event_id: str | None = None) -> Any:
    """(id, event, data) of the documented stream, until the server closes it."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
    with client.stream("GET", f"/api/lifecycle/jobs/{job_id}/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])
                fields = {}


def test_lifecycle_jobs_are_created_listed_and_shown(http: httpx.Client) -> None:
    created = http.post("/api/lifecycle/jobs", json=LONG).json()
    assert created["ok"] is True
    assert set(created["data"]) == STATUS_FIELDS
    job_id = created["job_id"]
    assert http.get(f"/api/lifecycle/jobs/{job_id}").json()["data"]["job_id"] == job_id
    assert job_id in [job["job_id"] for job in http.get("/api/lifecycle/jobs").json()["data"]]
    wait_for(http, job_id, {"RUNNING"}, at_step=1)
    paused = http.post(f"/api/lifecycle/jobs/{job_id}/control", json={"action": "pause"}).json()
    assert paused["status"] == "PAUSING"
    at_rest = wait_for(http, job_id, {"PAUSED"})
    assert at_rest["checkpoint"] is not None
    resumed = http.post(f"/api/lifecycle/jobs/{job_id}/control", json={"action": "resume"}).json()
    assert resumed["status"] in {"QUEUED", "STARTING"}, "an idle agent may have taken it before the answer was written"
    again = wait_for(http, job_id, {"RUNNING"})
    assert again["pid"] != at_rest["pid"]
    assert http.post(f"/api/lifecycle/jobs/{job_id}/control", json={"action": "stop"}).json()["status"] == "STOPPING"
    wait_for(http, job_id, {"STOPPED"})


def test_the_stream_tells_the_whole_story_and_ends(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    events = list(stream(http, finished_job["job_id"]))
    assert {name for _, name, _ in events} >= {"status", "metric"}
    told = [data["status"] for _, name, data in events[1:] if name == "status"]
    assert told[0] == "QUEUED"
    assert told[-1] == "COMPLETED"
    steps = [data["step"] for _, name, data in events if name == "metric" and "loss" in data]
    assert steps == list(range(1, finished_job["total_steps"] + 1))
    positions = [int(place) for place, _, _ in events]
    assert positions == sorted(positions)


def test_a_broken_stream_goes_on_after_the_last_event_id(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    whole = list(stream(http, finished_job["job_id"]))
    middle = len(whole) // 2
    rest = list(stream(http, finished_job["job_id"], last_event_id=whole[middle][0]))
    assert [(place, name) for place, name, _ in rest[1:]] == [
        (place, name) for place, name, _ in whole if int(place) > int(whole[middle][0])
    ]
    at_end = list(stream(http, finished_job["job_id"], last_event_id=whole[-1][0]))
    assert [data["status"] for _, _, data in at_end] == ["COMPLETED"]


def test_control_refuses_moves_that_the_state_does_not_allow(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    path = f"/api/lifecycle/jobs/{finished_job['job_id']}/control"
    for action in ("pause", "resume", "stop"):
        refusal(http.post(path, json={"action": action}), 409, "ILLEGAL_MOVE")
    assert http.post(path, json={"action": "explode"}).status_code == 422


def test_artifacts_have_size_and_hash(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    body = http.get(f"/api/lifecycle/artifacts/{finished_job['job_id']}").json()
    assert body["ok"] is True
    assert "model/model.safetensors" in [file["name"] for file in body["data"]]
    for file in body["data"]:
        assert file["size"] >= 0
        assert len(file["sha256"]) == 64


# Data sets

REVIEWS = "متن,برچسب\n" + "".join(f"{'خیلی خوب بود' if n % 2 else 'اصلاً خوب نبود'} {n},{'خوب' if n % 2 else 'بد'}\n" for n in range(60))


@pytest.fixture(scope="module")
def dataset(server: Server) -> dict[str, Any]:
    answer = server.client().post("/api/datasets/upload", files={"file": ("reviews.csv", REVIEWS.encode())})
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_an_upload_answers_with_its_report(dataset: dict[str, Any]) -> None:
    assert (dataset["name"], dataset["rows"], dataset["columns"]) == ("reviews", 60, ["متن", "برچسب"])
    assert dataset["report"]["rows"] == 60


def test_an_upload_that_is_no_table_is_refused_with_the_reason(http: httpx.Client) -> None:
    refusal(http.post("/api/datasets/upload", files={"file": ("empty.csv", b"")}), 422, "EMPTY_FILE")
    assert http.post("/api/datasets/upload", data={"name": "x"}).status_code == 400


def test_preview_validation_and_statistics(http: httpx.Client, dataset: dict[str, Any]) -> None:
    preview = http.get(f"/api/datasets/{dataset['id']}/preview").json()["data"]
    assert preview["rows"][1] == {"متن": "خیلی خوب بود 1", "برچسب": "خوب"}
    assert preview["total"] == 60
    validation = http.get(f"/api/datasets/{dataset['id']}/validate").json()["data"]
    assert validation["valid"] is True
    assert all(problem["message"] for problem in validation["problems"])
    stats = http.get(f"/api/datasets/{dataset['id']}/stats").json()["data"]
    assert (stats["rows"], stats["fields"]) == (60, 2)
    assert {label["value"]: label["count"] for label in stats["columns"][1]["top"]} == {"خوب": 30, "بد": 30}


def test_data_sets_are_listed_in_both_shapes(http: httpx.Client, dataset: dict[str, Any]) -> None:
    listed = {line["id"]: line for line in http.get("/api/datasets/list").json()["data"]}
    assert listed[dataset["id"]]["rows"] == 60
    assets = {line["id"]: line for line in http.get("/api/datasets").json()["data"]}
    asset = assets[dataset["id"]]
    assert set(asset) == {"id", "name", "kind", "size", "status", "source", "downloadedAt"}
    assert (asset["kind"], asset["status"]) == ("dataset", "ready")


# Analysis and prediction


def test_analysis_shows_the_run_with_its_history(http: httpx.Client, finished_job: dict[str, Any]) -> None:
    lines = {line["jobId"]: line for line in http.get("/api/analysis/training/jobs").json()["data"]}
    line = lines[finished_job["job_id"]]
    assert set(line) == ANALYSIS_FIELDS
    assert (line["status"], line["progress"], line["datasets"]) == ("COMPLETED", 100.0, ["x, y"])
    record = http.get(f"/api/analysis/training/status/{line['runId']}").json()["data"]
    assert set(record) == {"runId", "status", "progress", "metrics", "history", "logs"}
    assert [point["step"] for point in record["history"] if point["loss"] is not None] == list(range(1, finished_job["total_steps"] + 1))
    assert all(set(point) == {"step", "epoch", "loss", "val_loss", "accuracy", "throughput", "timestamp"} for point in record["history"])


def test_a_text_training_ends_in_a_model_that_answers(http: httpx.Client, dataset: dict[str, Any]) -> None:
    job_id = http.post("/api/train", json={"epochs": 2, "dataset": dataset["id"]}).json()["job_id"]
    wait_for(http, job_id, {"COMPLETED"})
    version = http.get(f"/api/v1/jobs/{job_id}").json()["result"]["model_version_id"]
    inputs = ["خیلی خوب بود", "اصلاً خوب نبود"]
    body = http.post(f"/api/v1/models/{version}/predict", json={"inputs": inputs}).json()
    assert body["model_version"] == version
    assert [output["label"] for output in body["outputs"]] == ["خوب", "بد"]
    assert all(abs(sum(output["scores"].values()) - 1) < 1e-5 for output in body["outputs"])


# The two scripts


def run_script(server: Server, name: str, *arguments: str, token: str | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KARGAH_SERVER": server.url, "KARGAH_TOKEN": token or server.token}
    return subprocess.run([str(ROOT / "scripts" / name), *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_quick_train_script_trains_to_the_end(server: Server) -> None:
    done = run_script(server, "quick_train.sh", "2", "16", "0.01")
    assert done.returncode == 0, done.stderr
    assert "COMPLETED 100" in done.stdout
    refused = run_script(server, "quick_train.sh", "2", "16", "0.01", token="bad")
    assert refused.returncode == 1
    assert "BAD_TOKEN" in refused.stdout + refused.stderr


def test_the_training_api_script_passes_every_step(server: Server) -> None:
    done = run_script(server, "test_training_api.sh")
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("ok    ") == 5
