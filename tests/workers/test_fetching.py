"""Files from the network: whole, from where they may come, no larger than they may be, or a reason why not."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.far import Far, far_server
from support.imports import events_of, start

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import FetchWish, IngestPlan
from kargah.contract.wire import EventWriter
from kargah.kit import files
from kargah.kit.addresses import AddressRefused
from kargah.kit.errors import KargahError
from kargah.workers.fetching import Fetch, Fetched, FetchTooSlow, RemoteRefused, RemoteTooLarge, RemoteUnreachable, TooManyRedirects
from kargah.workers.telling import Teller
from kargah.workers.wants import PauseWanted

CONTENT = os.urandom(2 << 20)
HERE = "127.0.0.1"


@pytest.fixture
def far() -> Iterator[Far]:
    with far_server() as far:
        far.files["/data.bin"] = CONTENT
        yield far


def laid_out(home: Path, number: int = 1) -> AttemptDirectory:
    directory = AttemptDirectory.of(home, "job_1", number)
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir(parents=True)
    return directory


def fetch(home: Path, url: str, number: int = 1, check: Any = lambda: None, **limits: Any) -> Fetched:
    wish = FetchWish(**{"url": url, "allow": [HERE], "limit_bytes": 1 << 30, "limit_seconds": 60.0, **limits})
    directory = laid_out(home, number)
    return Fetch(wish, directory, Teller(EventWriter(directory.events)), check).run("upload")


def test_a_link_that_breaks_is_taken_up_where_it_broke(far: Far, tmp_path: Path) -> None:
    far.breaks_after = [700_000, 800_000]
    got = fetch(tmp_path, f"{far.url}/data.bin")
    assert got.source.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [wanted for _, wanted in far.asked] == [None, "bytes=700000-", "bytes=1500000-"]
    assert (AttemptDirectory.of(tmp_path, "job_1", 1).inputs / "upload").read_bytes() == CONTENT


def test_a_paused_fetch_goes_on_in_the_next_attempt_and_a_changed_file_from_its_start(far: Far, tmp_path: Path) -> None:
    def pause() -> None:
        part = tmp_path / "jobs" / "job_1" / "fetch" / "part"
        if part.exists() and part.stat().st_size > 0:
            raise PauseWanted

    far.breaks_after = [500_000]
    with pytest.raises(PauseWanted):
        fetch(tmp_path, f"{far.url}/data.bin", check=pause)
    fetch(tmp_path, f"{far.url}/data.bin", number=2)
    wanted = far.asked[-1][1]
    assert wanted is not None and 0 < int(wanted.removeprefix("bytes=").removesuffix("-")) <= 500_000
    other = tmp_path / "other"
    with pytest.raises(PauseWanted):
        fetch(other, f"{far.url}/data.bin", check=lambda: pause_at(other))
    state = other / "jobs" / "job_1" / "fetch" / "state.json"
    files.write_json(state, {**files.read_json(state), "validator": '"of an older file"'})
    assert fetch(other, f"{far.url}/data.bin", number=2).source.sha256 == hashlib.sha256(CONTENT).hexdigest()


def pause_at(home: Path) -> None:
    if (home / "jobs" / "job_1" / "fetch" / "part").stat().st_size > 0:
        raise PauseWanted


def test_redirects_are_followed_and_each_is_judged(far: Far, tmp_path: Path) -> None:
    far.redirects = {"/here": "/data.bin", "/round": "/round", "/metadata": "http://169.254.169.254/latest/meta-data/"}
    far.redirects |= {"/inside": "http://[::1]:1/", "/number": "http://2852039166/", "/file": "file:///etc/passwd"}
    assert fetch(tmp_path / "1", f"{far.url}/here").source.size_bytes == len(CONTENT)
    with pytest.raises(TooManyRedirects):
        fetch(tmp_path / "2", f"{far.url}/round")
    for number, way in enumerate(("/metadata", "/inside", "/number", "/file")):
        with pytest.raises(KargahError) as refused:
            fetch(tmp_path / f"3{number}", f"{far.url}{way}")
        assert refused.value.code in {"ADDRESS_REFUSED", "BAD_URL"}


def test_a_host_that_is_not_allowed_is_never_connected_to(far: Far, tmp_path: Path) -> None:
    port = far.url.rpartition(":")[2]
    for number, host in enumerate(("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]")):
        with pytest.raises(AddressRefused):
            fetch(tmp_path / str(number), f"http://{host}:{port}/data.bin", allow=[])
    assert far.asked == []


def test_a_name_that_changes_its_mind_is_gone_to_where_it_was_judged(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is judged, this machine when somebody would ask again. Only the first answer counts."""
    answers = [[(2, 1, 6, "", ("93.184.216.34", 80))], [(2, 1, 6, "", (HERE, 80))]]
    monkeypatch.setattr("kargah.kit.addresses.socket.getaddrinfo", lambda *_, **__: answers.pop(0) if len(answers) > 1 else answers[0])
    connected: list[str] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> None:
        connected.append(address[0])
        raise OSError("no way there")

    monkeypatch.setattr("http.client.socket.create_connection", connect)
    with pytest.raises(AddressRefused):
        fetch(tmp_path, "http://rebinding.example.org/data.bin", allow=[])
    assert connected == ["93.184.216.34"]
    assert far.asked == []


def test_what_is_too_large_too_slow_or_not_there_is_told(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kargah.workers.fetching.RETRIES", 1)
    with pytest.raises(RemoteTooLarge):
        fetch(tmp_path / "1", f"{far.url}/data.bin", limit_bytes=1 << 20)
    with pytest.raises(FetchTooSlow):
        fetch(tmp_path / "2", f"{far.url}/data.bin", limit_seconds=0.0)
    with pytest.raises(RemoteRefused) as refused:
        fetch(tmp_path / "3", f"{far.url}/nothing?key=secret")
    assert (refused.value.params["http_status"], "secret" in str(refused.value.params)) == (404, False)
    far.breaks_after = [0] * 20
    with pytest.raises(RemoteUnreachable):
        fetch(tmp_path / "4", f"{far.url}/data.bin")


@pytest.mark.parametrize("name", ["نظرهای مشتریان.csv", "../../../etc/passwd.csv"])
def test_a_worker_reads_what_it_fetched_and_leaves_no_part(far: Far, tmp_path: Path, name: str) -> None:
    far.files["/export"] = "متن,برچسب\nسلام,مثبت\nبد بود,منفی\n".encode()
    far.names["/export"] = name
    directory = laid_out(tmp_path)
    wish = FetchWish(url=f"{far.url}/export", allow=[HERE], limit_bytes=1 << 20, limit_seconds=60.0)
    plan = IngestPlan(job_id="job_1", file="upload", filename="export", fetch=wish)
    files.write_bytes(directory.plan, plan.model_dump_json().encode())
    assert start(directory).wait(timeout=60) == 0
    kinds = [event.kind for event in events_of(directory)]
    phases = [kind for kind in kinds if kind == "Running" or (kind == "Progress" and kinds.count("Running"))]
    assert phases[:3] == ["Running", "Progress", "Running"]  # fetching is a phase of its own: what is read starts at nothing again
    last = events_of(directory)[-1].model_dump()
    assert last["kind"] == "Finished", last
    assert (last["result"]["rows"], last["result"]["source_filename"]) == (2, name)
    assert (directory.outputs / "source" / "upload").read_bytes() == far.files["/export"]
    assert not (directory.job_path / "fetch").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".csv")]
