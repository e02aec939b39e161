"""A trained model on its way to another Kargah, by the terminal: it answers there as it does at home."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.hub_server import FakeHub, Fault, fake_hub
from support.model_folders import make_folder
from support.server import Server, running_with_admin

from kargah.client import Kargah, Refused

HUB_MODEL = "HooshvareLab/albert-fa-zwnj-base-v2"
#: A program of huggingface_hub, which comes again while what it asks for is on its way.
THROUGH = """
import json, os, sys, time
from huggingface_hub import HfApi, hf_hub_url, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

repo, whole, api = os.environ["REPO"], open(os.environ["WHOLE"], "rb").read(), HfApi()
for _ in range(60):
    try:
        info = api.model_info(repo, files_metadata=True)
        break
    except HfHubHTTPError as error:
        assert error.response.status_code == 503, error
        time.sleep(1)
place = snapshot_download(repo)
with open(os.path.join(os.environ["HF_HOME"], "part"), "wb+") as part:
    part.write(whole[:1_000_000])
    http_get(hf_hub_url(repo, "tokenizer.json"), part, resume_size=1_000_000, headers=build_hf_headers(), expected_size=len(whole))
    part.seek(0)
    resumed = part.read() == whole
wrong = api.verify_repo_checksums(repo, local_dir=snapshot_download(repo, local_dir=os.path.join(os.environ["HF_HOME"], "taken")))
sys.stdout.write(json.dumps({"place": place, "resumed": resumed, "wrong": [*wrong.mismatches, *wrong.missing_paths],
                             "sizes": {file.rfilename: file.size for file in info.siblings}}))
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, hub: FakeHub, server: Server) -> Iterator[Server]:
    """A Kargah whose hubs are one of many and, behind that, another Kargah."""
    upstream = f"{server.url}/hub"
    settings = {"url_import_allow": json.dumps(["127.0.0.1"]), "hub_urls": json.dumps([hub.url, upstream]), "hub_cache": True}
    settings |= {"hub_token": server.token, "hub_token_url": upstream}
    with running_with_admin(tmp_path_factory.mktemp("other") / "home", job_threads=1, **settings) as running:
        yield running


def kargah(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kargah", "--language", "en", *arguments]
    environment = {**os.environ, "KARGAH_SERVER": server.url, "KARGAH_TOKEN": server.token}
    return subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=200)


