"""Downloads over bad links and from bad hubs: complete and verified, or ended with one reason; never fetched twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hub_server import FakeHub, Fault, Repository, fake_hub
from support.model_folders import make_folder

from kargah.contract import control, wire
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.control import Want
from kargah.contract.events import LAST_WORDS, Event
from kargah.contract.hubs import HubAccess, downloads_folder
from kargah.contract.plans import DownloadPlan
from kargah.kit import files
from kargah.workers import downloading

NAME = "kargah-tests/small"
WEIGHTS_BYTES = 10_000_000
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = make_folder(tmp_path_factory.mktemp("repository") / "model")
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = os.urandom(WEIGHTS_BYTES)
    besides = {"README.md": b"---\nlicense: apache-2.0\n---\n", "LICENSE": b"Apache", "pytorch_model.bin": b"x", "onnx/model.onnx": b"x"}
    return Repository({**found, **besides, "model.safetensors": weights, "empty.json": b""})


@pytest.fixture
def hub(repository: Repository) -> Iterator[FakeHub]:
    with fake_hub(**{NAME: repository}) as hub:
        yield hub


def lay_out(home: Path, *hubs: FakeHub, number: int = 1, job: str = "job_1", **plan: Any) -> AttemptDirectory:
    directory = AttemptDirectory.of(home, job, number)
    for folder in (directory.inputs, directory.outputs):
        folder.mkdir(parents=True)
    made = DownloadPlan(
        **{"job_id": job, "repository": NAME, "hubs": [hub.url for hub in hubs], "allow": ["127.0.0.1"], "patience_seconds": 20.0, **plan}
    )
    files.write_bytes(directory.plan, made.model_dump_json().encode())
    return directory


def start(directory: AttemptDirectory) -> "subprocess.Popen[bytes]":
    with directory.log.open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "kargah.workers.downloading", str(directory.path)], stdout=log, stderr=log)


def run(directory: AttemptDirectory) -> list[Event]:
    """The whole attempt, its edge too, in this process: dozens of interpreters would take their time."""
    assert downloading.main(str(directory.path)) == 0
    return events_of(directory)


def events_of(directory: AttemptDirectory) -> list[Event]:
    events = [wire.decode(line) for line, _ in wire.whole_lines(directory.events, 0, 1 << 30)]
    assert [event.kind for event in events if event.kind in LAST_WORDS] == [events[-1].kind], "exactly one last word"
    return events


def until(is_so: Callable[[], Any]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.01)


def require_whole(directory: AttemptDirectory, events: list[Event], repository: Repository) -> None:
    last: Any = events[-1]
    assert last.kind == "Finished", last
    assert last.result["commit"] == repository.commit
    for file in last.result["files"]:
        assert (directory.outputs / "repository" / file["path"]).read_bytes() == repository.files[file["path"]]
    assert list(downloads_folder(directory.home).glob("*.part")) == []


def failed(events: list[Event]) -> tuple[str, dict[str, Any]]:
    last: Any = events[-1]
    assert last.kind == "Failed", last
    return last.code, last.params


def test_only_what_is_wanted_comes_and_all_of_it_is_told(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    hub.page = 3
    directory = lay_out(tmp_path, hub)
    events = run(directory)
    require_whole(directory, events, repository)
    result: Any = events[-1]
    names = {"README.md", "LICENSE", "config.json", "empty.json", "model.safetensors"}
    assert {file["path"] for file in result.result["files"]} == names
    assert (result.result["licence"], result.result["hub"]) == ("apache-2.0", hub.url)
    told: Any = [event for event in events if event.kind == "Progress" and event.total]
    assert (told[-1].done, told[-1].unit) == (told[-1].total, "bytes")
    assert told[-1].total == sum(len(repository.files[name]) for name in names)
    assert sum("model.safetensors" in path for path, _, _ in hub.asked) > 1, "large files come in parts side by side"


def test_a_link_that_is_cut_again_and_again_costs_nothing_twice(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    hub.faults = [Fault(cut_after=WEIGHTS_BYTES // 20) for _ in range(12)]
    directory = lay_out(tmp_path, hub)
    require_whole(directory, run(directory), repository)
    assert hub.sent_bytes <= 1.01 * sum(len(content) for path, content in repository.files.items() if path != "pytorch_model.bin")


def test_a_hub_that_is_unwell_for_a_while_is_asked_again(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    hub.faults = [Fault(status=429, retry_after="1"), Fault(status=500), Fault(status=416), Fault(status=503), Fault(wrong_size=True)]
    directory = lay_out(tmp_path, hub)
    require_whole(directory, run(directory), repository)


def test_a_killed_download_goes_on_where_it_was(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    hub.bytes_per_second = 1_000_000
    for number in range(1, 4):
        directory = lay_out(tmp_path, hub, number=number)
        before, process = hub.sent_bytes, start(directory)
        until(lambda before=before: hub.sent_bytes > before + WEIGHTS_BYTES // 5)
        process.kill()
        process.wait()
    hub.bytes_per_second = None
    directory = lay_out(tmp_path, hub, number=9)
    events = run(directory)
    require_whole(directory, events, repository)
    last: Any = events[-1]
    assert last.result["fetched_bytes"] < 0.6 * WEIGHTS_BYTES
    assert hub.sent_bytes < 1.3 * WEIGHTS_BYTES, "but for what was in the air at each kill"


def test_a_flipped_byte_is_found_and_fetched_from_the_next_hub(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    with fake_hub(**{NAME: repository}) as good:
        hub.always = Fault(flip_at=1000)
        directory = lay_out(tmp_path, hub, good)
        require_whole(directory, run(directory), repository)
    hub.always = Fault(flip_at=0)
    code, params = failed(run(fresh(tmp_path, hub)))
    assert (code, params["path"] in repository.files) == ("HUB_SENT_OTHER_BYTES", True)


def fresh(tmp_path: Path, *hubs: FakeHub, **plan: Any) -> AttemptDirectory:
    """In a home where nothing is yet."""
    return lay_out(tmp_path / f"home-{os.urandom(4).hex()}", *hubs, **plan)


def test_when_a_mirror_goes_away_the_next_one_gives_the_rest(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    with fake_hub(**{NAME: repository}) as other:
        with fake_hub(**{NAME: repository}) as dying:
            dying.bytes_per_second = 2_000_000
            directory = lay_out(tmp_path, dying, other)
            process = start(directory)
            until(lambda: dying.sent_bytes > WEIGHTS_BYTES // 4)
            dying.always = Fault(cut_after=0)
        assert process.wait(timeout=120) == 0
        require_whole(directory, events_of(directory), repository)
        assert other.sent_bytes < WEIGHTS_BYTES


def test_metadata_come_from_the_next_hub_when_the_first_talks_nonsense(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    with fake_hub(**{NAME: repository}) as strange:
        strange.listing = b"<html>blocked</html>"
        directory = lay_out(tmp_path, strange, hub)
        require_whole(directory, run(directory), repository)
        for nonsense in (b"<html>blocked</html>", b"[]", b'{"sha": "main"}', b"[" * 5000):
            strange.listing = nonsense
            assert failed(run(fresh(tmp_path, strange)))[0] == "HUB_ANSWER_UNREADABLE"


def test_a_hub_that_lies_about_a_size_ends_it_with_a_reason(hub: FakeHub, tmp_path: Path) -> None:
    hub.always = Fault(wrong_size=True)
    assert failed(run(lay_out(tmp_path, hub)))[0] == "HUB_ANSWER_UNREADABLE"


def test_a_hub_that_is_gone_is_waited_for_and_no_longer_than_that(tmp_path: Path, repository: Repository) -> None:
    with fake_hub(**{NAME: repository}) as gone:
        pass
    assert failed(run(lay_out(tmp_path, gone, patience_seconds=0.5)))[0] == "HUB_UNREACHABLE"


def test_the_token_goes_to_its_hub_and_nowhere_else(repository: Repository, tmp_path: Path) -> None:
    mine = Repository(repository.files, token="hf_secret")
    with fake_hub(**{NAME: repository}) as cdn, fake_hub(**{NAME: mine}) as hub, fake_hub(**{NAME: repository}) as mirror:
        HubAccess(token="hf_secret", token_for=hub.url).write(tmp_path)
        hub.redirect_to, mirror.always = cdn.url, Fault(status=500)
        directory = lay_out(tmp_path, hub, mirror)
        require_whole(directory, run(directory), repository)
        assert {authorization for _, _, authorization in hub.asked} == {"Bearer hf_secret"}
        assert {authorization for _, _, authorization in [*cdn.asked, *mirror.asked]} <= {None}
        assert "hf_secret" not in "".join(path.read_text(errors="replace") for path in directory.path.rglob("*") if path.is_file())
        assert oct((tmp_path / "secrets" / "hubs.json").stat().st_mode)[-3:] == "600"
        # A redirect into this machine from a hub that is not trusted with it is not followed.
        assert failed(run(fresh(tmp_path, hub, allow=["localhost"])))[0] in {"HUB_ANSWER_UNREADABLE", "HUB_WANTS_CONSENT"}


def test_what_one_may_not_have_is_said_at_once(repository: Repository, tmp_path: Path) -> None:
    with fake_hub(**{NAME: Repository(repository.files, token="other", gated=True)}) as hub:
        code, params = failed(run(lay_out(tmp_path, hub)))
        assert (code, params["repository"]) == ("HUB_WANTS_CONSENT", NAME)
        assert failed(run(fresh(tmp_path, hub, repository="nobody/nothing")))[0] == "NOT_ON_HUB"


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, "ONLY_PICKLES"),
        ({"README.md": b"x"}, "NOTHING_WANTED"),
        ({"../../escaped.json": b"{}", "model.safetensors": b"x", "config.json": b"{}"}, None),
        ({"model.safetensors": b"x", "..": b"", "/etc/passwd.json": b"{}", "config.json": b"{}"}, None),
    ],
)
def test_what_cannot_be_used_or_leads_out_of_its_folder_is_not_fetched(listed: dict[str, bytes], code: str | None, tmp_path: Path) -> None:
    with fake_hub(**{NAME: Repository(listed)}) as hub:
        directory = lay_out(tmp_path / "home", hub)
        events = run(directory)
        if code is not None:
            assert failed(events)[0] == code
        assert not list(tmp_path.rglob("*escaped*"))
        assert {path for path, asked, _ in hub.asked if asked and ("escaped" in path or "etc" in path or "bin" in path)} == set()


def test_data_sets_are_fetched_with_their_folders_and_a_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    content = {"data/آموزش.parquet": b"rows", "train.csv": b"a", "script.py": b"import os", "README.md": b"x", "dataset_infos.json": b"{}"}
    with fake_hub(**{NAME: Repository(content)}) as hub:
        directory = lay_out(tmp_path, hub, repository_kind="dataset")
        last: Any = run(directory)[-1]
        assert [file["path"] for file in last.result["files"]] == ["README.md", "data/آموزش.parquet"]
    for path in ("../out.csv", "a/../../out.csv", "/out.csv", "a\\..\\out.csv", "C:/out.csv"):
        with fake_hub(**{NAME: Repository({path: b"a"})}) as hub:
            assert failed(run(fresh(tmp_path, hub, repository_kind="dataset")))[0] == "UNSAFE_PATH"


def test_a_pause_keeps_and_a_stop_throws_away(hub: FakeHub, repository: Repository, tmp_path: Path) -> None:
    hub.bytes_per_second = 1_000_000
    kept = {}
    for number, (want, word) in enumerate([(Want.PAUSE, "Paused"), (Want.STOP, "Stopped")], start=1):
        directory = lay_out(tmp_path, hub, number=number)
        before, process = hub.sent_bytes, start(directory)
        until(lambda before=before: hub.sent_bytes > before + 1_000_000)
        control.write(directory.control, want)
        assert process.wait(timeout=60) == 0
        assert events_of(directory)[-1].kind == word
        kept[word] = sorted(path.suffix for path in downloads_folder(tmp_path).iterdir())
    assert ".part" in kept["Paused"]
    assert kept["Stopped"] == []


def test_a_download_without_room_fails_before_its_first_byte(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = {"type": "file", "path": "model.safetensors", "oid": "0" * 40, "size": 1 << 49}
    others = [entry for entry in hub.repositories[NAME].entries() if entry["path"] != huge["path"]]
    monkeypatch.setattr(Repository, "entries", lambda self: [*others, huge])
    code, params = failed(run(lay_out(tmp_path, hub)))
    assert (code, params["needed_bytes"] >= 1.1 * (1 << 49)) == ("DISK_FULL", True)
    assert hub.sent_bytes == 0


def test_the_system_may_end_it_and_it_is_queued_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.bytes_per_second = 500_000
    directory = lay_out(tmp_path, hub)
    process = start(directory)
    until(lambda: hub.sent_bytes > 500_000)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert events_of(directory)[-1].kind == "Interrupted"
