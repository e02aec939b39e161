"""One answer of a hub, over the redirects that lead to it; where the token may go, and where a hub may lead us."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urljoin

import kargah
from kargah.contract.hubs import HubAccess
from kargah.kit import addresses
from kargah.kit.addresses import AddressRefused, Target
from kargah.kit.errors import KargahError
from kargah.workers import connecting

MOST_REDIRECTS = 5
CHUNK_BYTES = 128 << 10
LONGEST_REST_SECONDS = 300.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: The hub will not give it, whoever asks again.
_REFUSALS = frozenset({401, 403, 404, 410, 451})
#: It may give it in a while; any other answer is a strange one.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Broken(Exception):
    """The link broke, or the other end is unwell: worth another try, here or elsewhere.

    ``strange``: it said what cannot be (as a page of somebody between us does); a few of these are enough.
    """

    def __init__(self, reason: str, rest_seconds: float = 0.0, *, strange: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.rest_seconds, self.strange = reason, rest_seconds, strange


class Refused(Exception):
    """This hub says no. ``error_code``: its X-Error-Code (RepoNotFound, GatedRepo …)."""

    def __init__(self, status: int, error_code: str = "") -> None:
        super().__init__(status, error_code)
        self.status, self.error_code = status, error_code


@dataclass
class Link:
    """``allow``: hosts besides public ones. With a proxy, addresses are the proxy's to find and to refuse."""

    access: HubAccess
    allow: list[str]
    silence_seconds: float
    _open: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _hung_up: bool = False

    @contextmanager
    def answer(self, url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The last answer: 200 or 206. Raises Broken or Refused."""
        target = _parsed(url)
        with_token = self.access.token is not None and origin_of(target) == origin_of(_parsed(self.access.token_for))
        for _ in range(MOST_REDIRECTS + 1):
            credentials = {"Authorization": f"Bearer {self.access.token}"} if with_token else {}
            with self._hop(target, {**headers, **credentials}) as answer:
                if answer.status not in _REDIRECTS:
                    _require_good(answer)
                    yield answer
                    return
                following = _parsed(urljoin(target.url, answer.getheader("Location", "")))
            # Once left, its origin is not trusted again: whoever led us away must not choose what is asked with the token.
            with_token = with_token and origin_of(following) == origin_of(target)
            target = following
        raise Broken("too many redirects", strange=True)

    def hang_up(self) -> None:
        """End every answer that is being read: their readers get Broken at once."""
        with self._lock:
            self._hung_up = True
            for one in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)

    @contextmanager
    def _hop(self, target: Target, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection, path, besides = self._connection(target)
        opened = None
        with closing(connection):
            try:
                connection.connect()
                opened = self._remember(connection.sock)
                named = {"Host": target.authority, "User-Agent": f"Kargah/{kargah.__version__}", "Accept-Encoding": "identity"}
                connection.request("GET", path, headers={**named, **headers, **besides})
                answer = connection.getresponse()
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._forget(opened)
                raise Broken(str(error) or type(error).__name__) from error
            try:
                with closing(answer):
                    yield answer
            finally:
                self._forget(opened)

    def _connection(self, target: Target) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        if self.access.proxy:
            return connecting.through(self.access.proxy, target, self.silence_seconds)
        try:
            address = str(addresses.resolved(target, self.allow))
        except KargahError as error:
            raise Broken(f"{error.code} {target.host}", strange=isinstance(error, AddressRefused)) from error
        return connecting.direct(target, address, self.silence_seconds), target.path, {}

    def _remember(self, opened: socket.socket) -> socket.socket:
        with self._lock:
            if self._hung_up:
                raise OSError("hung up")
            self._open.add(opened)
        return opened

    def _forget(self, opened: socket.socket | None) -> None:
        with self._lock:
            if opened is not None:
                self._open.discard(opened)


def chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What arrives, as it arrives. Raises Broken."""
    while True:
        try:
            chunk = answer.read1(CHUNK_BYTES)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Broken(str(error) or type(error).__name__) from error
        if not chunk:
            return
        yield chunk


def origin_of(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _parsed(url: str) -> Target:
    try:
        return addresses.parsed(url)
    except KargahError as error:
        raise Broken(f"{error.code} {url[:80]}", strange=True) from error


def _require_good(answer: http.client.HTTPResponse) -> None:
    if answer.status in _REFUSALS:
        raise Refused(answer.status, answer.getheader("X-Error-Code", "")[:64])
    if answer.status not in {200, 206}:
        raise Broken(f"HTTP {answer.status}", _rest_seconds(answer), strange=answer.status not in _PASSING)


def _rest_seconds(answer: http.client.HTTPResponse) -> float:
    """How long it asks us to stay away, within reason."""
    said = answer.getheader("Retry-After", "").strip()
    return min(float(said), LONGEST_REST_SECONDS) if said.isascii() and said.isdigit() else 0.0
