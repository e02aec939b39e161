"""The downloader against our own hub side, over a link that is cut and spoiled. The whole of it is ``make downloads``."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import FakeHub, Fault, fake_hub
from support.model_folders import make_folder
from support.server import Server

from kargah.client import Kargah
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.hubs import HubAccess, downloads_folder
from kargah.contract.plans import DownloadPlan
from kargah.contract.wire import EventWriter
from kargah.kit.errors import KargahError
from kargah.workers.downloading import Download
from kargah.workers.edge import Attempt
from kargah.workers.hub.errors import HubSentOtherBytes
from kargah.workers.hub.parts import Part
from kargah.workers.hub.tree import RemoteFile
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants


def downloaded(home: Path, number: int = 1, **plan: Any) -> tuple[Path, dict[str, Any]]:
    """Where the files lie, and the result. Raises what ends it."""
    directory = AttemptDirectory.of(home, "job_1", number)
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir(parents=True)
    tell = Teller(EventWriter(directory.events))
    attempt = Attempt(directory, tell, Wants(directory.control, tell, directory.memory))
    try:
        result = Download(DownloadPlan(job_id="job_1", allow=["127.0.0.1"], patience_seconds=20.0, **plan), attempt).run()
    finally:
        attempt.wants.close()
    return directory.outputs / "repository", result.model_dump(mode="json")


WEIGHTS = os.urandom(9_000_000)


@pytest.fixture(scope="module")
def repository(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with nine megabytes that nothing packs."""
    folder = make_folder(tmp_path_factory.mktemp("far") / "weights")
    (folder / "tokenizer.json").write_bytes(WEIGHTS)
    with Kargah(server.url, server.token) as kargah:
        kargah.models.upload(folder, title="in-pieces")
        return str(next(one["id"] for one in kargah.transport.json("GET", "/hub/api/models") if "in-pieces" in one["id"]))


@pytest.fixture
def proxy(server: Server, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub() as proxy:
        proxy.upstream = f"{server.url}/hub"
        HubAccess(token=server.token, token_for=proxy.url).write(tmp_path)
        yield proxy


def test_of_a_file_with_wrong_bytes_only_their_pieces_come_again(proxy: FakeHub, repository: str, tmp_path: Path) -> None:
    proxy.faults = [Fault(), Fault(), Fault(), *[Fault(flip_at=5)] * 2]
    place, _ = downloaded(tmp_path, repository=repository, hubs=[proxy.url], connections=1)
    assert (place / "tokenizer.json").read_bytes() == WEIGHTS
    assert proxy.faults == []
    assert any(path.endswith("?pieces=true") for path, _, _ in proxy.asked)
    assert proxy.sent_bytes < 1.01 * len(WEIGHTS)


def test_whoever_was_killed_while_mending_goes_on_with_it(proxy: FakeHub, repository: str, tmp_path: Path) -> None:
    wrong = bytearray(WEIGHTS)
    wrong[4_000_000] ^= 1
    part = Part(downloads_folder(tmp_path), RemoteFile(path="tokenizer.json", size_bytes=len(WEIGHTS), sha256=sha256(WEIGHTS).hexdigest()))
    downloads_folder(tmp_path).mkdir(parents=True)
    with part.held(lambda: None):
        for region, (start, end) in enumerate(part.bounds):
            part.write(region, bytes(wrong[start:end]))
    place, _ = downloaded(tmp_path, repository=repository, hubs=[proxy.url])
    assert (place / "tokenizer.json").read_bytes() == WEIGHTS
    assert proxy.sent_bytes < 0.01 * len(WEIGHTS)


def test_wrong_bytes_again_and_again_end_it_and_leave_nothing_wrong_behind(proxy: FakeHub, repository: str, tmp_path: Path) -> None:
    proxy.always = Fault(flip_at=5)
    with pytest.raises(HubSentOtherBytes):
        downloaded(tmp_path, repository=repository, hubs=[proxy.url])
    proxy.always = None
    place, _ = downloaded(tmp_path, number=2, repository=repository, hubs=[proxy.url])
    assert (place / "tokenizer.json").read_bytes() == WEIGHTS


def test_a_second_kargah_is_a_hub_also_over_a_bad_link(server: Server, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "وزن‌ها")
    (folder / "tokenizer.json").write_bytes(os.urandom(5_000_000))
    with Kargah(server.url, server.token) as kargah:
        kargah.models.upload(folder, title="مدل دور")
        listed = [one for one in kargah.transport.json("GET", "/hub/api/models") if "in-pieces" not in one["id"]]
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
