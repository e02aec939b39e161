"""A client that takes nothing is cut, by stream and by socket; the others are served, and what it did not take is nowhere kept."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from support.sites import Site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.events import Finished, Step
from kargah.jobs import history, states
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.kit.clock import utc_now
from kargah.store.access import Actor, Role

STEPS, BATCH = 2_500, 500
#: What a step says beside its number, so that all of them are more than kernels hold for a connection.
METRICS = {f"metric_{index}": 1 / 3 for index in range(150)}
WAIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def job_id(site: Site) -> str:
    user_id = site.client("trainer").get("/api/v1/auth/me").json()["id"]
    actor = Actor(user_id, Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))
    with site.database.write() as session:
        made = jobs.submit(session, actor, "train", "آزمون", {"spec": {}}).id
        job = states.lock(session, made)
        for first in range(1, STEPS, BATCH):
            steps = [Step(at=utc_now(), step=step, epoch=0.0, metrics=METRICS) for step in range(first, first + BATCH)]
            history.append_lines(session, job, 1, [(step.step, step) for step in steps])
        job.state = State.COMPLETED
        history.append(session, job, Finished(at=utc_now()))
    return made


@pytest.fixture
def deaf(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A connection whose end here takes little and reads nothing."""
    monkeypatch.setattr("kargah.web.live.SEND_SECONDS", 1.0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(site.url.rpartition(":")[2])))
        yield client


def ask(site: Site, client: socket.socket, path: str, *more: str) -> None:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {site.tokens['trainer']}", *more]
    client.sendall("\r\n".join([*lines, "", ""]).encode())


def until_cut(site: Site) -> None:
    listeners = site.app.state.live._listeners
    until = time.monotonic() + WAIT_SECONDS
    while not listeners:
        assert time.monotonic() < until, "it was never listened to"
        time.sleep(0.005)
    while listeners:
        assert time.monotonic() < until, "it was never cut"
        time.sleep(0.02)


def taken(client: socket.socket) -> int:
    """All that was on the way, to the end."""
    client.settimeout(WAIT_SECONDS)
    size_bytes = 0
    try:
        while data := client.recv(1 << 16):
            size_bytes += len(data)
    except ConnectionResetError:
        pass
    return size_bytes


@pytest.fixture(scope="module")
def whole(site: Site, job_id: str) -> int:
    """Read by one that takes what it gets: the bytes of all."""
    with site.client("trainer").stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        lines = list(answer.iter_lines())
    steps = [json.loads(line[6:])["payload"].get("step") for line in lines if line.startswith("data: ")]
    assert [step for step in steps if step] == list(range(1, STEPS + 1))
    return sum(map(len, lines))


def test_a_slow_stream_is_cut_and_only_that(site: Site, job_id: str, whole: int, deaf: socket.socket) -> None:
    ask(site, deaf, f"/api/v1/jobs/{job_id}/events")
    until_cut(site)
    assert taken(deaf) < whole / 2


def test_a_slow_socket_is_cut_and_only_that(site: Site, job_id: str, whole: int, deaf: socket.socket) -> None:
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    ask(site, deaf, "/api/v1/live", *upgrade)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += deaf.recv(100)
    assert answer.startswith(b"HTTP/1.1 101")
    word = json.dumps({"type": "subscribe", "job_ids": [job_id], "since": 0}).encode()
    deaf.sendall(bytes([0x81, 0x80 | len(word), 0, 0, 0, 0]) + word)  # a text, masked by nothing
    until_cut(site)
    assert taken(deaf) < whole / 2


def test_a_client_that_goes_away_leaves_nothing_behind(site: Site, job_id: str) -> None:
    for _ in range(5):
        with site.client("trainer").stream("GET", "/api/v1/events") as answer:
            next(answer.iter_lines())
    until = time.monotonic() + WAIT_SECONDS
    while site.app.state.live._listeners:
        assert time.monotonic() < until
        httpx.get(f"{site.url}/health")
