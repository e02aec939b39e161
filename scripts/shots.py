"""Screenshots of every page: fa and en, light and dark, desktop and phone.

    python scripts/shots.py http://127.0.0.1:8420 EMAIL PASSWORD FOLDER

Looks at a server that runs, as one who may log in there; the run, data set and model shown are the newest ones.
"""

import itertools
import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SETTLE_MS = 800


def main(url: str, email: str, password: str, folder: Path) -> None:
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
    """The fixed pages, and the newest of what has a page of its own."""
    found = {"home": "/", "runs": "/runs", "new-training": "/runs/new", "datasets": "/datasets", "models": "/models", "account": "/account"}
    for name, listed, link in (
        ("run", "/runs", ".jobs .t a"),
        ("dataset", "/datasets", ".jobs .t a"),
        ("model", "/models", ".model-title"),
    ):
        page.goto(url + listed)
        if page.locator(link).count():
            found[name] = page.locator(link).first.get_attribute("href") or listed
    return {**found, "missing": "/no-such-page"}


def take(page: Page, address: str, path: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path, full_page=True)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
