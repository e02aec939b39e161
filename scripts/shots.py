"""Screenshots of every page: fa and en, light and dark, desktop and phone, of a workshop that is furnished for it.

python scripts/shots.py [FOLDER]            every page, and contact sheets of them; FOLDER is var/shots
python scripts/shots.py --chosen [FOLDER]   those that README and manual show; FOLDER is docs/images
"""

import argparse
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from furnish import ADMIN, PASSWORD, Workshop, workshop
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LANGUAGES, THEMES, SIZES = ("fa", "en"), ("light", "dark"), {"desktop": (1440, 900), "phone": (390, 844)}
SETTLE_MS, PATIENCE_MS = 500, 30_000
#: No chart is waited for any more.
DRAWN = "() => ![...document.querySelectorAll('.chart-wait')].some(one => one.checkVisibility())"
#: Pages for those who are not signed in.
DOORS = {"login": "/login", "register": "/register"}
PAGES = {
    "home": "/",
    "start": "/start",
    "runs": "/runs",
    "runs-failed": "/runs?state=failed",
    "run": "/runs/{run}",
    "regression": "/runs/{regression}",
    "running": "/runs/{running}",
    "paused": "/runs/{paused}",
    "queued": "/runs/{queued}",
    "failed": "/runs/{failed}",
    "new-training": "/runs/new?dataset={dataset}",
    "new-training-all": "/runs/new?dataset={table}&view=all",
    "like": "/runs/new?like={run}",
    "scripts": "/scripts",
    "analytics": "/analytics?run={run}",
    "compare": "/compare?run={run}&run={other}",
    "compare-regression": "/compare?run={regression}&run={first_regression}",
    "datasets": "/datasets",
    "datasets-trash": "/datasets?trash=true",
    "dataset": "/datasets/{dataset}",
    "table": "/datasets/{table}",
    "rows": "/datasets/{table}/rows",
    "columns": "/datasets/{table}/columns",
    "tokens": "/datasets/{dataset}/tokens",
    "difference": "/datasets/{table}/difference?since={first_version}",
    "models": "/models",
    "catalogue": "/models/catalogue",
    "catalogue-data": "/models/catalogue?kind=datasets",
    "resources": "/models/resources",
    "bundles": "/models/bundles",
    "storage": "/models/storage",
    "trash": "/models/trash",
    "model": "/models/{model}",
    "try": "/models/versions/{version}/try",
    "evaluations": "/evaluations",
    "new-evaluation": "/evaluations/new?model={version}&dataset={table}",
    "evaluation": "/evaluations/{evaluation}",
    "notices": "/notices",
    "hardware": "/hardware",
    "people": "/people",
    "settings": "/settings",
    "account": "/account",
    "help": "/help",
    "help-chapter": "/help/first-training",
    "help-errors": "/help/errors",
    "about": "/about",
    "missing": "/no-such-page",
}
#: What README and manual show.
CHOSEN = (
    "run-fa-light-desktop",
    "home-fa-light-desktop",
    "home-fa-dark-desktop",
    "new-training-fa-dark-desktop",
    "table-fa-light-desktop",
    "compare-fa-light-desktop",
    "models-fa-light-desktop",
    "home-en-light-desktop",
    "run-en-dark-desktop",
    "home-fa-light-phone",
    "run-fa-dark-phone",
    "new-training-fa-light-phone",
)
#: What stays at the edge of a screen would lie in the middle of a page that is taken to its end.
AS_PAPER = ".tabbar { display: none !important; }"
SHEET = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 12px; font: 13px sans-serif; background: #777; }
body { display: grid; gap: 12px; grid-template-columns: repeat(%(columns)d, 1fr); }
figure { margin: 0; background: #fff; display: grid; grid-template-rows: 1fr auto; }
figure > div { aspect-ratio: %(shape)s; overflow: hidden; } img { display: block; width: 100%%; }
figcaption { padding: 4px 8px; }</style>%(figures)s"""


@dataclass(frozen=True)
class Look:
    language: str
    theme: str
    size: str

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.size}"


LOOKS = [Look(*look) for look in itertools.product(LANGUAGES, THEMES, SIZES)]


def take_all(browser: Browser, made: Workshop, folder: Path) -> None:
    for look in LOOKS:
        print(look, flush=True)
        take(browser, made, look, folder, [*DOORS, *PAGES], whole=True)
        sheet(browser, folder, look)


def take_chosen(browser: Browser, made: Workshop, folder: Path) -> None:
    for look in LOOKS:
        names = [name.removesuffix(f"-{look}") for name in CHOSEN if name.endswith(f"-{look}")]
        if names:
            take(browser, made, look, folder, names, whole=False)


def take(browser: Browser, made: Workshop, look: Look, folder: Path, names: Iterable[str], *, whole: bool) -> None:
    """``whole``: the page to its end, else what a screen shows of it."""
    page = open_page(browser, made.url, look)
    wanted = list(names)
    for name in (name for name in wanted if name in DOORS):
        shoot(page, f"{made.url}{DOORS[name]}?language={look.language}", folder / f"{name}-{look}.png", whole=whole)
    log_in(page, made.url, look)
    for name in (name for name in wanted if name in PAGES):
        shoot(page, made.url + PAGES[name].format(**made.ids), folder / f"{name}-{look}.png", whole=whole)
    page.context.close()


def open_page(browser: Browser, url: str, look: Look) -> Page:
    width, height = SIZES[look.size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if look.theme == "dark" else "light",
        reduced_motion="reduce",
        has_touch=look.size == "phone",
        is_mobile=look.size == "phone",
        bypass_csp=True,  # for AS_PAPER alone
    )
    context.add_cookies([{"name": "kargah_language", "value": look.language, "url": url}])
    return context.new_page()


def log_in(page: Page, url: str, look: Look) -> None:
    page.goto(f"{url}/login")
    page.fill("#email", ADMIN["email"])
    page.fill("#password", PASSWORD)
    page.click("button.go")
    page.wait_for_url(f"{url}/")
    csrf = page.get_attribute("meta[name=csrf-token]", "content") or ""
    form = {"_csrf": csrf, "language": look.language, "theme": "auto"}
    page.request.post(f"{url}/preferences", form=form, headers={"Origin": url})


def shoot(page: Page, address: str, path: Path, *, whole: bool) -> None:
    answer = page.goto(address)
    if answer is None or (answer.status >= 400 and not address.endswith(PAGES["missing"])):
        raise RuntimeError(f"{address} answered {answer and answer.status}: no picture of that")
    page.evaluate("() => document.fonts.ready.then(() => true)")
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path, full_page=whole, style=AS_PAPER if whole else None)


def sheet(browser: Browser, folder: Path, look: Look) -> None:
    """The beginnings of all pages of one look, side by side."""
    is_phone = look.size == "phone"
    figures = [
        f'<figure><div><img src="{name}-{look}.png"></div><figcaption>{name}</figcaption></figure>'
        for name in (*DOORS, *PAGES)
        if (folder / f"{name}-{look}.png").exists()
    ]
    source = folder / f"sheet-{look}.html"
    source.write_text(SHEET % {"columns": 8 if is_phone else 4, "shape": "39/84" if is_phone else "144/110", "figures": "".join(figures)})
    page = browser.new_page(viewport={"width": 2000, "height": 1200})
    page.goto(source.resolve().as_uri(), wait_until="load")
    page.screenshot(path=source.with_suffix(".png"), full_page=True)
    page.close()
    source.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--chosen", action="store_true")
    options = parser.parse_args()
    folder: Path = options.folder or Path("docs/images" if options.chosen else "var/shots")
    folder.mkdir(parents=True, exist_ok=True)
    with workshop() as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        (take_chosen if options.chosen else take_all)(browser, made, folder)
        browser.close()


if __name__ == "__main__":
    main()
