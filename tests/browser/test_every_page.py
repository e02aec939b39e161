"""Every page, in both languages: no complaint of the browser, nothing to scroll sideways, nothing untranslated, nobody shut out."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support import axe
from support.browser_people import Person, arrive, enter, log_in
from support.furnished import EMAIL, NOWHERE, PASSWORD, VIEWER, Furnished, furnished
from support.server import Server, running

from kargah.kit.i18n import LANGUAGES, catalogue

WIDTHS = (360, 768, 1440)
#: Each language in both themes; the theme that is on a wide page in one is on a narrow page in the other.
THEME_AT = {
    ("fa", 1440): "light", ("fa", 768): "dark", ("fa", 360): "dark", ("en", 1440): "dark", ("en", 768): "light", ("en", 360): "light",
}  # fmt: skip
THEMES = ("light", "dark")
#: What a page keeps closed, and what opens it; the last one is there on a phone only.
QUESTIONS = ("rename", "delete", "halt")
#: What pages are about, for who reads them without scripts; and what only a script could bring to life.
READABLE = {
    "/": "[data-meter=cpu] b, .feed a[href^='/runs/']",
    "/runs": "#run-list .jobs .t a, #run-list .jobs .badge",
    "/runs/{run_id}": "#run-result tbody tr, #run-figures dd, #run-told li, .log li, noscript .hint",
    "/analytics?run={run_id}": "#cards dd, #history tbody tr, #run-told li",
    "/compare?run={run_id}&run={other_run_id}": "tbody th[scope=row], #verdict",
    "/datasets": "#dataset-list a[href^='/datasets/']",
    "/datasets/{dataset_id}": "main table tbody tr",
    "/models/{model_id}": "main table tbody tr",
    "/runs/new?dataset={dataset_id}": "main form [name=title], main form button.go",
    "/notices": "main .list li",
    "/help/errors": ".manual h2",
}
IDLE = (".skel:visible", ".find:visible", "[data-copy]:visible", "dry-run:visible")
#: The ground of a page in light colours.
PAPER = "rgb(248, 245, 238)"
#: A key that has no text is shown as itself: two or more lower-case words with dots between, alone in an element.
KEY = re.compile(r"^[a-z_]+(\.[a-z_A-Z0-9-]+)+$")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("furnished")) as made:
        yield made


@pytest.fixture(scope="module")
def site(workshop: Furnished) -> Server:
    return workshop.server


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_fits_reads_and_is_open_to_all(chromium: Browser, workshop: Furnished, language: str) -> None:
    """At each width nothing to scroll sideways; axe-core finds nothing, in light and in dark; no word is missing; no complaint."""
    someone = arrive(chromium, workshop.server, language=language)
    enter(someone, workshop.server, language)
    faults = []
    for path in workshop.pages:
        page = someone.page
        answer = page.goto(someone.url + path)
        assert answer is not None and answer.status == (404 if path == NOWHERE else 200), path
        page.wait_for_load_state("load")
        assert page.get_attribute("html", "lang") == language, path
        assert page.get_attribute("html", "dir") == {"fa": "rtl", "en": "ltr"}[language]
        assert page.locator("h1").count() == 1, path
        faults += [f"{path}: {fault}" for fault in faults_of_page(someone, language)]
    assert not faults, "\n".join(faults)
    assert [said for said in someone.complaints if "404" not in said] == []
    someone.context.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_page_keeps_closed_is_open_to_all_as_well(chromium: Browser, workshop: Furnished, language: str) -> None:
    """The palette with things found, the keys, each question of a page, and the menu of a phone."""
    someone = arrive(chromium, workshop.server, language=language)
    enter(someone, workshop.server, language)
    page, faults = someone.go("/"), []
    for opener, opened in (("[data-palette]", "#palette[open]"), ("#palette [data-open=keys]", "#keys[open]")):
        page.click(opener)
        page.wait_for_selector(opened)
        faults += [f"{opened}: {fault}" for fault in in_both_themes(someone)]
    for path in ("/runs/{waiting_run_id}", "/datasets/{dataset_id}", "/models/{model_id}"):
        page = someone.go(path.format(**workshop.ids))
        for question in (name for name in QUESTIONS if page.locator(f"[data-open={name}]").count()):
            page.click(f"[data-open={question}]")
            faults += [f"{path} #{question}: {fault}" for fault in in_both_themes(someone)]
            page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("[popovertarget=side]")
    faults += [f"the menu: {fault}" for fault in in_both_themes(someone)]
    assert not faults, "\n".join(faults)
    assert someone.complaints == []
    someone.context.close()


def in_both_themes(someone: Person) -> list[str]:
    faults = []
    for theme in THEMES:
        someone.page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        faults += [f"{theme}: {fault}" for fault in axe.faults_of(someone.page)]
    return faults


def test_a_viewer_meets_no_shut_door_and_no_fault(chromium: Browser, workshop: Furnished) -> None:
    """Every page that the menu of a viewer leads to, and those of single things: whole, at each width, with nothing that asks to write."""
    someone = arrive(chromium, workshop.server)
    log_in(someone, VIEWER["email"], PASSWORD)
    hrefs: list[str] = someone.page.eval_on_selector_all("#side nav a", "links => links.map(link => link.getAttribute('href'))")
    assert not {"/people", "/settings"} & set(hrefs)
    single = [path.format(**workshop.ids) for path in ("/runs/{run_id}", "/datasets/{dataset_id}", "/models/{model_id}", "/runs/new")]
    faults = []
    for path in (*hrefs, *single):
        page = someone.go(path)
        assert page.locator("h1").count() == 1, path
        assert page.locator("main :is([data-open=delete], [data-open=halt], [data-open=rename])").count() == 0, path
        faults += [f"{path}: {fault}" for fault in faults_of_page(someone, "fa", only=1440)]
    assert not faults, "\n".join(faults)
    assert someone.complaints == []
    someone.context.close()


def test_pages_are_read_printed_and_acted_on_without_javascript(chromium: Browser, workshop: Furnished) -> None:
    """What a page is about stands in it as it comes; nothing is shown that needs a script; paper is light and has no menu."""
    server, ids = workshop.server, workshop.ids
    context = chromium.new_context(java_script_enabled=False, locale="en-US", viewport={"width": 1440, "height": 900})
    someone = Person(context, context.new_page(), server.url)
    enter(someone, server, "en")
    missing = []
    for path, places in READABLE.items():
        page = someone.go(path.format(**ids))
        missing += [f"{path} {place}" for place in places.split(", ") if not page.locator(place).first.is_visible()]
        missing += [f"{path} shows {idle}" for idle in IDLE if page.locator(idle).count()]
    assert not missing, "\n".join(missing)
    page = someone.go("/runs/{run_id}".format(**ids))
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(":is(.side, .top, .acts, .chart-tools, form):visible").count() == 0
    assert page.locator("#run-result tbody tr").first.is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == PAPER
    page.emulate_media(media="screen")
    page = someone.go("/account")
    page.fill("#token_name", "made without a script")
    page.click("form[action='/account/tokens'] button")
    page.locator(".note.ready pre").wait_for()  # the answer's page may still be on its way
    context.close()


def faults_of_page(someone: Person, language: str, only: int | None = None) -> list[str]:
    """``only``: the one width at which axe looks."""
    page, faults = someone.page, [f"untranslated {text}" for text in untranslated(someone)]
    for width in WIDTHS:
        theme = THEME_AT[language, width]
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
        if someone.overflow_pixels() > 0:
            faults.append(f"wider than {width}")
        if only in {None, width}:
            faults += [f"{theme} at {width}: {fault}" for fault in axe.faults_of(page)]
    return faults


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
    assert not (faults := faults_of_page(someone, language)), "\n".join(faults)
    assert someone.complaints == []
    someone.context.close()


@pytest.mark.parametrize("path", ["/no/such/page", "/runs/run_nothing", "/datasets/ds_nothing"])
def test_what_is_not_there_says_so_with_a_request_id(person: Person, path: str) -> None:
    log_in(person, EMAIL, PASSWORD)
    page = person.page
    answer = page.goto(person.url + path)
    assert answer is not None
    assert answer.status == 404
    assert (page.text_content("main .id") or "").startswith("req_")


def test_a_choice_of_theme_and_language_is_kept_with_the_account(chromium: Browser, site: Server) -> None:
    for_now = arrive(chromium, site)
    log_in(for_now, EMAIL, PASSWORD)
    page = for_now.go("/account")
    page.click("main button[name=theme][value=dark]")
    page.wait_for_selector("html[data-theme=dark]")
    for_now.context.close()
    later = arrive(chromium, site, language="en")
    log_in(later, EMAIL, PASSWORD)
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
