"""The Python SDK against a real server, also over connections that break."""

import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import EMAIL, PASSWORD, Server

from kargah.client import JobEnded, Kargah, Refused, ServerUnreachable
from kargah.client.stream import Message, parse


@pytest.fixture
def kargah(server: Server) -> Iterator[Kargah]:
    with Kargah(server.url, server.token, language="en") as client:
        yield client


def test_from_a_file_to_an_answer(kargah: Kargah, tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text("متراژ,قیمت\n" + "".join(f"{size},{2 * size + 1}\n" for size in range(50, 90)), encoding="utf-8")
    dataset = kargah.datasets.upload(table)
    assert (dataset.title, (dataset.version or {})["rows"]) == ("prices", 40)
    assert kargah.datasets.show(dataset.id).id in [found.id for found in kargah.datasets.list(query="prices").items]
    training = kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 2}, title="قیمت")
    job = kargah.jobs.wait(training.job.id)
    versions = kargah.trainings.models(training.run_id)
    assert [version.family for version in versions if version.recommended]
    assert {version.family for version in versions} == {"network", "trees", "majority"}
    answer = kargah.models.predict((job.result or {})["model_version_id"], [{"متراژ": 60}])
    assert isinstance(answer.outputs[0]["value"], float)
    packed = kargah.models.download(versions[0].id, tmp_path / "model.zip")
    assert "kargah.json" in zipfile.ZipFile(packed).namelist()


def test_a_stopped_job_is_not_mistaken_for_a_good_end(kargah: Kargah, finished_job: dict[str, Any]) -> None:
    dataset = kargah.datasets.list(query="x, y").items[0]
    training = kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 1000, "batch_size": 1})
    kargah.jobs.stop(training.job.id)
    with pytest.raises(JobEnded) as ended:
        kargah.jobs.wait(training.job.id)
    assert ended.value.params["state"] == "STOPPED"


def test_logging_in_gives_later_calls_their_token(server: Server) -> None:
    with Kargah(server.url) as client:
        with pytest.raises(Refused) as refused:
            client.me()
        assert (refused.value.http_status, refused.value.reason) == (401, "LOGIN_REQUIRED")
        client.login(EMAIL, PASSWORD)
        assert client.me()["email"] == EMAIL


def test_where_nobody_listens_is_said_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with Kargah(f"http://127.0.0.1:{port}") as client, pytest.raises(ServerUnreachable) as error:
        client.health()
    assert str(port) in error.value.params["url"]


def test_a_stream_that_breaks_again_and_again_misses_nothing(server: Server, kargah: Kargah, finished_job: dict[str, Any]) -> None:
    whole = [event.position for event in kargah.jobs.events(finished_job["job_id"])]
    with cutting_proxy(server.url, after_bytes=2500, times=3) as (url, cuts), Kargah(url, server.token) as client:
        heard = [event.position for event in client.jobs.events(finished_job["job_id"])]
    assert cuts() == 3
    assert heard == whole


def test_events_go_on_behind_a_position(kargah: Kargah, finished_job: dict[str, Any]) -> None:
    whole = [event.position for event in kargah.jobs.events(finished_job["job_id"])]
    rest = [event.position for event in kargah.jobs.events(finished_job["job_id"], after=whole[3])]
    assert rest == whole[4:]


def test_server_sent_events_are_read_as_the_standard_has_it() -> None:
    lines = [": comment", "id: 7", "event: status", "data: a", "data: b", "", "data:c", "", "event: lost", "", "data: unfinished"]
    assert list(parse(lines)) == [Message("a\nb", "status", "7"), Message("c", "message", "7")]
    assert json.loads(next(iter(parse(['data: {"a": 1}', ""]))).data) == {"a": 1}


class cutting_proxy:  # noqa: N801 - used as a function
    """A TCP proxy that cuts the first connections after so many bytes of answer: a network that breaks."""

    def __init__(self, url: str, after_bytes: int, times: int) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._target, self._after_bytes, self._times, self._cuts = (host, int(port)), after_bytes, times, 0
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[str, Any]:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}", lambda: self._cuts

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as target:
            threading.Thread(target=self._forward, args=(client, target), daemon=True).start()
            carried = 0
            while data := target.recv(500):
                carried += len(data)
                client.sendall(data)
                if carried > self._after_bytes and self._cuts < self._times:
                    self._cuts += 1
                    break
            client.shutdown(socket.SHUT_RDWR)  # closing alone would wait for the other thread's reading

    def _forward(self, client: socket.socket, target: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                target.sendall(data)
        except OSError:
            return
