"""The downloader against our own hub side, over a link that is cut and spoiled. The whole of it is ``make downloads``."""

import os
from pathlib import Path
from typing import Any

from support.hub_server import Fault, fake_hub
from support.model_folders import make_folder
from support.server import Server

from kargah.client import Kargah
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.hubs import HubAccess
from kargah.contract.plans import DownloadPlan
from kargah.contract.wire import EventWriter
from kargah.kit.errors import KargahError
from kargah.workers.downloading import Download
from kargah.workers.edge import Attempt
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants


def downloaded(home: Path, **plan: Any) -> tuple[Path, dict[str, Any]]:
    """Where the files lie, and the result. Raises what ends it."""
    directory = AttemptDirectory.of(home, "job_1", 1)
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir(parents=True)
    tell = Teller(EventWriter(directory.events))
    attempt = Attempt(directory, tell, Wants(directory.control, tell, directory.memory))
    try:
        result = Download(DownloadPlan(job_id="job_1", allow=["127.0.0.1"], patience_seconds=20.0, **plan), attempt).run()
    finally:
        attempt.wants.close()
    return directory.outputs / "repository", result.model_dump(mode="json")


def test_a_second_kargah_is_a_hub_also_over_a_bad_link(server: Server, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "وزن‌ها")
    (folder / "tokenizer.json").write_bytes(os.urandom(5_000_000))
    with Kargah(server.url, server.token) as kargah:
        kargah.models.upload(folder, title="مدل دور")
        listed = kargah.transport.json("GET", "/hub/api/models")
    with fake_hub() as proxy:
        proxy.upstream = f"{server.url}/hub"
        proxy.cuts = [5_000_000 * percent // 100 for percent in range(5, 100, 5)]
        proxy.faults = [Fault(status=429), Fault(status=500), Fault(status=503)]
        named = {"repository": listed[0]["id"], "hubs": [proxy.url]}
        HubAccess(token=server.token, token_for=proxy.url).write(tmp_path / "home")
        place, result = downloaded(tmp_path / "home", **named)
        assert {file["path"] for file in result["files"]} >= {"config.json", "model.safetensors", "tokenizer.json"}
        assert all((place / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())
        assert proxy.sent_bytes < 1.01 * 5_010_000
        assert proxy.cuts == []
        try:
            downloaded(tmp_path / "stranger", **named)
        except KargahError as error:
            assert error.code in {"NOT_ON_HUB", "HUB_WANTS_CONSENT"}, "without the token it is not there"
        else:
            raise AssertionError("it was given to nobody")
