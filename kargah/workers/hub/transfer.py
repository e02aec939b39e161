"""The bytes of all wanted files, side by side over a few connections, each verified before it has a name."""

import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path

from kargah.contract.plans import DownloadPlan
from kargah.kit import files, pieces
from kargah.workers.hub import link
from kargah.workers.hub.errors import HubSentOtherBytes
from kargah.workers.hub.link import Broken, Link, Refused
from kargah.workers.hub.parts import Part, Patch, Region
from kargah.workers.hub.sources import Answer, Sources
from kargah.workers.hub.tree import Tree
from kargah.workers.telling import SPARE_BYTES, NoRoom, Teller

#: A file whose bytes are wrong once may have met a bad link; twice, it is the hub's.
TRIES = 2
PROGRESS_SECONDS, LONGEST_PROGRESS_SECONDS = 0.5, 5.0
SPEED_SECONDS = 20.0
#: Fewer bytes than these in the time after which silence counts as broken are silence too.
LEAST_BYTES = 4 << 10
_LOOK_SECONDS = 0.1
#: As much as a file of sixteen terabytes needs.
_MOST_HASHES_BYTES = 32 << 20


class Halted(Exception):
    """Another thread's failure, or a wish, ends this one."""


class Pace:
    """At most so many bytes a second, over all threads."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, size_bytes: int, check: Callable[[], None]) -> None:
        if self._bytes_per_second is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() - 1.0) + size_bytes / self._bytes_per_second
            until = self._free_at
        while (left := until - time.monotonic()) > 0:
            check()
            time.sleep(min(left, _LOOK_SECONDS))


class Transfer:
    """Of ``listed`` into ``folder``. ``check`` raises when the work must end; it is called in the main thread only.

    ``address_of``: where a hub has the file at a path, asked anew for each answer.
    """

    def __init__(
        self, plan: DownloadPlan, listed: Tree, folder: Path, the_link: Link, tell: Teller, check: Callable[[], None],
        address_of: Callable[[str, str], str],
    ) -> None:  # fmt: skip
        self._address_of = address_of
        self._plan, self._tree, self._link, self._tell, self._check = plan, listed, the_link, tell, check
        self._folder = folder
        self.parts = {file.key: Part(folder, file) for file in listed.files}
        self._sources = Sources(plan.hubs, plan.patience_seconds, self._require_going, self._say_failure)
        self._pace = Pace(plan.rate_bytes_per_second)
        self._work: queue.SimpleQueue[Region] = queue.SimpleQueue()
        self._left = 0
        self._lock = threading.Lock()
        self._halted = threading.Event()
        self._error: BaseException | None = None
        self._wrong: Counter[str] = Counter()
        self._givers: defaultdict[str, set[str]] = defaultdict(set)
        self.fetched_bytes = 0

    def run(self) -> None:
        """Until every part is whole, after ``prepare``. Raises what ended it; what has come stays."""
        threads = [threading.Thread(target=self._fetch_all, daemon=True) for _ in range(min(self._plan.connections, self._left))]
        for thread in threads:
            thread.start()
        try:
            self._watch()
        finally:
            self._halted.set()
            self._link.hang_up()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        for part in self.parts.values():
            if not part.is_whole:  # of no bytes, and not by the hash of none
                raise HubSentOtherBytes(path=part.file.path)

    def prepare(self) -> None:
        """What earlier attempts and other downloads have brought is counted, and what is missing queued."""
        for part in self.parts.values():
            with part.held(self._check), part.finishing:
                if part.finish() is not True:
                    self._queue(part)

    def _queue(self, part: Part) -> None:
        """What is missing of it; of one that is all there and wrong its first region, and whoever takes that mends it."""
        regions = [Region(part, number) for number in range(len(part.bounds))]
        for region in [one for one in regions if one.missing[0] < one.missing[1]] or regions[:1]:
            self._left += 1
            self._work.put(region)

    def _watch(self) -> None:
        speed, began, told = Speed(), time.monotonic(), 0.0
        while not self._halted.is_set() and self._left:
            self._check()
            now = time.monotonic()
            speed.note(now, self.fetched_bytes)
            if now - told >= min(LONGEST_PROGRESS_SECONDS, max(PROGRESS_SECONDS, (now - began) / 100)):
                told = now
                self._say_progress(speed.bytes_per_second)
            self._halted.wait(_LOOK_SECONDS)
        if self._error is None:
            self._say_progress(speed.bytes_per_second)

    @property
    def there_bytes(self) -> int:
        """What need not come any more."""
        return sum(part.there_bytes for part in self.parts.values())

    def _say_progress(self, bytes_per_second: float) -> None:
        done, total = self.there_bytes, sum(part.file.size_bytes for part in self.parts.values())
        resting = self._sources.resting
        if resting is not None and bytes_per_second < 1:
            self._tell("Progress", done=done, total=total, unit="bytes", code="download.waits_for_hub", params={"hub": resting})
            return
        params = {"speed_bytes": round(bytes_per_second)}
        if bytes_per_second >= 1:
            params["left_seconds"] = round((total - done) / bytes_per_second)
        code = "download.fetching_left" if "left_seconds" in params else "download.fetching"
        self._tell("Progress", done=done, total=total, unit="bytes", code=code, params=params)

    def _say_failure(self, hub: str, reason: str) -> None:
        self._tell.log("download.hub_failed", level="warning", hub=hub, reason=reason)

    def _require_going(self) -> None:
        if self._halted.is_set():
            raise Halted

    def _fetch_all(self) -> None:
        try:
            while True:
                region = self._work.get_nowait()
                with region.part.held(self._require_going):
                    self._fetch(region)
                    with region.part.finishing:
                        self._finish(region.part)
                with self._lock:
                    self._left -= 1
        except (queue.Empty, Halted):
            return
        except (Exception, NoRoom) as error:  # noqa: BLE001 - the edge of a thread: told in the main one
            with self._lock:
                self._error = self._error or self._named(error)
            self._halted.set()

    def _finish(self, part: Part) -> None:
        """Once all is there. Of one that is wrong its wrong pieces come again, if the hub tells the hashes of pieces; else all of it."""
        path = part.file.path
        while part.finish() is False:
            self._wrong[path] += 1
            if self._wrong[path] >= max(TRIES, len(self._plan.hubs)):
                part.forget()
                raise HubSentOtherBytes(path=path)
            self._tell.log("download.wrong_bytes", level="warning", path=path)
            self._sources.distrust(self._givers.pop(path, set()))
            piece_bytes, right = self._ask(part, lambda hub: self._pieces(hub, part))
            for start, end in part.differing(piece_bytes, right) if right else []:
                self._fetch(Patch(part, start, end))
            if not right:
                part.forget()
                with self._lock:
                    self._queue(part)

    def _named(self, error: BaseException) -> BaseException:
        return NoRoom(self._missing_bytes + SPARE_BYTES, files.free_bytes(self._folder)) if files.is_full(error) else error

    @property
    def _missing_bytes(self) -> int:
        return sum(part.file.size_bytes for part in self.parts.values()) - self.there_bytes

    def _ask(self, part: Part, give: Callable[[str], Answer], progress: Callable[[], int] = lambda: 0) -> Answer:
        what = {"repository": f"{self._plan.repository}/{part.file.path}", "revision": self._tree.commit}
        return self._sources.ask(what, give, progress)

    def _fetch(self, wanted: Region | Patch) -> None:
        if wanted.missing[0] < wanted.missing[1]:
            self._ask(wanted.part, lambda hub: self._receive(hub, wanted), lambda: wanted.missing[0])

    def _receive(self, hub: str, wanted: Region | Patch) -> None:
        (start, end), file = wanted.missing, wanted.part.file
        with self._link.answer(self._address_of(hub, file.path), {"Range": f"bytes={start}-{end - 1}"}) as answer:
            _require_range(answer, start, file.size_bytes)
            self._givers[file.path].add(hub)
            since, lately = time.monotonic(), 0
            for chunk in link.chunks(answer):
                self._require_going()
                chunk = chunk[: end - wanted.missing[0]]
                wanted.write(chunk)
                self._count(len(chunk))
                if wanted.missing[0] >= end:
                    return
                self._pace.take(len(chunk), self._require_going)
                lately += len(chunk)
                if time.monotonic() - since > self._plan.silence_seconds:
                    if lately < LEAST_BYTES:
                        raise Broken(f"{lately} bytes in {self._plan.silence_seconds:.0f} s")
                    since, lately = time.monotonic(), 0
        if wanted.missing[0] < end:
            raise Broken("the answer broke off")

    def _pieces(self, hub: str, part: Part) -> tuple[int, bytes]:
        """How long the pieces of a file are, and their hashes; none of a hub that does not tell them, as most do not."""
        if part.file.size_bytes <= pieces.SMALLEST_BYTES:
            return 0, b""
        address = self._address_of(hub, part.file.path)
        with self._link.answer(address, {"Range": "bytes=0-0"}) as answer:
            said = answer.getheader(pieces.HEADER, "")
        if not (said.isascii() and said.isdigit() and len(said) < 19 and pieces.SMALLEST_BYTES <= int(said) <= pieces.LARGEST_BYTES):
            return 0, b""
        expected_bytes = pieces.HASH_BYTES * pieces.count(part.file.size_bytes, int(said))
        if expected_bytes > _MOST_HASHES_BYTES:
            return 0, b""
        try:
            return int(said), self._hashes(f"{address}?{pieces.QUERY}", expected_bytes)
        except Refused:
            return 0, b""

    def _hashes(self, address: str, expected_bytes: int) -> bytes:
        """So many bytes, or none where there are more."""
        found = bytearray()
        with self._link.answer(address, {}) as answer:
            for chunk in link.chunks(answer):
                self._require_going()
                found += chunk
                self._count(len(chunk))
                if len(found) > expected_bytes:
                    return b""
        if len(found) < expected_bytes:
            raise Broken("the answer broke off")
        return bytes(found)

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self.fetched_bytes += size_bytes


class Speed:
    """Bytes a second over the last while."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, total_bytes: int) -> None:
        self._noted.append((now, total_bytes))
        while now - self._noted[0][0] > SPEED_SECONDS:
            self._noted.popleft()

    @property
    def bytes_per_second(self) -> float:
        if len(self._noted) < 2:
            return 0.0
        (before, first), (now, last) = self._noted[0], self._noted[-1]
        return (last - first) / max(1e-3, now - before)


def _require_range(answer: HTTPResponse, start: int, size_bytes: int) -> None:
    """The part that was asked for, of a file as long as was announced. Raises Broken."""
    if answer.status == 206:
        said = answer.getheader("Content-Range", "").removeprefix("bytes").strip()
        if said.partition("-")[0] != str(start) or said.rpartition("/")[2] not in {str(size_bytes), "*"}:
            raise Broken(f"Content-Range: {said[:80]}", strange=True)
    elif start or answer.length not in {size_bytes, None}:
        raise Broken("no parts of files" if start else f"{answer.length} bytes", strange=True)
