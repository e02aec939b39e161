"""Downloads by the documented routes, by the SDK and on the terminal, from a hub that is made for it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.hub_server import FakeHub, Fault, Repository
from support.server import Server

from kargah.client import JobEnded, Kargah

ASSET_FIELDS = {"id", "name", "kind", "size", "status", "source", "downloadedAt"}
MODEL = "HooshvareLab/albert-fa-zwnj-base-v2"


@pytest.fixture(autouse=True)
def well_again(hub: FakeHub) -> Iterator[None]:
    yield
    hub.always, hub.bytes_per_second = None, None


def messages(http: httpx.Client, model: str) -> Iterator[dict[str, Any]]:
    with http.stream("GET", "/api/models/download/progress", params={"modelId": model}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def offered(http: httpx.Client, model: str = MODEL) -> dict[str, Any]:
    data = http.get("/api/catalog/models").json()["data"]
    assert all(set(one) == ASSET_FIELDS for one in data)
    found: dict[str, Any] = next(one for one in data if one["id"] == model)
    return found


def start(http: httpx.Client, model: str) -> httpx.Response:
    return http.post("/api/models/download/start", json={"modelId": model})


def test_the_documented_life_of_a_download(http: httpx.Client, hub: FakeHub, server: Server) -> None:
    before = offered(http)
    assert (before["status"], before["source"], before["downloadedAt"], before["kind"]) == ("available", "HuggingFace", None, "model")
    hub.always = Fault(status=500)
    began = start(http, "albert-fa-zwnj-base-v2").json()
    assert (began["ok"], began["started"], began["modelId"]) == (True, True, "albert-fa-zwnj-base-v2")
    assert offered(http)["status"] == "downloading"
    for second in (MODEL, "HooshvareLab/gpt2-fa"):
        refused = start(http, second)
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    told = list(messages(http, MODEL))
    assert [one["status"] for one in told if one["status"] != "downloading"] == ["error"], "one end, and it is the last"
    assert "did not answer" in told[-1]["message"]
    assert offered(http)["status"] == "error"

    hub.always, hub.bytes_per_second = None, 4_000_000
    again = start(http, MODEL).json()
    assert again["started"]
    told = list(messages(http, MODEL))
    assert {"modelId", "status", "progress", "bytesDownloaded", "totalBytes"} <= set(told[0])
    percents = [one["progress"] for one in told]
    assert percents == sorted(percents)
    assert (told[-1]["status"], told[-1]["progress"]) == ("done", 100)
    assert told[-1]["bytesDownloaded"] == told[-1]["totalBytes"] > 3_000_000
    assert [one["status"] for one in messages(http, MODEL)] == ["done"], "a late subscriber gets the present state at once"
    after = offered(http)
    assert (after["status"], after["size"] > 3_000_000, after["downloadedAt"] is not None) == ("ready", True, True)
    assert start(http, MODEL).json()["started"] is False
    assets = http.get("/api/training/assets").json()["data"]
    mine = next(one for one in assets if one["name"] == "albert-fa-zwnj-base-v2")
    assert (set(mine), mine["status"], mine["source"]) == (ASSET_FIELDS, "ready", "HuggingFace")
    version = http.get(f"/api/v1/models/{mine['id']}/version").json()
    assert (version["family"], version["detail"]["hub"]["repository"]) == ("base", MODEL)
    bases = http.get("/api/v1/models", params={"source": "local"}).json()["items"]
    assert version["model_id"] in {model["id"] for model in bases}, "it is offered where a training is begun"


def test_what_is_not_in_the_catalogue_is_refused(http: httpx.Client) -> None:
    for model in ("nobody/nothing", "../../etc/passwd", "\u202emodel", "a b"):
        refused = start(http, model)
        assert (refused.status_code, refused.json()["ok"], refused.json()["error"]) == (400, False, "MODEL_NOT_ALLOWED"), model
    unknown = http.get("/api/models/download/progress", params={"modelId": "nobody/nothing"})
    assert (unknown.status_code, unknown.json()["error"]) == (400, "MODEL_NOT_ALLOWED")
    assert http.get("/api/models/download/progress", params={"modelId": "HooshvareLab/gpt2-fa"}).json()["error"] == "NOT_FOUND"
    assert http.get("/api/catalog/datasets").json()["data"][0]["kind"] == "dataset"


def test_the_sdk_gets_what_an_admin_has_allowed(server: Server, hub: FakeHub) -> None:
    with Kargah(server.url, server.token) as kargah:
        hub.repositories["somebody/own"] = hub.repositories[MODEL]
        kargah.models.allow("somebody/*")
        before = hub.sent_bytes
        got = kargah.models.get("somebody/own")
        assert (got["status"], got["model_id"] is not None) == ("ready", True)
        assert hub.sent_bytes - before <= 3_010_000
        assert kargah.models.get("somebody/own")["started"] is False
        found = {offer["entry"]["repository"]: offer for offer in kargah.models.catalogue(query="albert")}
        assert found[MODEL]["fit"] == "whole"
        with pytest.raises(JobEnded) as ended:
            kargah.models.get("somebody/missing")
        assert ended.value.error is not None
        assert ended.value.error["code"] == "NOT_ON_HUB"


def test_a_newer_commit_becomes_the_next_version_and_only_what_is_new_comes(server: Server, hub: FakeHub) -> None:
    with Kargah(server.url, server.token) as kargah:
        hub.repositories["somebody/moving"] = Repository(dict(hub.repositories[MODEL].files))
        kargah.models.allow("somebody/moving")
        first = kargah.models.get("somebody/moving")
        same = kargah.models.get("somebody/moving", update=True)
        assert (same["model_id"], same["job"]["result"]) == (first["model_id"], first["job"]["result"])
        hub.repositories["somebody/moving"].files["tokenizer_config.json"] = b'{"model_max_length": 512}'
        before = hub.sent_bytes
        newer = kargah.models.get("somebody/moving", update=True)
        assert (newer["model_id"], newer["started"]) == (first["model_id"], False)
        assert hub.sent_bytes - before < 100_000, "the tokenizer of three megabytes is here"
        model = kargah.transport.json("GET", f"/api/v1/models/{first['model_id']}")
        assert [version["number"] for version in model["versions"]] == [2, 1]
        assert model["versions"][0]["detail"]["hub"]["commit"] == newer["commit_id"] != first["commit_id"]
        del hub.repositories["somebody/moving"]
        with pytest.raises(JobEnded):
            kargah.models.get("somebody/moving", update=True)
        assert kargah.models.get("somebody/moving")["status"] == "ready", "an update that came to nothing leaves what was there"


def test_a_download_is_a_job_that_is_paused_resumed_and_stopped(http: httpx.Client, hub: FakeHub) -> None:
    hub.repositories["somebody/slow"] = hub.repositories[MODEL]
    http.post("/api/v1/catalogue/allowed", json={"pattern": "somebody/slow"})
    hub.bytes_per_second = 100_000
    made = http.post("/api/v1/downloads", json={"repository": "somebody/slow", "bytes_per_second": 200_000}).json()

    def state(wanted: str) -> dict[str, Any]:
        while (found := http.get(f"/api/v1/downloads/{made['id']}").json())["job"]["state"] != wanted:
            assert found["status"] == "downloading", found
        return dict(found)

    state("RUNNING")
    http.post(f"/api/v1/jobs/{made['job']['id']}/pause").raise_for_status()
    state("PAUSED")
    http.post(f"/api/v1/jobs/{made['job']['id']}/resume").raise_for_status()
    state("RUNNING")
    http.post(f"/api/v1/jobs/{made['job']['id']}/stop").raise_for_status()
    told = list(messages(http, "somebody/slow"))
    assert (told[-1]["status"], told[-1]["message"]) == ("error", "The download was stopped.")
