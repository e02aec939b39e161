"""Server-sent events read to their end: a lost connection is taken up again where it broke, so that nothing is missed or doubled."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from kargah.client.errors import Refused, ServerUnreachable
from kargah.client.shapes import Event
from kargah.client.transport import Transport

#: The server sends a comment every 15 s; silence for longer means that the connection is dead.
SILENCE_SECONDS = 40.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0
#: 500 too: reading again changes nothing, and a server that is just dying answers so.
_MENDABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Message:
    """One server-sent event as the standard defines it."""

    data: str
    event: str = "message"
    id: str | None = None


def parse(lines: Iterable[str]) -> Iterator[Message]:
    """Messages out of the lines of a text/event-stream; comments and messages without data are dropped."""
    data: list[str] = []
    name, identifier = "message", None
    for line in lines:
        if not line:
            if data:
                yield Message("\n".join(data), name, identifier)
            data, name = [], "message"
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id":
            identifier = value


class Backoff:
    """Doubles the pause after every failure in a row; an answer starts it over."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self.failures = 0

    def wait(self) -> None:
        self._sleep(min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self.failures))
        self.failures += 1

    def reset(self) -> None:
        self.failures = 0


def follow(
    transport: Transport, path: str, after: int | None, has_ended: Callable[[], bool], *, retries: int, backoff: Backoff | None = None
) -> Iterator[Event]:
    """Events of ``path`` behind position ``after``, until the stream closes and ``has_ended`` agrees.

    Raises ServerUnreachable after ``retries`` failures in a row, and Refused at once for what waiting cannot mend.
    """
    backoff = backoff or Backoff()
    while True:
        try:
            for event in _once(transport, path, after):
                after = event.position
                backoff.reset()
                yield event
            if has_ended():
                return
        except ServerUnreachable:
            if backoff.failures >= retries:
                raise
        except Refused as refusal:
            if refusal.http_status not in _MENDABLE_STATUSES or backoff.failures >= retries:
                raise
        backoff.wait()


def _once(transport: Transport, path: str, after: int | None) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    with transport.stream(path, headers=headers, read_timeout_seconds=SILENCE_SECONDS) as answer:
        for message in parse(answer.iter_lines()):
            if message.data.startswith("{") and '"position"' in message.data:
                yield Event.model_validate_json(message.data)
