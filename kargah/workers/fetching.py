"""A file from the network, for an import: only from where it may come, no larger than it may be, and gone on with where it broke off.

The part lies in the job's own folder, ``fetch/part``, so that a later attempt goes on with it.
"""

import http.client
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote, urljoin

import kargah
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import FetchWish, IngestPlan
from kargah.contract.results import OutputFile
from kargah.kit import addresses, files
from kargah.kit.addresses import Target
from kargah.kit.errors import BadInput, KargahError
from kargah.workers import connecting
from kargah.workers.telling import SPARE_BYTES, NoRoom, Teller
from kargah.workers.wants import PauseWanted, TerminateWanted

MOST_REDIRECTS = 5
#: In a row, without a byte that arrives between them.
RETRIES = 5
_SILENCE_SECONDS = 30.0
_CHUNK_BYTES = 256 << 10
_PROGRESS_SECONDS = 0.5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class RemoteRefused(KargahError):
    """``url`` (without its query) answered with ``http_status``."""

    code = "REMOTE_REFUSED"


class RemoteUnreachable(KargahError):
    """``url``, ``reason``: as the system says it."""

    code = "REMOTE_UNREACHABLE"


class RemoteTooLarge(BadInput):
    """``limit_bytes``."""

    code = "REMOTE_TOO_LARGE"


class TooManyRedirects(BadInput):
    """``limit``."""

    code = "TOO_MANY_REDIRECTS"


class FetchTooSlow(KargahError):
    """``limit_seconds``."""

    code = "FETCH_TOO_SLOW"


class _Broken(Exception):
    """The link broke, or the other end is unwell: worth another try."""


@dataclass(frozen=True)
class Fetched:
    filename: str
    source: OutputFile


