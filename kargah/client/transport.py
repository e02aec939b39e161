"""HTTP to one server: addresses, credentials, and errors turned into ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from kargah.client.errors import Refused, ServerUnreachable
from kargah.kit import files

DEFAULT_URL = "http://127.0.0.1:8420"
UPLOAD_TIMEOUT_SECONDS = 3600.0


class Transport:
    """``url`` and ``token`` fall back to KARGAH_SERVER and KARGAH_TOKEN. A login replaces the token."""

    def __init__(self, url: str | None, token: str | None, language: str | None, timeout_seconds: float) -> None:
        self.url = (url or os.environ.get("KARGAH_SERVER") or DEFAULT_URL).rstrip("/")
        self.token = token or os.environ.get("KARGAH_TOKEN")
        self._language = language
        try:
            self._http = httpx.Client(base_url=self.url, timeout=timeout_seconds)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ServerUnreachable(url=self.url, reason=str(error)) from error

    def json(self, method: str, path: str, **request: Any) -> Any:
        """The parsed answer; null for an empty one. Raises Refused, ServerUnreachable."""
        answer = self.send(method, path, **request)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise ServerUnreachable(url=self.url, reason=f"{answer.status_code} {answer.headers.get('content-type')}") from error

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, headers=self.headers(headers), **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        _raise_refusal(answer)
        return answer

    @contextmanager
    def stream(self, path: str, *, headers: dict[str, str] | None = None, read_timeout_seconds: float) -> Iterator[httpx.Response]:
        """An answer read piece by piece. A connection that breaks in the middle raises ServerUnreachable too."""
        timeout = httpx.Timeout(10.0, read=read_timeout_seconds)
        try:
            with self._http.stream("GET", path, headers=self.headers(headers), timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    _raise_refusal(answer)
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

    def download(self, path: str, target: str | os.PathLike[str]) -> Path:
        """An answer as a file at ``target``: whole, or not there."""
        destination = Path(target)
        with self.stream(path, read_timeout_seconds=60.0) as answer, files.atomic_writer(destination) as file:
            for chunk in answer.iter_bytes(files.CHUNK_BYTES):
                file.write(chunk)
        return destination

    def close(self) -> None:
        self._http.close()

    def headers(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        headers = dict(extra or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self._language:
            headers["Accept-Language"] = self._language
        return headers

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(url=self.url, reason=str(error) or type(error).__name__)


def _raise_refusal(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    raise Refused(answer.status_code, problem if isinstance(problem, dict) else {})
