"""Large files by the SDK: they arrive whole over links that drop, and go on in another process."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.far import far_server
from support.server import Server

from kargah.client import Kargah
from kargah.client.uploads import PIECES_FROM_BYTES, Uploads
from kargah.datasets.bundled import SAMPLES
from kargah.kit import packing

SIZE_BYTES = 40 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """No data at all: its import ends at once, and what is asked here is how it arrives."""
    path = tmp_path / "بزرگ.bin"
    path.write_bytes(os.urandom(SIZE_BYTES))
    assert path.stat().st_size > PIECES_FROM_BYTES
    return path


def test_a_sender_that_dies_is_gone_on_with_by_the_next(server: Server, large: Path) -> None:
    class DiesAfterAPiece(Exception):
        pass

    def dies(done: int, _: int) -> None:
        if done:
            raise DiesAfterAPiece

    said: list[int] = []
    with Kargah(server.url, server.token) as kargah, pytest.raises(DiesAfterAPiece):
        Uploads(kargah.transport).send(large, dies)
    with Kargah(server.url, server.token) as kargah:
        made = Uploads(kargah.transport).send(large, lambda done, _: said.append(done), title="ادامه")
        assert kargah.datasets.show(made["dataset_id"]).title == "ادامه"
    assert said[0] > 0
    assert said[-1] == SIZE_BYTES
    assert made["sha256"] == hashlib.sha256(large.read_bytes()).hexdigest()


def test_a_link_that_drops_again_and_again_delivers_the_file_whole(server: Server, large: Path) -> None:
    with dropping_link(server, after_bytes=9 << 20) as (url, drops), Kargah(url, server.token) as kargah:
        made = Uploads(kargah.transport).send(large)
    assert len(drops) >= 3
    assert made["sha256"] == hashlib.sha256(large.read_bytes()).hexdigest()


def test_a_folder_is_packed_the_same_each_time_and_nothing_from_outside_comes_along(tmp_path: Path) -> None:
    folder = tmp_path / "پوشه"
    (folder / "صدا").mkdir(parents=True)
    (folder / "صدا" / "یک.wav").write_bytes(b"RIFF")
    (folder / "manifest.csv").write_text("file,text\nصدا/یک.wav,سلام\n")
    (folder / ".hidden").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    first = packing.pack(folder, tmp_path / "first.zip").read_bytes()
    os.utime(folder / "manifest.csv", (0, 0))
    assert packing.pack(folder, tmp_path / "second.zip").read_bytes() == first
    assert [path.relative_to(folder).as_posix() for path in packing.members(folder)] == ["manifest.csv", "صدا/یک.wav"]


def test_the_terminal_adds_folders_addresses_and_paths_of_the_server(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "پوشه"
    folder.mkdir()
    for part in ("train.csv", "test.csv"):
        (folder / part).write_text("متن,برچسب\nسلام,مثبت\nبد بود,منفی\n", encoding="utf-8")
    with far_server() as far:
        far.files["/گونه.csv"] = (SAMPLES / "genre-fa.csv").read_bytes()
        made = json.loads(added(server, str(folder), f"{far.url}/گونه.csv", "--json").stdout)
    assert [(item["title"], item["version"]["rows"]) for item in made] == [("پوشه", 4), ("گونه", 2000)]
    assert json.loads(added(server, str(SAMPLES / "genre-fa.csv"), "--on-server", "--json").stdout)["version"]["rows"] == 2000
    for refused in (["http://169.254.169.254/x"], ["/etc/passwd", "--on-server"]):
        assert added(server, *refused).returncode == 5


def added(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kargah", "--language", "en", "datasets", "add", *arguments]
    return subprocess.run([*command, "--server", server.url, "--token", server.token], capture_output=True, text=True, timeout=240)


@contextmanager
def dropping_link(server: Server, after_bytes: int) -> Iterator[tuple[str, list[int]]]:
    """A way to the server on which every connection is cut once it has carried so much."""
    host, port = server.url.removeprefix("http://").split(":")
    door = socket.create_server(("127.0.0.1", 0))
    drops: list[int] = []

    def carry(source: socket.socket, target: socket.socket, counted: bool) -> None:
        carried = 0
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
                carried += len(piece)
                if counted and carried > after_bytes:
                    drops.append(carried)
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = door.accept()
                behind = socket.create_connection((host, int(port)))
                threading.Thread(target=carry, args=(client, behind, True), daemon=True).start()
                threading.Thread(target=carry, args=(behind, client, False), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}", drops
    finally:
        door.close()
