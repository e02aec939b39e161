"""A real server, a real Chromium, and pages that fail the test when they complain."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.server import Server, running

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 60_000
EMAIL, PASSWORD, NAME = "narges@example.org", "a quiet workshop 42", "نرگس رحیمی"


@dataclass
class Person:
    """Somebody at a browser. ``complaints``: console errors, exceptions and refusals of the content security policy."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def overflow_pixels(self) -> int:
        pixels: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return pixels


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(f"there is no browser at {CHROMIUM}")
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where one person, the admin, has an account."""
    with running(tmp_path_factory.mktemp("home"), rate_limit_per_minute=100_000, login_rate_limit_per_minute=10_000) as server:
        account = {"email": EMAIL, "password": PASSWORD, "name": NAME}
        assert server.client(None).post("/api/v1/auth/register", json=account).status_code == 201
        yield server


def arrive(chromium: Browser, server: Server, *, language: str = "fa", width: int = 1280, height: int = 900) -> Person:
    context = chromium.new_context(locale={"fa": "fa-IR", "en": "en-US"}[language], viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    person = Person(context, page, server.url)
    page.on("console", lambda message: person.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    return person


@pytest.fixture
def person(chromium: Browser, site: Server) -> Iterator[Person]:
    someone = arrive(chromium, site)
    yield someone
    someone.context.close()


def register(person: Person, email: str, name: str) -> None:
    page = person.go("/register")
    page.fill("#name", name)
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("button.go")
    page.wait_for_url(person.url + "/")


def log_in(person: Person, email: str = EMAIL, password: str = PASSWORD) -> None:
    page = person.go("/login")
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("button.go")
    page.wait_for_url(person.url + "/")


def enter(person: Person, server: Server, language: str = "fa") -> None:
    """Signed in as the server's admin by the cookie alone, in ``language``."""
    server.client().patch("/api/v1/auth/me", json={"language": language}).raise_for_status()
    person.context.add_cookies([{"name": "kargah_session", "value": server.token, "url": person.url}])


def upload(person: Person, path: Path, title: str) -> str:
    """The id of the data set, once it is read."""
    page = person.go("/datasets")
    page.set_input_files("#file", path)
    page.fill("#title", title)
    page.click("file-drop button.go")
    page.wait_for_url("**/datasets/ds_*")
    page.wait_for_selector("#dataset-state .badge:is(.ready, .warn)")
    return page.url.rpartition("/")[2].partition("?")[0]
