"""A hub for tests: revision, tree and resolve as huggingface_hub's clients ask them, on a port of its own, misbehaving as told.

With ``upstream`` it stands before a real one instead, and what comes through it is cut, slowed down and spoiled.
"""

import hashlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kargah.kit import pieces

LARGE_BYTES = 64 << 10
_API = re.compile(r"/api/(models|datasets)/([^/]+(?:/[^/]+)?)/(revision|tree)/([^/?]+)")
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)")


@dataclass
class Repository:
    files: dict[str, bytes]
    licence: str | None = "apache-2.0"
    token: str | None = None
    gated: bool = False

    @property
    def commit(self) -> str:
        listing = "".join(f"{path}{hashlib.sha256(content).hexdigest()}" for path, content in sorted(self.files.items()))
        return hashlib.sha1(listing.encode()).hexdigest()

    def entries(self) -> list[dict[str, Any]]:
        found = []
        for path, content in sorted(self.files.items()):
            oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            entry = {"type": "file", "path": path, "oid": oid, "size": len(content)}
            found.append({**entry, **({"lfs": large} if len(content) >= LARGE_BYTES else {})})
        return found


@dataclass
class Fault:
    """One misbehaviour of one answer with bytes of a file: ``status`` in its place, a cut or a flip after so many bytes, another size."""

    status: int | None = None
    cut_after: int | None = None
    flip_at: int | None = None
    wrong_size: bool = False
    retry_after: str | None = None


@dataclass
class FakeHub:
    """``faults`` are used up, one an answer; ``always`` is of every answer. ``asked``: (path, Range, Authorization).

    ``cuts``: when so many bytes were sent in all, every answer that is on its way is cut.
    ``answering``: how many are being answered, also of those who have hung up.
    Asked as a proxy is, by whole addresses, it takes each for its own: ``proxied`` are the hosts, with what was said to the proxy.
    """

    url: str = ""
    upstream: str | None = None
    cuts: list[int] = field(default_factory=list)
    era: int = 0
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    listing: bytes | None = None
    redirect_to: str | None = None
    bytes_per_second: float | None = None
    page: int = 1000
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    proxied: list[tuple[str, str | None]] = field(default_factory=list)
    #: What answers with bytes of a file say besides.
    headers: dict[str, str] = field(default_factory=dict)
    sent_bytes: int = 0
    answering: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self) -> Fault:
        with self.lock:
            return self.always or (self.faults.pop(0) if self.faults else Fault())


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    timeout = 30

    def do_GET(self) -> None:
        with self.hub.lock:
            self.hub.answering += 1
        try:
            self.answer_what_is_asked()
        finally:
            with self.hub.lock:
                self.hub.answering -= 1

    def answer_what_is_asked(self) -> None:
        self.close_connection = True
        asked = urlsplit(self.path)
        if asked.scheme:
            self.hub.proxied.append((asked.netloc, self.headers.get("Proxy-Authorization")))
            self.path = self.path.partition(asked.netloc)[2]
        with self.hub.lock:
            self.hub.asked.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        listing, file = _API.match(self.path), _RESOLVE.fullmatch(unquote(self.path))
        if self.hub.upstream:
            self.forward()
        elif listing:
            self.list(listing)
        elif file and self.hub.redirect_to:
            self.send_response(302)
            self.send_header("Location", self.hub.redirect_to + quote(unquote(self.path)))
            self.end_headers()
        elif file:
            self.give(file)
        else:
            self.refuse(404, "EntryNotFound")

    def found(self, name: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self.refuse(404, "RepoNotFound")
        elif repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self.refuse(403 if repository.gated else 401, "GatedRepo" if repository.gated else "RepoNotFound")
        else:
            return repository
        return None

    def list(self, asked: re.Match[str]) -> None:
        repository = self.found(asked[2])
        if repository is None:
            return
        if self.hub.listing is not None:
            self.answer(self.hub.listing, {})
        elif asked[3] == "revision":
            card = {"license": repository.licence} if repository.licence else {}
            self.answer(json.dumps({"id": asked[2], "sha": repository.commit, "gated": repository.gated, "cardData": card}).encode(), {})
        else:
            first = int(self.path.partition("cursor=")[2] or 0)
            entries, behind = repository.entries(), first + self.hub.page
            more = {"Link": f'<{self.hub.url}{self.path.partition("&")[0]}&cursor={behind}>; rel="next"'} if behind < len(entries) else {}
            self.answer(json.dumps(entries[first:behind]).encode(), more)

    def answer(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, code: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"X-Error-Code": code, "Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def give(self, asked: re.Match[str]) -> None:
        repository = self.found(asked[2])
        if repository is None:
            return
        content = repository.files.get(asked[4])
        if content is None or repository.commit != asked[3]:
            self.refuse(404, "EntryNotFound")
            return
        fault = self.hub.fault()
        if fault.status is not None:
            self.refuse(fault.status, **({"Retry-After": fault.retry_after} if fault.retry_after else {}))
            return
        start, end = (int(part) for part in (self.headers["Range"].removeprefix("bytes=")).split("-"))
        self.spoilt(fault, 206, {"Content-Range": f"bytes {start}-{end}/{len(content)}", **self.hub.headers}, content[start : end + 1])

    def forward(self) -> None:
        """What the one behind says; only bytes of files are misbehaved with."""
        assert self.hub.upstream is not None
        behind = urlsplit(self.hub.upstream)
        passed = {name: self.headers[name] for name in ("Authorization", "Range") if name in self.headers}
        connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=30)
        try:
            connection.request("GET", behind.path + self.path, headers=passed)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            return
        finally:
            connection.close()
        passed_on = ("Content-Range", "X-Error-Code", "Content-Type", pieces.HEADER)
        kept = {name: answer.headers[name] for name in passed_on if name in answer.headers}
        if "Link" in answer.headers:
            kept["Link"] = answer.headers["Link"].replace(self.hub.upstream, self.hub.url)
        fault = self.hub.fault() if answer.status == 206 else Fault()
        if fault.status is not None:
            self.refuse(fault.status)
        else:
            self.spoilt(fault, answer.status, kept, body)

    def spoilt(self, fault: Fault, status: int, headers: dict[str, str], content: bytes) -> None:
        if fault.wrong_size:
            before, _, total = headers["Content-Range"].partition("/")
            headers["Content-Range"] = f"{before}/{int(total) + 1}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        body = bytearray(content)
        if fault.flip_at is not None and fault.flip_at < len(body):
            body[fault.flip_at] ^= 1
        self.send(bytes(body[: fault.cut_after]))

    def send(self, body: bytes) -> None:
        step, era = 16 << 10, self.hub.era
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * step)  # what waits here was not sent
        for offset in range(0, len(body), step):
            try:
                self.wfile.write(body[offset : offset + step])
            except OSError:
                return
            with self.hub.lock:
                self.hub.sent_bytes += len(body[offset : offset + step])
                if self.hub.cuts and self.hub.sent_bytes >= self.hub.cuts[0]:
                    self.hub.cuts.pop(0)
                    self.hub.era += 1
            if self.hub.era != era:
                return
            if self.hub.bytes_per_second:
                time.sleep(step / self.hub.bytes_per_second)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fake_hub(host: str = "127.0.0.1", **repositories: Repository) -> Iterator[FakeHub]:
    hub = FakeHub(repositories={name.replace("__", "/"): repository for name, repository in repositories.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
