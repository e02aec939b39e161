"""Every door to the queue, to checkpoints and to another try: HTTP, the SDK and the terminal say and do the same."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.server import Server

from kargah.client import JobEnded, Kargah, Refused
from kargah.contract.plans import TrainPlan
from kargah.jobs.tables import Job
from kargah.store.database import Database, sqlite_url

LATER = "2099-01-01T00:00:00+00:00"


@pytest.fixture
def kargah(server: Server) -> Iterator[Kargah]:
    with Kargah(server.url, server.token, language="en") as client:
        yield client


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Any:
    """``shell("queue")`` is ``kargah jobs queue`` as the admin."""

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KARGAH_", "XDG_"))}
    environment |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str, group: str = "jobs", status: int = 0) -> str:
        command = [sys.executable, "-m", "kargah", "--language", "en", group, *arguments, "--server", server.url, "--token", server.token]
        ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert ended.returncode == status, ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr
        return ended.stdout if status == 0 else ended.stderr

    return run


@pytest.fixture
def line(kargah: Kargah, finished_job: dict[str, Any]) -> str:
    return kargah.datasets.list(query="x, y").items[0].id


@pytest.fixture(scope="module")
def trained(server: Server, finished_job: dict[str, Any]) -> str:
    """A training that is over and has left checkpoints."""
    with Kargah(server.url, server.token) as client:
        dataset = client.datasets.list(query="x, y").items[0]
        spec = {"epochs": 12, "batch_size": 16, "checkpoint_steps": 5, "keep_checkpoints": 3, "baselines": False}
        started = client.trainings.start(datasets=[dataset.id], spec=spec, title="با نقطهٔ بازگشت")
        return client.jobs.wait(started.job.id).id


def test_a_job_is_moved_in_the_line_through_every_door(http: httpx.Client, kargah: Kargah, shell: Any, line: str) -> None:
    mine = [kargah.trainings.start(datasets=[line], terms={"not_before": LATER}).job.id for _ in range(3)]

    def order() -> list[str]:
        seen = [job["id"] for job in http.get("/api/v1/jobs/queue").raise_for_status().json()]
        assert seen == [job.id for job in kargah.jobs.queue()]
        return [mine.index(one) for one in seen if one in mine]

    try:
        assert order() == [0, 1, 2]
        http.post(f"/api/v1/jobs/{mine[2]}/move", json={"to": "first"}).raise_for_status()
        assert order() == [2, 0, 1]
        kargah.jobs.move(mine[2], "down")
        assert order() == [0, 2, 1]
        shell("move", mine[0], "last")
        assert order() == [2, 1, 0]
        assert [mine.index(job["id"]) for job in json.loads(shell("queue", "--json")) if job["id"] in mine] == [2, 1, 0]
        shell("move", mine[0], "--priority", "5")
        assert order() == [0, 2, 1]
        assert http.get(f"/api/v1/jobs/{mine[0]}").json()["priority"] == 5
    finally:
        for job_id in mine:
            kargah.jobs.stop(job_id)
    gone = http.post(f"/api/v1/jobs/{mine[0]}/move", json={"to": "first"})
    assert (gone.status_code, gone.json()["code"]) == (409, "NOT_QUEUED")


def test_terms_are_taken_kept_and_refused_by_their_place(http: httpx.Client, kargah: Kargah, line: str) -> None:
    terms = {"not_before": LATER, "deadline": "2099-02-01T00:00:00+00:00", "retry": {"max_attempts": 2}, "time_limit_seconds": 60}
    job = kargah.trainings.start(datasets=[line], terms=terms, priority=-3).job
    shown = http.get(f"/api/v1/jobs/{job.id}").json()
    assert shown["priority"] == -3 and shown["terms"]["retry"]["max_attempts"] == 2 and shown["terms"]["time_limit_seconds"] == 60
    assert shown["waiting"]["code"] == "NOT_BEFORE"
    assert kargah.jobs.stop(job.id).state == "STOPPED"
    bad = http.post("/api/v1/trainings", json={"datasets": [line], "terms": {"time_limit_seconds": -1}})
    assert bad.status_code == 422 and "time_limit_seconds" in bad.text


def test_one_that_waits_for_its_turn_is_told_what_comes_before_it_through_every_door(
    http: httpx.Client, kargah: Kargah, shell: Any, line: str
) -> None:
    more_than_any_machine_has = {"memory_bytes": 1 << 49}
    mine = [kargah.trainings.start(datasets=[line], terms=more_than_any_machine_has, priority=-9).job.id for _ in range(3)]
    try:
        while not str((http.get(f"/api/v1/jobs/{mine[0]}").json()["waiting"] or {}).get("code")).startswith("MEMORY_BUSY"):
            time.sleep(0.05)
        assert kargah.jobs.outlook(mine[0]) is None  # there are cores for it, and its own reason to wait is told with it
        told = kargah.jobs.outlook(mine[-1])
        assert told is not None and told["code"] in {"outlook.ahead", "outlook.ahead_about"} and told["ahead"] == 2
        assert "2 trainings come before it" in shell("show", mine[-1])
    finally:
        for job_id in mine:
            kargah.jobs.stop(job_id)
    assert http.get(f"/api/v1/jobs/{mine[-1]}/outlook").raise_for_status().json() is None


def test_checkpoints_are_listed_taken_and_removed_through_every_door(
    http: httpx.Client, kargah: Kargah, shell: Any, trained: str, tmp_path: Path
) -> None:
    listed = http.get(f"/api/v1/jobs/{trained}/checkpoints").raise_for_status().json()
    names = [checkpoint["name"] for checkpoint in listed]
    assert len(names) >= 3 and listed[0]["newest"]
    assert names == [checkpoint["name"] for checkpoint in kargah.checkpoints.list(trained)]
    assert names == [checkpoint["name"] for checkpoint in json.loads(shell("list", trained, "--json", group="checkpoints"))]

    content = http.get(f"/api/v1/jobs/{trained}/checkpoints/{names[0]}/zip").raise_for_status().content
    by_sdk = kargah.checkpoints.download(trained, names[0], tmp_path / "sdk.zip")
    shell("download", trained, names[0], "--output", str(tmp_path / "cli.zip"), group="checkpoints")
    inside = [sorted(zipfile.ZipFile(path).namelist()) for path in (by_sdk, tmp_path / "cli.zip")]
    assert inside[0] == inside[1] and any(name.endswith("model.safetensors") for name in inside[0])
    assert len(content) == by_sdk.stat().st_size

    assets = {
        one["place"]: one["id"]
        for one in kargah.transport.json("GET", "/api/v1/assets?kind=checkpoint")["items"]
        if one["job_id"] == trained
    }
    assert sorted(assets) == sorted(names), "a record for each that stands, and none for those that the training pruned"
    documented = [http.get(f"/api/{path}").json()["data"] for path in ("assets/list/checkpoints", "training/assets")]
    assert all(set(assets.values()) <= {one["id"] for one in data} for data in documented)
    assert http.get(f"/api/assets/download/{assets[names[0]]}").content == content
    assert http.delete(f"/api/assets/{assets[names[1]]}").json()["ok"] is True
    assert names[1] not in [checkpoint["name"] for checkpoint in kargah.checkpoints.list(trained)]

    shell("delete", trained, names[-1], group="checkpoints")
    assert http.get(f"/api/v1/assets/{assets[names[-1]]}").status_code == 404, "it has no record any more"
    assert names[-1] not in [checkpoint["name"] for checkpoint in kargah.checkpoints.list(trained)]
    assert http.delete(f"/api/v1/jobs/{trained}/checkpoints/{names[-1]}").status_code == 404


def test_a_training_goes_on_from_a_checkpoint_with_other_settings_to_its_end(
    server: Server, kargah: Kargah, shell: Any, trained: str
) -> None:
    newest = kargah.checkpoints.list(trained)[0]
    said = shell("continue", trained, newest["name"], "--set", "learning_rate=0.001", "--set", "epochs=1", "--json", group="checkpoints")
    job = kargah.jobs.wait(json.loads(said)["job"]["id"])
    assert job.state == "COMPLETED"
    database = Database(sqlite_url(server.home / "kargah.db"))
    with database.read() as session:
        plan = TrainPlan.model_validate(session.get_one(Job, job.id).plan)
    database.close()
    assert plan.start_from is not None and (plan.start_from.job_id, plan.start_from.step) == (trained, newest["step"])
    assert (plan.spec["learning_rate"], plan.spec["epochs"]) == (0.001, 1.0)
    losses = [first_loss(kargah, one) for one in (trained, job.id)]
    assert losses[1] < losses[0]  # it began with what was learnt before


def first_loss(kargah: Kargah, job_id: str) -> float:
    return next(float(event.payload["metrics"]["loss"]) for event in kargah.jobs.events(job_id) if event.kind == "Step")


def test_a_failure_is_explained_and_tried_again_with_its_fix_through_every_door(
    http: httpx.Client, kargah: Kargah, shell: Any, line: str
) -> None:
    spec = {"epochs": 1000, "batch_size": 1, "baselines": False}
    failed = kargah.trainings.start(datasets=[line], spec=spec, terms={"time_limit_seconds": 0.5}).job.id
    with pytest.raises(JobEnded):
        kargah.jobs.wait(failed)
    told = http.get(f"/api/v1/jobs/{failed}/failure").raise_for_status().json()
    assert (told["code"], told["fix"]["terms"]) == ("TIME_LIMIT", {"time_limit_seconds": 1.0})
    assert told == {**kargah.checkpoints.failure(failed), "memory": told["memory"]}
    assert "time" in shell("failure", failed).lower()
    by_cli = json.loads(shell("retry", failed, "--with-fix", "--json"))["job"]["id"]
    by_sdk = kargah.checkpoints.retry(failed, with_fix=True).job.id
    by_http = http.post(f"/api/v1/jobs/{failed}/retry", json={"with_fix": True}).raise_for_status().json()["job"]["id"]
    for again in (by_cli, by_sdk, by_http):
        assert kargah.jobs.show(again).model_dump()["terms"]["time_limit_seconds"] == 1.0
        with suppress(Refused):  # it may have come to its limit as well
            kargah.jobs.stop(again)
