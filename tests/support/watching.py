"""A page of a run that is watched: what it was told, how its stream fared, and whether it shows every step once."""

from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page

from support.browser_people import PATIENCE_MS, Person, arrive
from support.server import Server
from support.web_alone import ToldJob, WebAlone

WATCH = """
window.told = [];
window.states = [];
document.addEventListener("kargah:event", ({ detail }) => window.told.push(detail.position));
new MutationObserver(() => window.states.push(document.documentElement.dataset.stream))
  .observe(document, { subtree: true, attributes: true, attributeFilter: ["data-stream"] });
"""
DRAWN = "() => Object.fromEntries([...document.querySelector('run-chart').curves].map(([key, points]) => [key, [...points]]))"


def visitor(chromium: Browser, url: str, token: str) -> Person:
    someone = arrive(chromium, Server(Path(), url, None))  # type: ignore[arg-type]
    someone.context.add_cookies([{"name": "kargah_session", "value": token, "url": url}])
    someone.context.add_init_script(WATCH)
    return someone


def look(person: Person, run_id: str, steps: int = 20) -> tuple[Page, int]:
    """The page of a run once its first steps are drawn, and the position from which it is told what happens."""
    page = person.go(f"/runs/{run_id}")
    since = int(page.evaluate("new URL(document.body.dataset.stream, location).searchParams.get('since')"))
    page.wait_for_function("steps => document.querySelector('run-chart').dataset.points >= steps", arg=steps, timeout=4 * PATIENCE_MS)
    until(page, "on")
    return page, since


def until(page: Page, state: str) -> None:
    page.wait_for_function("state => document.documentElement.dataset.stream === state", arg=state)


def states(page: Page) -> list[str]:
    """As they came one after the other."""
    found: list[str] = page.evaluate("window.states.filter((state, index) => state !== window.states[index - 1])")
    return found


def assert_whole(page: Page, positions: list[int], api: httpx.Client, job_id: str, steps: int) -> None:
    """The page was told every event once and in order, and has every point once, with the very values of the API."""
    page.wait_for_selector("#run-state .COMPLETED", timeout=4 * PATIENCE_MS)
    assert page.evaluate("window.told") == positions
    answer = api.get(f"/api/v1/jobs/{job_id}/curve", params={"max_points": 10_000})
    known: dict[str, list[Any]] = answer.raise_for_status().json()["series"]
    drawn = page.evaluate(DRAWN)
    assert {key: sorted(points) for key, points in drawn.items()} == known
    assert [step for step, _ in known["loss"]] == list(range(1, steps + 1))


def see(page: Page, seen: bool) -> None:
    """Headless pages are never hidden: this one is told so."""
    page.evaluate("hidden => Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })", not seen)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


class Watched:
    """A run whose page is open."""

    def __init__(self, web: WebAlone, person: Person) -> None:
        self.web, self.person = web, person
        self.job: ToldJob = web.submit()
        self.job.steps(20)
        self.page, self.since = look(person, self.job.run_id)

    def assert_whole(self) -> None:
        """After more steps, and the end."""
        self.job.steps(20)
        self.job.finish()
        until(self.page, "ended")
        with self.web.client() as api:
            assert_whole(self.page, self.job.positions(self.since), api, self.job.id, self.job.last_step)
