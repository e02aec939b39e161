"""A page left in a background tab: minutes in which its browser, its network and its server all go away for a while.

    scripts/soak.py --minutes 10

A real web process, a real Chromium, a run whose steps are written all the time. The page is hidden at once; while nobody looks
the browser freezes it, the server is held still, killed and started again. Looked at again it must show every step once and have
been told every event once, without a reload. The last line says so.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from playwright.sync_api import sync_playwright  # noqa: E402
from support.browser_people import CHROMIUM, FLAGS  # noqa: E402
from support.watching import Watched, see, states, visitor  # noqa: E402
from support.web_alone import WebAlone, web_alone  # noqa: E402

STEPS_A_SECOND = 4


class Soak:
    def __init__(self, web: WebAlone, run: Watched, seconds: float) -> None:
        self.web, self.run, self.seconds = web, run, seconds
        self.began_at = time.monotonic()
        self._devtools = run.person.context.new_cdp_session(run.page)

    def go_on(self, share: float) -> None:
        """Steps come in until this share of the time is over."""
        while (left := self.began_at + share * self.seconds - time.monotonic()) > 0:
            self.run.job.steps(STEPS_A_SECOND)
            time.sleep(min(1.0, left))

    def freeze(self, state: str) -> None:
        self._devtools.send("Page.setWebLifecycleState", {"state": state})

    def story(self) -> list[tuple[float, str, Callable[[], None]]]:
        return [
            (0.1, "the browser freezes the page", lambda: self.freeze("frozen")),
            (0.3, "and thaws it", lambda: self.freeze("active")),
            (0.4, "the server stands still", lambda: self.web.signal(signal.SIGSTOP)),
            (0.55, "and goes on", lambda: self.web.signal(signal.SIGCONT)),
            (0.65, "the server is killed", self.web.kill),
            (0.75, "and started again", self.web.start),
            (0.85, "killed and started at once", lambda: (self.web.kill(), self.web.start())[1]),
            (1.0, "somebody looks again", lambda: see(self.run.page, True)),
        ]

    def tell(self) -> None:
        for share, what, act in self.story():
            self.go_on(share)
            print(f"{time.monotonic() - self.began_at:6.0f} s  step {self.run.job.last_step:5}  {what}", flush=True)
            act()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, web_alone(Path(home) / "home") as web, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        run = Watched(web, visitor(browser, web.url, web.token))
        see(run.page, False)
        Soak(web, run, 60 * wanted.minutes).tell()
        run.assert_whole()
        told, went = len(run.page.evaluate("window.told")), states(run.page)
        browser.close()
    print(f"the stream was {', '.join(f'{went.count(state)} times {state}' for state in sorted(set(went)))}")
    print(f"{run.job.last_step} steps, {told} events told in {wanted.minutes:g} minutes in the background: 0 missing, 0 doubled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
