"""Downloads from a second Kargah as the hub, through a proxy that cuts, slows down and spoils, and with the downloader killed.

    scripts/downloads.py --kills 50 --megabytes 96

Every download must end complete and verified, or with one last word that names a reason; no part may be left behind one that is
complete; and what the link carries twice may be no more than a hundredth. The last line says so. Answers are slowed down to ten
seconds a file: what a socket holds when its process is killed is lost, and should be what was in the air and not what a machine with
other work had not come to read.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.hub_server import FakeHub, Fault, fake_hub  # noqa: E402
from support.model_folders import write_safetensors  # noqa: E402
from support.server import running_with_admin  # noqa: E402

from kargah.client import Kargah  # noqa: E402
from kargah.contract import wire  # noqa: E402
from kargah.contract.attempt import AttemptDirectory  # noqa: E402
from kargah.contract.events import LAST_WORDS  # noqa: E402
from kargah.contract.hubs import HubAccess, downloads_folder  # noqa: E402
from kargah.contract.plans import DownloadPlan  # noqa: E402
from kargah.kit import files  # noqa: E402

TWICE_SHARE = 0.01
PATIENCE_SECONDS = 180.0
#: Of one connection.
BYTES_PER_SECOND = 2_400_000
DEAD = Fault(cut_after=0)


@dataclass
class Upstream:
    repository: str
    folder: Path
    token: str
    size_bytes: int


class Broken(AssertionError):
    """A promise that was not kept."""


class Downloader:
    """One download in a home of its own, over as many attempts as it takes."""

    def __init__(self, proxy: FakeHub, upstream: Upstream, folder: Path, **plan: Any) -> None:
        self.home, self._proxy, self._upstream, self._number = folder, proxy, upstream, 0
        self._plan = {"patience_seconds": 30.0, **plan}
        self._before = proxy.sent_bytes
        HubAccess(token=upstream.token, token_for=proxy.url).write(folder)

    def start(self) -> tuple[AttemptDirectory, "subprocess.Popen[bytes]"]:
        self._number += 1
        directory = AttemptDirectory.of(self.home, "job_1", self._number)
        for place in (directory.inputs, directory.outputs):
            place.mkdir(parents=True)
        named = {"repository": self._upstream.repository, "hubs": [self._proxy.url], "allow": ["127.0.0.1"]}
        plan = DownloadPlan(job_id="job_1", attempt=self._number, **{**named, **self._plan})
        files.write_bytes(directory.plan, plan.model_dump_json().encode())
        with directory.log.open("wb") as log:
            command = [sys.executable, "-m", "kargah.workers.downloading", str(directory.path)]
            return directory, subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)

    def kill_at(self, share: float) -> None:
        """Kill -9 when so much of it was sent."""
        _, process = self.start()
        aim = self._before + share * self._upstream.size_bytes
        wait_for(lambda: self._proxy.sent_bytes >= aim or process.poll() is not None)
        process.kill()
        process.wait()

    def finish(self) -> str:
        """The last word: "" for complete and verified, else the code of what ended it."""
        directory, process = self.start()
        if process.wait(timeout=PATIENCE_SECONDS):
            raise Broken(directory.log.read_text())
        events = [wire.decode(line) for line, _ in wire.whole_lines(directory.events, 0, 1 << 30)]
        if [event.kind for event in events if event.kind in LAST_WORDS] != [events[-1].kind]:
            raise Broken("not exactly one last word")
        last: Any = events[-1]
        if last.kind == "Failed":
            return str(last.code)
        for file in last.result["files"]:
            if (directory.outputs / "repository" / file["path"]).read_bytes() != (self._upstream.folder / file["path"]).read_bytes():
                raise Broken(f"{file['path']} differs")
        if left := [path.name for path in downloads_folder(self.home).iterdir() if path.suffix in {".part", ".have"}]:
            raise Broken(f"left behind: {left}")
        return ""

    @property
    def twice_share(self) -> float:
        return max(0.0, (self._proxy.sent_bytes - self._before) / self._upstream.size_bytes - 1)


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise Broken("it never came to that")
        time.sleep(0.002)


@contextlib.contextmanager
def upstream(folder: Path, megabytes: int) -> Iterator[tuple[str, Upstream]]:
    """A Kargah with one model, private to whoever has its token."""
    model = folder / "weights"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "bert"}')
    write_safetensors(model / "model.safetensors", [megabytes, 250, 1000])
    with (model / "model.safetensors").open("r+b") as weights:
        weights.seek(1000)
        for _ in range(megabytes):
            weights.write(os.urandom(1_000_000 - 1000))
    with running_with_admin(folder / "upstream", upload_limit_bytes=1 << 34) as server, Kargah(server.url, server.token) as kargah:
        kargah.models.upload(model, title="weights")
        listed = kargah.transport.json("GET", "/hub/api/models")
        size_bytes = sum(path.stat().st_size for path in model.iterdir())
        yield f"{server.url}/hub", Upstream(listed[0]["id"], model, server.token, size_bytes)


def scenarios(proxy: FakeHub, size_bytes: int) -> dict[str, tuple[Callable[[], None], set[str]]]:
    """Name → (what is wrong, which last words are right)."""

    def faults(*wrong: Fault) -> Callable[[], None]:
        return lambda: proxy.faults.extend(wrong)

    def always(wrong: Fault) -> Callable[[], None]:
        return lambda: setattr(proxy, "always", wrong)

    def slow() -> None:
        proxy.bytes_per_second = 1_000_000

    def every_five_percent() -> None:
        proxy.cuts = [proxy.sent_bytes + size_bytes * percent // 100 for percent in range(5, 100, 5)]

    def away_for_a_while() -> None:
        aim = proxy.sent_bytes + 2 * size_bytes // 5

        def go_and_come() -> None:
            wait_for(lambda: proxy.sent_bytes >= aim)
            proxy.always, proxy.era = DEAD, proxy.era + 1
            time.sleep(3)
            proxy.always = None

        threading.Thread(target=go_and_come, daemon=True).start()

    return {
        "cut at every 5 %": (every_five_percent, {""}),
        "every answer cut after 5 %": (always(Fault(cut_after=size_bytes // 20)), {""}),
        "throttled": (slow, {""}),
        "dead for three seconds": (away_for_a_while, {""}),
        "429, 500, 416, 503 in turn": (faults(*(Fault(status=status) for status in (429, 500, 416, 503) * 3)), {""}),
        "a wrong size, twice": (faults(Fault(wrong_size=True), Fault(wrong_size=True)), {""}),
        "always a wrong size": (always(Fault(wrong_size=True)), {"HUB_ANSWER_UNREADABLE"}),
        "always 500": (always(Fault(status=500)), {"HUB_UNREACHABLE"}),
        "always dead": (always(DEAD), {"HUB_UNREACHABLE"}),
        "bytes flipped once": (faults(*[Fault(flip_at=1000)] * 3), {""}),
        "a byte flipped always": (always(Fault(flip_at=1000)), {"HUB_SENT_OTHER_BYTES"}),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address, known = stack.enter_context(upstream(folder, options.megabytes))
        proxy = stack.enter_context(fake_hub())
        proxy.upstream = address
        worst = max(spoilt(proxy, known, folder), killed(proxy, known, folder, options.kills, random.Random(options.seed)))
    print(f"kept: every one of them complete or with one reason, nothing left behind, at most {worst:.2%} came twice")
    return 0


def spoilt(proxy: FakeHub, known: Upstream, folder: Path) -> float:
    worst = 0.0
    for name, (spoil, right) in scenarios(proxy, known.size_bytes).items():
        wait_for(lambda: proxy.answering == 0)  # whoever still reads for one who is gone would use up what goes wrong next
        proxy.bytes_per_second = BYTES_PER_SECOND
        patience_seconds = 3.0 if "HUB_UNREACHABLE" in right else 60.0
        download = Downloader(proxy, known, folder / "home", patience_seconds=patience_seconds)
        spoil()
        said = download.finish()
        print(f"{name:30} {said or 'complete':24} {download.twice_share:8.2%} twice", flush=True)
        if said not in right or download.twice_share > TWICE_SHARE:
            raise Broken(name)
        worst = max(worst, download.twice_share)
        proxy.always, proxy.faults, proxy.cuts = None, [], []
        shutil.rmtree(folder / "home")
    return worst


def killed(proxy: FakeHub, known: Upstream, folder: Path, kills: int, chance: random.Random) -> float:
    """Each at a random point, and finished by the next attempt; every fifth is killed twice."""
    worst, proxy.bytes_per_second = 0.0, BYTES_PER_SECOND
    for number in range(kills):
        download, shares = Downloader(proxy, known, folder / "home"), sorted(chance.random() for _ in range(2 if number % 5 == 4 else 1))
        for share in shares:
            download.kill_at(share)
        said = download.finish()
        print(
            f"killed at {', '.join(f'{share:.1%}' for share in shares):18} {said or 'complete':24} {download.twice_share:8.2%} twice",
            flush=True,
        )
        if said or download.twice_share > TWICE_SHARE:
            raise Broken(f"kill {number}")
        worst = max(worst, download.twice_share)
        shutil.rmtree(folder / "home")
    return worst


if __name__ == "__main__":
    sys.exit(main())
