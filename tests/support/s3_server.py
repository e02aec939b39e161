"""An object store for tests: ListObjectsV2, HEAD and GET by Range and If-Match, on a port of its own, misbehaving as told.

Signatures (AWS version 4, in headers and in addresses) are computed here from what AWS wrote down of them, and nothing is answered
without a right one.
"""

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

KEY, SECRET = "reader", "a-secret-of-the-store-42"
PAGE = 3
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Fault:
    """Of one answer with bytes of a key that ends so: ``status`` in its place, or a cut after so many bytes."""

    key: str = ""
    status: int | None = None
    cut_after: int | None = None


@dataclass
class FakeStore:
    """``objects``: key → bytes of the one bucket. ``etags``: of those that say another mark than that of their bytes.

    ``read``: (key, Range) of each answer with bytes. ``faults`` are used up, one an answer with bytes.
    """

    url: str = ""
    bucket: str = "shelf"
    objects: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    is_locked: bool = False

    def etag_of(self, key: str) -> str:
        return self.etags.get(key) or hashlib.md5(self.objects[key], usedforsecurity=False).hexdigest()


@contextmanager
def fake_store(**objects: bytes) -> Iterator[FakeStore]:
    store = FakeStore(objects=dict(objects))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": store}))
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    store: FakeStore
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        if self.store.is_locked:
            self._refuse(403, "AccessDenied")
        elif (wrong := self._wrong(asked)) is not None:
            self._refuse(403, wrong)
        elif bucket != self.store.bucket:
            self._refuse(404, "NoSuchBucket")
        elif not key:
            self._list(asked)
        elif key not in self.store.objects:
            self._refuse(404, "NoSuchKey")
        elif self.headers.get("If-Match", f'"{self.store.etag_of(key)}"') != f'"{self.store.etag_of(key)}"':
            self._refuse(412, "PreconditionFailed")
        else:
            self._give(key)

    def _wrong(self, asked: dict[str, str]) -> str | None:
        """The code of what is wrong with the signature, if anything."""
        said = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if said is not None:
            credential, names, signature = said.groups()
            moment, payload, query = self.headers["X-Amz-Date"], self.headers["X-Amz-Content-SHA256"], asked
        elif "X-Amz-Signature" in asked:
            credential, names, signature = (asked[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature"))
            query = {name: value for name, value in asked.items() if name != "X-Amz-Signature"}
            moment, payload = asked["X-Amz-Date"], "UNSIGNED-PAYLOAD"
        else:
            return "AccessDenied"
        key, _, scope = credential.partition("/")
        if key != KEY:
            return "InvalidAccessKeyId"
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names.split(";"))
        path = quote(unquote(urlsplit(self.path).path), safe="/-_.~")
        told = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        canonical = "\n".join([self.command, path, told, headers, names, payload])
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signing = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        return None if hmac.compare_digest(hmac.digest(signing, text.encode(), "sha256").hex(), signature) else "SignatureDoesNotMatch"

    def _list(self, asked: dict[str, str]) -> None:
        self.store.listed.append(asked.get("prefix", ""))
        prefix, after = asked.get("prefix", ""), asked.get("continuation-token", "")
        found = sorted(key for key in self.store.objects if key.startswith(prefix) and key > after)
        shown, more = found[:PAGE], len(found) > PAGE
        contents = "".join(
            f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><Size>{len(self.store.objects[key])}</Size>"
            f"<ETag>&quot;{self.store.etag_of(key)}&quot;</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in shown
        )
        following = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"<ListBucketResult><Name>{self.store.bucket}</Name><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}"
            f"</IsTruncated><KeyCount>{len(shown)}</KeyCount>{following}{contents}</ListBucketResult>".encode(),
            {"Content-Type": "application/xml"},
        )

    def _give(self, key: str) -> None:
        content, part = self.store.objects[key], _RANGE.fullmatch(self.headers.get("Range", ""))
        marks = {"ETag": f'"{self.store.etag_of(key)}"', "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._answer(200, content, marks)
            return
        self.store.read.append((key, self.headers.get("Range", "")))
        fault = next((one for one in self.store.faults if key.endswith(one.key)), Fault())
        self.store.faults = [one for one in self.store.faults if one is not fault]
        if fault.status is not None:
            self._refuse(fault.status, "SlowDown")
        elif part is None:
            self._answer(200, content, marks, fault.cut_after)
        else:
            start, end = int(part[1]), min(len(content), int(part[2] or len(content)) + 1)
            marks["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            self._answer(206, content[start:end], marks, fault.cut_after)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str], cut_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut_after])
        if cut_after is not None:
            self.wfile.flush()
            self.close_connection = True
