"""One real server for all tests of this folder, and one training that everybody may look at."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.server import TERMINAL, Server, running_with_admin, wait_for

from kargah.datasets.bundled import SAMPLES


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    roots, allowed = json.dumps([str(SAMPLES)]), json.dumps(["127.0.0.1"])
    home = tmp_path_factory.mktemp("server") / "home"
    with running_with_admin(home, job_threads=1, import_roots=roots, url_import_allow=allowed) as running:
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
