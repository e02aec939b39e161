"""Screenshots of every page: fa and en, light and dark, desktop and phone, of a home that is furnished for it.

python scripts/shots.py FOLDER                          in a home of its own, which goes when they are taken
python scripts/shots.py FOLDER URL EMAIL PASSWORD       of a server that runs; the newest run, data set and model are shown
"""

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from kargah.cli import server_process
from kargah.client import Kargah

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SETTLE_MS = 800
FOLDER = Path("var/shots")
SAMPLES = Path(__file__).parents[1] / "kargah" / "datasets" / "samples"
LINE = Path(__file__).parents[1] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
ADMIN = {"email": "narges@example.org", "password": "a quiet workshop 42", "name": "نرگس رحیمی"}
PEOPLE = (("سارا محمدی", "sara@example.org", "trainer"), ("علی کاظمی", "ali@example.org", "viewer"))


@contextmanager
def furnished() -> Iterator[str]:
    """The address of a server over a home with data sets, people, and runs in every state that lasts."""
    with tempfile.TemporaryDirectory() as home:
        port = server_process.free_port("127.0.0.1", 8420)
        with server_process.serving(Path(home), "127.0.0.1", port) as url:
            token = httpx.post(f"{url}/api/v1/auth/register", json=ADMIN).raise_for_status().json()["token"]
            with Kargah(url, token) as kargah:
                furnish(kargah)
            yield url


def furnish(kargah: Kargah) -> None:
    line = kargah.datasets.upload(LINE, title="نقطه‌های یک خط")
    genres = kargah.datasets.upload(SAMPLES / "genre-fa.csv", title="گونهٔ متن فارسی")
    for name, email, role in PEOPLE:
        person = {"email": email, "password": ADMIN["password"], "name": name, "role": role}
        kargah.transport.json("POST", "/api/v1/users", json=person)
    kargah.jobs.wait(kargah.trainings.start(datasets=[line.id], spec={"epochs": 20}, title="خط راست").job.id)
    first = kargah.trainings.start(datasets=[genres.id], spec={"epochs": 8}, title="گونهٔ متن، نخستین آزمایش").job.id
    kargah.jobs.wait(first)
    stopped = kargah.trainings.start(datasets=[genres.id], spec={"epochs": 300}, title="گونهٔ متن، نرخ یادگیری بزرگ").job.id
    until_it_learns(kargah, stopped)
    kargah.jobs.stop(stopped)
    kargah.jobs.wait(kargah.trainings.start(datasets=[genres.id], title="پیش‌بینی", dry_run=True).job.id)
    kargah.jobs.wait(kargah.trainings.start(datasets=[genres.id], spec={"epochs": 12}, title="گونهٔ متن فارسی").job.id)
    until_it_learns(kargah, kargah.trainings.start(datasets=[genres.id], spec={"epochs": 300}, title="گونهٔ متن، آموزش بلند").job.id)
    kargah.trainings.start(datasets=[line.id], spec={"epochs": 100}, title="خط راست، بار دوم")


def until_it_learns(kargah: Kargah, job_id: str) -> None:
    for _ in kargah.jobs.events(job_id):
        if (kargah.jobs.show(job_id).progress.get("step") or 0) >= 5:
            return


def take_all(url: str, email: str, password: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for language, theme, size in itertools.product(("fa", "en"), ("light", "dark"), SIZES):
            page = open_page(browser, url, language, theme, size)
            take(page, f"{url}/login?language={language}", folder / f"login-{language}-{theme}-{size}.png")
            log_in(page, url, email, password, language)
            for name, path in pages_of(page, url).items():
                take(page, url + path, folder / f"{name}-{language}-{theme}-{size}.png")
            page.context.close()
        browser.close()


def open_page(browser: Browser, url: str, language: str, theme: str, size: str) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light")
    context.add_cookies([{"name": "kargah_language", "value": language, "url": url}])
    return context.new_page()


def log_in(page: Page, url: str, email: str, password: str, language: str) -> None:
    page.goto(f"{url}/login")
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("button.go")
    page.wait_for_url(f"{url}/")
    csrf = page.get_attribute("meta[name=csrf-token]", "content") or ""
    page.request.post(f"{url}/preferences", form={"_csrf": csrf, "language": language, "theme": "auto"}, headers={"Origin": url})


def pages_of(page: Page, url: str) -> dict[str, str]:
    """The fixed pages, and the newest finished run, data set and model."""
    found = {
        "home": "/",
        "start": "/start",
        "runs": "/runs",
        "running": "/runs",
        "run": "/runs?state=completed",
        "new-training": "/runs/new",
    }
    found |= {"datasets": "/datasets", "dataset": "/datasets", "models": "/models", "model": "/models", "account": "/account"}
    found |= {name: f"/{name}" for name in ("people", "settings", "help", "about", "analytics")}
    for name, link in {"run": ".jobs .t a", "running": ".jobs .t a", "dataset": ".jobs .t a", "model": ".model-title"}.items():
        page.goto(url + found[name])
        chosen = page.locator(link).nth(1) if name == "running" and page.locator(link).count() > 1 else page.locator(link).first
        found[name] = (chosen.get_attribute("href") if page.locator(link).count() else None) or found[name]
    found["new-training"] = f"/runs/new?dataset={found['dataset'].rpartition('/')[2]}"
    return {**found, "missing": "/no-such-page"}


def take(page: Page, address: str, path: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path, full_page="phone" not in path.name)


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    if arguments[1:]:
        url, email, password = arguments[1:]
        take_all(url.rstrip("/"), email, password, folder)
        return
    with furnished() as url:
        take_all(url, ADMIN["email"], ADMIN["password"], folder)


if __name__ == "__main__":
    main(sys.argv[1:])
