"""Another server for tests: gives a file, in parts when asked, and misbehaves as told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

ETAG = '"first"'


@dataclass
class Far:
    """``breaks_after``: after so many bytes of an answer the connection is cut, as often as there are entries."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)
    stated_bytes: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def far_server() -> Iterator[Far]:
    far = Far()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            far.asked.append((path, self.headers.get("Range")))
            if path in far.redirects:
                self.send_response(302)
                self.send_header("Location", far.redirects[path])
                self.end_headers()
            elif path in far.files:
                self.give(path, far.files[path])
            else:
                self.send_error(far.statuses.get(path, 404))

        def give(self, path: str, content: bytes) -> None:
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.headers.get("If-Range") == ETAG else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if path in far.names:
                self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(far.names[path], safe='')}")
            self.send_header("ETag", ETAG)
            self.send_header("Content-Length", str(far.stated_bytes.get(path, len(content) - start)))
            self.end_headers()
            end = start + far.breaks_after.pop(0) if far.breaks_after else len(content)
            self.wfile.write(content[start:end])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    far.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield far
    finally:
        server.shutdown()
        server.server_close()