def first_trained(home: Kargah, job: dict[str, Any]) -> dict[str, Any]:
    """The model that the training made, whatever else other tests have trained since."""
    made = (home.jobs.show(job["job_id"]).result or {})["model_version_id"]
    version = home.transport.json("GET", f"/api/v1/models/{made}/version")
    model: dict[str, Any] = home.transport.json("GET", f"/api/v1/models/{version['model_id']}")
    return model


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Numbers to 1e-5, all else exactly."""
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == (pytest.approx(value, abs=1e-5) if isinstance(value, float | list) else value), name


def test_a_trained_model_answers_elsewhere_as_at_home(server: Server, other: Server, finished_job: dict[str, Any], tmp_path: Path) -> None:
    with Kargah(server.url, server.token) as home, Kargah(other.url, other.token) as there:
        trained = first_trained(home, finished_job)
        version = next(one for one in trained["versions"] if one["family"] == "network")
        bundle = tmp_path / "model.kargah"
        exported = kargah(server, "bundle", "export", version["id"], "-o", str(bundle), "--datasets")
        assert exported.returncode == 0, exported.stderr
        asked = kargah(other, "bundle", "import", str(bundle))
        signer = home.bundles.signers()["own"]["fingerprint"]
        assert asked.returncode == 5
        assert signer in "".join(asked.stderr.split())
        imported = kargah(other, "bundle", "import", str(bundle), "--signer", signer, "--json")
        assert imported.returncode == 0, imported.stderr
        made = json.loads(imported.stdout)
        [brought] = made["model"]["versions"]
        assert (brought["metrics"], brought["files"]) == (version["metrics"], version["files"])
        [dataset] = made["datasets"]
        there.jobs.wait(dataset["job_id"])
        rows = there.transport.json("GET", f"/api/v1/datasets/{dataset['id']}/preview")["rows"][:5]
        same(home.models.predict(version["id"], rows).outputs, there.models.predict(brought["id"], rows).outputs)
        assert signer in kargah(other, "bundle", "key").stdout


def test_a_model_and_its_data_come_from_another_kargah_over_the_network(
    server: Server, other: Server, finished_job: dict[str, Any]
) -> None:
    with Kargah(server.url, server.token) as home, Kargah(other.url, other.token) as there:
        found = there.bundles.peer_items(server.url, server.token)
        shown = {one["id"] for one in found if one["kind"] == "model"}
        trained = first_trained(home, finished_job)
        version = next(one for one in trained["versions"] if one["id"] in shown)
        signer = home.bundles.signers()["own"]["fingerprint"]
        with fake_hub() as bad_link:
            bad_link.upstream = server.url
            bad_link.faults = [Fault(cut_after=100), Fault(status=503), Fault(wrong_size=True), Fault(flip_at=10)]
            made = there.bundles.fetch(bad_link.url, server.token, version["id"], signer=signer)
            job = there.jobs.wait(made["job"]["id"])
            assert bad_link.faults == []
        assert job.result is not None
        brought = there.transport.json("GET", f"/api/v1/models/{job.result['model_version_id']}/version")
        assert (brought["files"], brought["detail"]["bundle"]["id"]) == (version["files"], version["id"])
        learnt = home.datasets.list(query="x, y").items[0]
        [table] = [one for one in found if one["kind"] == "dataset" and one["title"] == learnt.title]
        data = there.bundles.fetch(server.url, server.token, table["id"], kind="dataset", title=table["title"])
        result = there.jobs.wait(data["job"]["id"]).result
        assert result is not None
        dataset = there.datasets.show(result["dataset_id"])
        there.jobs.wait(str(dataset.model_dump()["job_id"]))
        rows = there.transport.json("GET", f"/api/v1/datasets/{dataset.id}/preview")["rows"][:5]
        assert rows == home.transport.json("GET", f"/api/v1/datasets/{learnt.id}/preview")["rows"][:5]
        same(home.models.predict(version["id"], rows).outputs, there.models.predict(brought["id"], rows).outputs)
        assert [path.name for path in (other.home / "secrets").iterdir() if path.name.startswith("peer_")] == []
        said = "".join(path.read_text(errors="replace") for path in (other.home / "jobs").rglob("*.json*"))
        assert server.token not in said, "the token stands in no plan and no event"


def test_what_the_terminal_has_fetched_keeps_to_the_hours_that_were_written(
    server: Server, other: Server, finished_job: dict[str, Any]
) -> None:
    with Kargah(server.url, server.token) as home:
        version = first_trained(home, finished_job)["versions"][0]["id"]
        signer = home.bundles.signers()["own"]["fingerprint"]
    begins = datetime.now(UTC) + timedelta(hours=2)
    ends = begins + timedelta(hours=1)
    asked = ["bundle", "fetch", server.url, version, "--peer-token", server.token, "--signer", signer, "--json", "--hours"]
    refused = kargah(other, *asked, "by night")
    assert (refused.returncode, "22:00-06:00" in refused.stderr) == (2, True), refused.stderr
    begun = kargah(other, *asked, f"{begins:%H:%M}-{ends:%H:%M}")
    assert begun.returncode == 0, begun.stderr
    job = json.loads(begun.stdout)["job"]
    assert job["terms"]["window"] == {"start": f"{begins:%H:%M}:00", "end": f"{ends:%H:%M}:00", "zone": "UTC"}
    with Kargah(other.url, other.token) as there:
        there.transport.json("POST", f"/api/v1/jobs/{job['id']}/stop")


def test_only_a_kargah_that_an_admin_has_named_is_asked(server: Server, other: Server) -> None:
    refused_by = {
        "http://192.0.2.7:8420": "PEER_NOT_ALLOWED",
        "http://8.8.8.8": "PEER_NOT_ALLOWED",
        "http://169.254.169.254/": "PEER_NOT_ALLOWED",
        "http://[::1]:80": "PEER_NOT_ALLOWED",
        "file:///etc/passwd": "BAD_URL",
        "http://user:word@127.0.0.1/": "BAD_URL",
        "http://127.0.0.1:1": "PEER_UNREACHABLE",
    }
    with Kargah(other.url, other.token) as there:
        for url, code in refused_by.items():
            with pytest.raises(Refused) as listed:
                there.bundles.peer_items(url, "x")
            with pytest.raises(Refused) as fetched:
                there.bundles.fetch(url, "x", "mv_1")
            assert (listed.value.reason, fetched.value.reason) == (code, code), url
        with pytest.raises(Refused) as wrong:
            there.bundles.fetch(server.url, "wrong", "mv_1")
        assert wrong.value.reason == "PEER_REFUSED"


def fetched(server: Server, path: str) -> httpx.Response:
    """As a client that comes again when it is told to."""
    client = server.client()
    for _ in range(60):
        answer = client.get(path)
        if answer.status_code != 503:
            return answer
        assert answer.headers["Retry-After"] == "5"
        time.sleep(0.5)
    raise AssertionError(answer.text)


def test_what_is_not_here_is_fetched_from_the_hub_once_for_all_who_ask(server: Server, other: Server, hub: FakeHub) -> None:
    hub.always, hub.bytes_per_second = None, None
    content, before = hub.repositories[HUB_MODEL].files, len(hub.asked)
    with ThreadPoolExecutor(2) as both:
        told = list(both.map(lambda _: fetched(other, f"/hub/api/models/{HUB_MODEL}"), range(2)))
    assert [one.status_code for one in told] == [200, 200], [one.text for one in told]
    assert {file["rfilename"] for file in told[0].json()["siblings"]} == set(content)
    for path in ("config.json", "model.safetensors"):
        assert fetched(other, f"/hub/{HUB_MODEL}/resolve/main/{path}").content == content[path]
    asked = [path for path, *_ in hub.asked[before:] if path.endswith("/model.safetensors")]
    assert len(asked) == 1, "of two who asked at once, one was fetched for"
    for nowhere in ("nobody/nothing", "HooshvareLab/gpt2-fa"):
        refused = fetched(other, f"/hub/api/models/{nowhere}")
        assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RepoNotFound"), nowhere
    assert not any("nobody" in path for path, *_ in hub.asked)
    assert server.client().get("/hub/api/models/HooshvareLab/roberta-fa-zwnj-base").status_code == 404, "off unless it is switched on"


def test_huggingface_hub_downloads_from_a_second_kargah_through_the_first(server: Server, other: Server, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    (folder / "tokenizer.json").write_bytes(os.urandom(3_000_000))
    with Kargah(server.url, server.token) as home, Kargah(other.url, other.token) as cache:
        home.models.upload(folder, title="from afar")
        [repo] = [one["id"] for one in home.transport.json("GET", "/hub/api/models") if one["id"].endswith("/from-afar")]
        cache.models.allow(f"{repo.partition('/')[0]}/*")
        known = {"HF_ENDPOINT": f"{other.url}/hub", "HF_TOKEN": other.token, "HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
        environment = {**known, "REPO": repo, "WHOLE": str(folder / "tokenizer.json"), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, "-c", THROUGH], env={**environment, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}, capture_output=True, text=True,
            timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        said = json.loads(done.stdout.splitlines()[-1])
        came = [one for one in cache.transport.json("GET", "/api/v1/downloads")["items"] if one["repository"] == repo]
    assert (said["resumed"], said["wrong"]) == (True, [])
    assert said["sizes"].items() >= {path.name: path.stat().st_size for path in folder.iterdir()}.items()
    assert all((Path(said["place"]) / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())
    assert [one["status"] for one in came] == ["ready"], "it was fetched once, and is kept"
