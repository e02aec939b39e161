"""A stream that is refused: what passes is waited for, what does not is raised."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kargah.client import stream
from kargah.client.errors import Refused
from kargah.client.stream import Backoff
from kargah.client.transport import Transport

EVENT = '{"position":7,"job_id":"job_1","seq":1,"attempt":1,"kind":"Finished","at":"2026-01-01T00:00:00Z","payload":{}}'


class Dying(BaseHTTPRequestHandler):
    """Answers with the statuses it is told to, then with one event."""

    statuses: list[int]

    def do_GET(self) -> None:
        status = self.statuses.pop(0) if self.statuses else 200
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if status == 200 else "text/plain")
        self.end_headers()
        self.wfile.write(f"id: 7\ndata: {EVENT}\n\n".encode() if status == 200 else b"Internal Server Error")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def transport() -> Iterator[Transport]:
    server = HTTPServer(("127.0.0.1", 0), Dying)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = Transport(f"http://127.0.0.1:{server.server_port}", "token", None, 10.0)
    yield made
    made.close()
    server.shutdown()
    thread.join()
    server.server_close()


def followed(transport: Transport, retries: int) -> list[int]:
    waited = Backoff(sleep=lambda _: None)
    return [event.position for event in stream.follow(transport, "/", None, lambda: True, retries=retries, backoff=waited)]


def test_a_server_that_dies_at_this_moment_is_asked_again(transport: Transport) -> None:
    Dying.statuses = [500, 503]
    assert followed(transport, retries=3) == [7]


def test_a_server_that_always_fails_is_given_up_and_a_refusal_is_at_once(transport: Transport) -> None:
    Dying.statuses = [500] * 9
    with pytest.raises(Refused):
        followed(transport, retries=3)
    assert len(Dying.statuses) == 5
    Dying.statuses = [403] * 2
    with pytest.raises(Refused):
        followed(transport, retries=3)
    assert len(Dying.statuses) == 1
