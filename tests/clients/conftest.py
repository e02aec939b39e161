"""One real server for all tests of this folder, and one training that everybody may look at."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.hub_server import FakeHub, Repository, fake_hub
from support.model_folders import make_folder
from support.server import TERMINAL, Server, running_with_admin, wait_for

from kargah.datasets.bundled import SAMPLES

HUB_MODEL = "HooshvareLab/albert-fa-zwnj-base-v2"


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """What the server takes for the hub, with one small model."""
    folder = make_folder(tmp_path_factory.mktemp("hub") / "model")
    content = {path.name: path.read_bytes() for path in folder.iterdir()} | {"tokenizer.json": b" " * 3_000_000}
    with fake_hub(**{HUB_MODEL: Repository(content)}) as hub:
        yield hub


@pytest.fixture(scope="session")
def server(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    roots, allowed, hubs = json.dumps([str(SAMPLES)]), json.dumps(["127.0.0.1"]), json.dumps([hub.url])
    home = tmp_path_factory.mktemp("server") / "home"
    settings = {"job_threads": 1, "import_roots": roots, "url_import_allow": allowed, "hub_urls": hubs, "hub_patience_minutes": 0.02}
    settings["custom_scripts"] = "trainers"
    with running_with_admin(home, **settings) as running:
        yield running


@pytest.fixture
def http(server: Server) -> httpx.Client:
    """Speaks as the admin, in English."""
    return server.client()


@pytest.fixture(scope="session")
def finished_job(server: Server) -> dict[str, Any]:
    """The status object of the documented first training, at its end."""
    client = server.client()
    started = client.post("/api/train", json={"epochs": 3, "batch_size": 16, "lr": 0.01}).json()
    return wait_for(client, started["job_id"], TERMINAL)
