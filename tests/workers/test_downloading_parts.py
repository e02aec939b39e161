"""What a download does with its disk and its link, looked at from inside: no room, a power cut, bounds, a proxy, nothing leaked."""

import base64
import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import FakeHub, Fault, Repository, fake_hub

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.hubs import HubAccess, downloads_folder
from kargah.contract.plans import DownloadPlan
from kargah.contract.results import DownloadResult
from kargah.contract.wire import EventWriter
from kargah.kit import files, pieces
from kargah.kit.errors import KargahError
from kargah.workers.downloading import Download
from kargah.workers.edge import Attempt
from kargah.workers.hub import parts
from kargah.workers.hub.link import Link
from kargah.workers.hub.parts import Part
from kargah.workers.hub.tree import RemoteFile
from kargah.workers.telling import NoRoom, Teller
from kargah.workers.wants import Wants

NAME = "kargah-tests/small"
WEIGHTS = os.urandom(9_000_000)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub(**{NAME: Repository({"config.json": b"{}", "model.safetensors": WEIGHTS})}) as hub:
        yield hub


def run(home: Path, url: str, number: int = 1, **plan: Any) -> DownloadResult:
    """One attempt, in this process. Raises what ends it."""
    directory = AttemptDirectory.of(home, "job_1", number)
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir(parents=True)
    tell = Teller(EventWriter(directory.events))
    attempt = Attempt(directory, tell, Wants(directory.control, tell, directory.memory))
    made = DownloadPlan(**{"job_id": "job_1", "repository": NAME, "hubs": [url], "allow": ["127.0.0.1"], "patience_seconds": 5.0, **plan})
    try:
        return Download(made, attempt).run()
    finally:
        attempt.wants.close()


def test_a_disk_that_fills_keeps_what_has_come_and_goes_on_when_there_is_room(hub: FakeHub, tmp_path: Path) -> None:
    written = 0

    def filling(deed: str, path: Path, target: Path | None) -> None:
        nonlocal written
        written += deed == "write" and path.suffix == ".part"
        if written > 20:
            raise OSError(errno.ENOSPC, "no space left")

    with files.watched(filling), pytest.raises(NoRoom) as full:
        run(tmp_path, hub.url)
    came = sum(path.stat().st_blocks * 512 for path in downloads_folder(tmp_path).glob("*.part"))
    assert came > 0
    assert 0 < full.value.needed_bytes <= len(WEIGHTS) + (2 << 20)
    assert run(tmp_path, hub.url, number=2).fetched_bytes < len(WEIGHTS)


def test_no_more_connections_than_allowed_and_no_faster(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember, at_once = Link._remember, [0]

    def remembered(self: Link, opened: socket.socket) -> socket.socket:
        at_once.append(len(self._open) + 1)
        return remember(self, opened)

    monkeypatch.setattr(Link, "_remember", remembered)
    began = time.monotonic()
    run(tmp_path, hub.url, connections=2, rate_bytes_per_second=6_000_000)
    assert time.monotonic() - began > 0.4, "nine megabytes at six a second, but for the first second's"
    assert max(at_once) == 2


def test_a_proxy_is_asked_for_hosts_that_only_it_can_find(hub: FakeHub, tmp_path: Path) -> None:
    HubAccess(proxy=hub.url.replace("http://", "http://someone:secret@")).write(tmp_path)
    result = run(tmp_path, "http://hub.invalid")
    said = f"Basic {base64.b64encode(b'someone:secret').decode()}"
    assert (set(hub.proxied), result.hub) == ({("hub.invalid", said)}, "http://hub.invalid")
    assert "secret" not in (tmp_path / "jobs/job_1/attempts/1/events.jsonl").read_text()


def test_whatever_ends_it_no_descriptor_stays_open(hub: FakeHub, tmp_path: Path) -> None:
    run(tmp_path / "first", hub.url)
    before = len(os.listdir("/proc/self/fd"))
    for number, wrong in enumerate([Fault(status=500), Fault(flip_at=10), Fault(wrong_size=True), Fault(cut_after=0), Fault(status=404)]):
        hub.always = wrong
        with pytest.raises(KargahError):
            run(tmp_path / str(number), hub.url, patience_seconds=0.3)
    hub.always = None
    run(tmp_path / "last", hub.url)
    # Each attempt's own pipe and log belong to its process and go with it; here there are several in one.
    assert len(os.listdir("/proc/self/fd")) - before <= 3 * 6


@pytest.mark.parametrize("said", ["4096", "65536", "1", "99999999999999999", "-4096", "٤٠٩٦", "many", ""])
def test_a_hub_that_tells_nothing_of_pieces_or_nonsense_gives_all_of_the_file_again(hub: FakeHub, tmp_path: Path, said: str) -> None:
    hub.headers = {pieces.HEADER: said.encode().decode("latin-1")}
    hub.faults = [Fault(), *[Fault(flip_at=10)] * 3]
    result = run(tmp_path, hub.url)
    assert hub.faults == []
    assert len(WEIGHTS) < result.fetched_bytes < 2.1 * len(WEIGHTS)
    assert any(path.endswith(f"?{pieces.QUERY}") for path, _, _ in hub.asked) is (said in {"4096", "65536"}), "and then it knew of none"


def test_after_a_power_cut_only_what_was_synced_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RemoteFile(path="model.safetensors", size_bytes=6 << 20, sha256="0" * 64)
    monkeypatch.setattr(parts, "SYNC_BYTES", 1 << 20)
    part = Part(tmp_path, file)
    with part.held(lambda: None):
        part.write(0, b"x" * (1 << 20))
        part.write(0, b"x" * 1000)
    for boot, there in ((parts._boot_id(), (1 << 20) + 1000), (b"another", 1 << 20)):
        monkeypatch.setattr(parts, "_boot_id", lambda boot=boot: boot)
        again = Part(tmp_path, file)
        with again.held(lambda: None):
            assert again.there == [there]


@pytest.mark.parametrize("damage", [b"", b"x" * 10, b"\xff" * 56, b"\0" * 4096])
def test_a_figure_that_cannot_be_believed_counts_as_nothing(tmp_path: Path, damage: bytes) -> None:
    file = RemoteFile(path="model.safetensors", size_bytes=1 << 20, sha256="0" * 64)
    part = Part(tmp_path, file)
    with part.held(lambda: None):
        part.write(0, b"x" * 1000)
    (tmp_path / f"{file.key}.have").write_bytes(damage)
    again = Part(tmp_path, file)
    with again.held(lambda: None):
        assert again.there == [0]
