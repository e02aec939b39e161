"""Every page, in both languages: no complaint of the browser, nothing to scroll sideways, nothing untranslated."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser_people import EMAIL, PASSWORD, Person, arrive, log_in, upload
from playwright.sync_api import Browser
from support.server import Server, running

from kargah.kit.i18n import LANGUAGES, catalogue

LINE = Path(__file__).parents[2] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
WIDTHS = (360, 768, 1440)
NAME = '<b>نام</b> \u202e"evil" & 😀 <script>alert(1)</script>'
#: A key that has no text is shown as itself: two or more lower-case words with dots between, alone in an element.
KEY = re.compile(r"^[a-z_]+(\.[a-z_A-Z0-9-]+)+$")


@pytest.fixture(scope="module")
def run_path(chromium: Browser, site: Server) -> Iterator[list[str]]:
    """A home with one of everything: its pages."""
    someone = arrive(chromium, site)
    log_in(someone)
    dataset_id = upload(someone, LINE, NAME)
    page = someone.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", "2")
    page.click("#train-acts button.go")
    page.wait_for_url("**/runs/run_*")
    run = page.url.partition("?")[0].removeprefix(site.url)
    page.wait_for_selector("#run-state .COMPLETED")
    someone.go("/models")
    model = page.get_attribute(".model-title", "href") or ""
    trying = page.get_attribute(".model a[href$='/try']", "href") or ""
    paths = ["/", "/datasets", f"/datasets/{dataset_id}", "/datasets?trash=true", "/runs", "/runs?state=failed", "/runs/new"]
    yield [*paths, f"/runs/new?like={run.rpartition('/')[2]}", run, "/models", model, trying, "/account"]
    someone.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_complains_or_scrolls_sideways(chromium: Browser, site: Server, run_path: list[str], language: str) -> None:
    someone = arrive(chromium, site, language=language)
    log_in(someone)
    someone.page.request.post(f"{site.url}/preferences", form={"_csrf": csrf(someone), "language": language}, headers={"Origin": site.url})
    for path in run_path:
        page = someone.go(path)
        page.wait_for_load_state("load")
        assert page.get_attribute("html", "lang") == language, path
        assert page.get_attribute("html", "dir") == {"fa": "rtl", "en": "ltr"}[language]
        assert page.locator("h1").count() == 1, path
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert someone.overflow_pixels() <= 0, f"{path} is wider than {width}"
        assert untranslated(someone) == [], path
    assert someone.complaints == []
    someone.context.close()


def csrf(someone: Person) -> str:
    return someone.page.get_attribute("meta[name=csrf-token]", "content") or ""


def untranslated(someone: Person) -> list[str]:
    texts: list[str] = someone.page.evaluate(
        "() => [...document.querySelectorAll('main *, nav *, header *')].filter(e => !e.closest('bdi, pre, .id, [dir=ltr], .log, td'))"
        ".flatMap(e => [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim()))"
    )
    return [text for text in texts if KEY.match(text)]


@pytest.mark.parametrize("path", ["/login", "/register"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_door_stands_in_both_languages(chromium: Browser, site: Server, path: str, language: str) -> None:
    someone = arrive(chromium, site, width=360)
    page = someone.go(f"{path}?language={language}")
    assert page.get_attribute("html", "lang") == language
    assert someone.overflow_pixels() <= 0
    assert someone.complaints == []
    someone.context.close()


@pytest.mark.parametrize("path", ["/no/such/page", "/runs/run_nothing", "/datasets/ds_nothing"])
def test_what_is_not_there_says_so_with_a_request_id(person: Person, run_path: list[str], path: str) -> None:
    log_in(person, EMAIL)
    page = person.page
    answer = page.goto(person.url + path)
    assert answer is not None
    assert answer.status == 404
    assert (page.text_content("main .id") or "").startswith("req_")


def test_a_choice_of_theme_and_language_is_kept_with_the_account(chromium: Browser, site: Server, run_path: list[str]) -> None:
    for_now = arrive(chromium, site)
    log_in(for_now)
    page = for_now.go("/account")
    page.click("button[name=theme][value=dark]")
    page.wait_for_selector("html[data-theme=dark]")
    for_now.context.close()
    later = arrive(chromium, site, language="en")
    log_in(later)
    assert later.page.get_attribute("html", "data-theme") == "dark"
    later.context.close()


def test_the_catalogues_of_the_pages_hold_the_same_keys() -> None:
    assert set(catalogue("fa")) == set(catalogue("en"))


def test_a_sign_up_that_needs_approval_says_so(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path, sign_ups="approval") as server:
        account = {"email": EMAIL, "password": PASSWORD, "name": "مدیر"}
        assert server.client(None).post("/api/v1/auth/register", json=account).status_code == 201
        someone = arrive(chromium, server)
        page = someone.go("/register")
        page.fill("#name", "تازه‌وارد")
        page.fill("#email", "new@example.org")
        page.fill("#password", PASSWORD)
        page.click("button.go")
        page.wait_for_selector(".note.info")
        page = someone.go("/login")
        page.fill("#email", "new@example.org")
        page.fill("#password", PASSWORD)
        page.click("button.go")
        page.wait_for_selector(".note.error")
        someone.context.close()


def test_the_files_of_pages_are_kept_by_browsers_until_they_change(person: Person) -> None:
    page = person.go("/login")
    styles = page.get_attribute("link[rel=stylesheet]", "href") or ""
    answer = page.request.get(person.url + styles)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert page.request.get(person.url + re.sub("/static/[^/]+/", "/static/older/", styles)).headers["cache-control"] == "no-cache"