class Fetch:
    def __init__(self, wish: FetchWish, directory: AttemptDirectory, tell: Teller, check: Callable[[], None]) -> None:
        self._wish, self._tell, self._check = wish, tell, check
        self._outputs = directory.outputs / "source"
        self._input = directory.inputs
        self._folder = directory.job_path / "fetch"
        self._part, self._state = self._folder / "part", self._folder / "state.json"
        self._until_seconds = time.monotonic() + wish.limit_seconds
        self._told_seconds = 0.0
        self._filename = ""

    def run(self, name: str) -> Fetched:
        """The file as ``inputs/<name>`` for this attempt, and in ``outputs/source`` to be kept."""
        self._folder.mkdir(exist_ok=True)
        self._part.touch()
        failed, before = 0, -1
        while not self._is_whole():
            there = self._part.stat().st_size
            failed = failed + 1 if there == before else 1
            before = there
            if failed > 1:
                self._rest(failed)
            try:
                self._try()
            except _Broken as error:
                if failed > RETRIES:
                    raise RemoteUnreachable(url=addresses.parsed(self._wish.url).shown, reason=str(error)) from error
        return self._kept(name)

    def _is_whole(self) -> bool:
        return bool(self._known().get("whole"))

    def _known(self) -> dict[str, str]:
        """What was learned of the file: validator, name, and whether all of it is there."""
        try:
            known: dict[str, str] = files.read_json(self._state)
        except (FileNotFoundError, ValueError):
            return {}
        return known

    def _rest(self, failed: int) -> None:
        until_seconds = time.monotonic() + min(8.0, 0.25 * 2**failed)
        while time.monotonic() < until_seconds:
            self._check_all()
            time.sleep(0.05)

    def _check_all(self) -> None:
        self._check()
        if time.monotonic() > self._until_seconds:
            raise FetchTooSlow(limit_seconds=self._wish.limit_seconds)

    def _try(self) -> None:
        target = addresses.parsed(self._wish.url)
        for _ in range(MOST_REDIRECTS + 1):
            with self._answer_of(target) as answer:
                if answer.status not in _REDIRECTS:
                    self._take(target, answer)
                    return
                target = addresses.parsed(urljoin(target.url, answer.getheader("Location", "")))
        raise TooManyRedirects(limit=MOST_REDIRECTS)

    @contextmanager
    def _answer_of(self, target: Target) -> Iterator[http.client.HTTPResponse]:
        """Every hop is judged anew, and the connection goes to the address that was judged: a name cannot change its mind between."""
        self._check_all()
        address = str(addresses.resolved(target, self._wish.allow))
        with closing(connecting.direct(target, address, _SILENCE_SECONDS)) as connection:
            try:
                connection.request("GET", target.path, headers=self._headers(target))
                yield connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                if files.is_full(error):
                    raise
                raise _Broken(str(error) or type(error).__name__) from error

    def _headers(self, target: Target) -> dict[str, str]:
        headers = {"Host": target.authority, "User-Agent": f"Kargah/{kargah.__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        there, validator = self._part.stat().st_size, self._known().get("validator")
        if there and validator:
            headers |= {"Range": f"bytes={there}-", "If-Range": validator}
        return headers

    def _take(self, target: Target, answer: http.client.HTTPResponse) -> None:
        there = self._part.stat().st_size
        if answer.status in _PASSING:
            raise _Broken(f"HTTP {answer.status}")
        is_rest = answer.status == 206 and _starts_at(answer.getheader("Content-Range", "")) == there
        if not is_rest:
            if answer.status == 416 or answer.status == 206:  # the part is of no use: from the start, with no range asked for
                self._forget()
                raise _Broken(f"HTTP {answer.status}")
            if answer.status != 200:
                raise RemoteRefused(url=target.shown, http_status=answer.status)
            self._forget()
            there = 0
        total = there + answer.length if answer.length is not None else None
        self._require_room(total or there, there)
        name = _filename_of(answer.headers, target)
        validator = answer.getheader("ETag") or answer.getheader("Last-Modified") or ""
        files.write_json(self._state, {"validator": "" if validator.startswith("W/") else validator, "name": name})
        self._receive(answer, there, total)
        files.write_json(self._state, {"name": name, "whole": True})

    def _forget(self) -> None:
        self._state.unlink(missing_ok=True)
        with self._part.open("wb"):
            pass

    def _require_room(self, total: int, there: int) -> None:
        if total > self._wish.limit_bytes:
            raise RemoteTooLarge(limit_bytes=self._wish.limit_bytes)
        free_bytes, needed_bytes = files.free_bytes(self._folder), total - there + SPARE_BYTES
        if free_bytes < needed_bytes:
            raise NoRoom(needed_bytes, free_bytes)

    def _receive(self, answer: http.client.HTTPResponse, there: int, total: int | None) -> None:
        with self._part.open("ab") as part:
            while chunk := answer.read1(_CHUNK_BYTES):
                there += len(chunk)
                if there > self._wish.limit_bytes:
                    raise RemoteTooLarge(limit_bytes=self._wish.limit_bytes)
                part.write(chunk)
                self._check_all()
                self._say(there, total)
        if total is not None and there < total:
            self._told_seconds = 0.0
            self._say(there, total)
            raise _Broken(f"{there} < {total}")

    def _say(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS or done == total:
            self._told_seconds = now
            self._tell("Progress", done=done, total=total, unit="bytes", code="datasets.fetching")

    def _kept(self, name: str) -> Fetched:
        digest = files.digest_of(self._part)
        self._outputs.mkdir(exist_ok=True)
        files.link_or_copy(self._part, self._outputs / name)
        files.link_or_copy(self._part, self._input / name)
        source = OutputFile(path=name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
        return Fetched(self._known()["name"], source)


@contextmanager
def fetched(
    plan: IngestPlan, directory: AttemptDirectory, tell: Teller, check: Callable[[], None]
) -> Iterator[tuple[IngestPlan, Fetched | None]]:
    """For the import inside: the plan as it is when the file lies where an uploaded one would, under the name that it came with.

    What a later attempt would go on with is kept as long as there may be one: not once the file was read, or cannot be.
    """
    if plan.fetch is None:
        yield plan, None
        return
    try:
        got = Fetch(plan.fetch, directory, tell, check).run(plan.file)
        yield plan.model_copy(update={"filename": got.filename[:400]}), got
    except (PauseWanted, TerminateWanted, NoRoom):
        raise
    except BaseException:
        shutil.rmtree(directory.outputs / "source", ignore_errors=True)
        shutil.rmtree(directory.job_path / "fetch", ignore_errors=True)
        raise
    shutil.rmtree(directory.job_path / "fetch", ignore_errors=True)


def _starts_at(content_range: str) -> int | None:
    match = _RANGE.fullmatch(content_range.strip())
    return int(match[1]) if match else None


def _filename_of(headers: Message, target: Target) -> str:
    """As the other end calls it: words to be shown, never a path."""
    stated = headers.get_filename()
    if stated is None:
        return unquote(target.path.partition("?")[0].rstrip("/").rpartition("/")[2]) or target.host
    try:
        return stated.encode("latin-1").decode("utf-8")  # many servers write UTF-8 where the header has none
    except UnicodeError:
        return stated
