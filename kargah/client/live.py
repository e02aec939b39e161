"""Events of many jobs over one socket (``/api/v1/live``): a line that breaks is taken up again where each job was left."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from kargah.client.errors import Refused, ServerUnreachable
from kargah.client.shapes import Event, Job
from kargah.client.stream import SILENCE_SECONDS, Backoff
from kargah.client.transport import Transport

#: A job says nothing after one of these.
LAST_WORDS = frozenset({"Finished", "Failed", "Stopped"})
OPEN_SECONDS = 10.0
#: Longer than any event of ours; nothing that a server sends fills the memory.
MOST_BYTES = 16 * 2**20
_ENDED, _NO_WORD = 4401, 1008
_REFUSALS = {_ENDED: 401, _NO_WORD: 400}
#: A job's own position is kept under its id, that of "all jobs" under none.
Positions = dict[str | None, int | None]


def follow(
    transport: Transport, job_ids: Sequence[str] | None, after: int | None, *, retries: int, backoff: Backoff | None = None
) -> Iterator[Event]:
    """Each event once, of ``job_ids`` until all of them have ended, or of all jobs for as long as one listens.

    Behind position ``after``; without it from the start of ``job_ids``, and from now on of all jobs. Raises ServerUnreachable after
    ``retries`` failures in a row, and Refused when the server refuses: a credential that holds no longer, a job that one does not see.
    """
    backoff = backoff or Backoff()
    told: Positions = {None: after} if job_ids is None else dict.fromkeys(job_ids, after or 0)
    while told:
        try:
            for event in _once(transport, told):
                backoff.reset()
                yield event
        except ServerUnreachable:
            if backoff.failures >= retries:
                raise
        if told:
            backoff.wait()


def _once(transport: Transport, told: Positions) -> Iterator[Event]:
    """Until the connection ends, or the last of the jobs has; ``told`` is kept up to date."""
    try:
        with _connected(transport) as line:
            _subscribe(line, told)
            ended: set[str] = set()
            while told:
                said = json.loads(line.recv(timeout=SILENCE_SECONDS))
                if said["type"] == "error":
                    raise Refused(404 if said["code"] == "NOT_FOUND" else 400, said)
                if said["type"] == "hello":
                    _begin(told, said["position"])
                elif said["type"] == "event":
                    yield from _news(told, Event.model_validate(said["event"]))
                elif said["type"] == "heartbeat":
                    ended = _leave_those(told, ended, transport)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else 0
        if code in _REFUSALS:
            raise Refused(_REFUSALS[code], {"code": "SOCKET_CLOSED", "detail": str(closed)}) from closed
        raise _unreachable(transport, closed) from closed
    except (InvalidHandshake, OSError, TimeoutError, ValueError) as error:
        raise _unreachable(transport, error) from error


def _connected(transport: Transport) -> ClientConnection:
    """Raises Refused when the credential is."""
    url = "ws" + transport.url.removeprefix("http") + "/api/v1/live"
    try:
        return connect(url, additional_headers=transport.headers(), open_timeout=OPEN_SECONDS, max_size=MOST_BYTES)
    except InvalidHandshake as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (401, 403):
            raise Refused(status, {"code": "LOGIN_REQUIRED", "detail": str(error)}) from error
        raise


def _subscribe(line: ClientConnection, told: Positions) -> None:
    """One word a job: each goes on where it was left, however far the others were told."""
    for job_id, position in told.items():
        named: dict[str, Any] = {} if job_id is None else {"job_ids": [job_id]}
        line.send(json.dumps({"type": "subscribe", "since": position, **named}))


def _begin(told: Positions, position: int) -> None:
    """ "From now on" is the moment of the first connection, also for the second one."""
    if None in told and told[None] is None:
        told[None] = position


def _news(told: Positions, event: Event) -> Iterator[Event]:
    key = None if None in told else event.job_id
    known = told.get(key)
    if key not in told or (known is not None and event.position <= known):
        return
    told[key] = event.position
    if event.kind in LAST_WORDS and key is not None:
        del told[key]
    yield event


def _leave_those(told: Positions, ended: set[str], transport: Transport) -> set[str]:
    """A job whose last word was told before ``after`` says nothing more: one that had ended a whole silence ago is left."""
    for job_id in ended & told.keys():
        del told[job_id]
    shown = {job_id: transport.json("GET", f"/api/v1/jobs/{job_id}") for job_id in told if job_id is not None}
    return {job_id for job_id, job in shown.items() if Job.model_validate(job).is_terminal}


def _unreachable(transport: Transport, error: Exception) -> ServerUnreachable:
    return ServerUnreachable(url=transport.url, reason=str(error) or type(error).__name__)
