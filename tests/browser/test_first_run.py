"""The first steps of somebody new: by the keyboard alone, and by touch on a phone."""

from pathlib import Path

from playwright.sync_api import Browser, Page
from support.browser_people import PASSWORD, Person, arrive
from support.server import running

TABS_ENOUGH = 150


def tab_to(page: Page, selector: str) -> None:
    """Walk with the tab key until the focus is there; what cannot be reached so fails."""
    for _ in range(TABS_ENOUGH):
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tab key never comes to {selector} on {page.url}")


def press(page: Page, selector: str) -> None:
    tab_to(page, selector)
    page.keyboard.press("Enter")


def test_from_nothing_to_an_answer_by_the_keyboard_alone(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        someone = arrive(chromium, server)
        page = someone.go("/register")
        for name, text in (("name", "سارا"), ("email", "sara@example.org"), ("password", PASSWORD)):
            tab_to(page, f"#{name}")
            page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/")
        page = someone.go("/start")
        press(page, "form[action='/start/sample'] button")
        page.wait_for_selector("li:nth-child(2)[aria-current=step] a.go")
        press(page, "li:nth-child(2) a.go")
        page.wait_for_url("**/runs/new?dataset=*")
        tab_to(page, "[name='spec.epochs']")
        page.keyboard.type("۲")
        press(page, "#train-acts button.go")
        ask_when_done(page)
        assert someone.complaints == []
        someone.context.close()


def ask_when_done(page: Page) -> None:
    page.wait_for_url("**/runs/run_*")
    page.wait_for_selector("#run-state .COMPLETED")
    page.wait_for_selector("#try textarea")
    tab_to(page, "#try textarea")
    page.keyboard.type("بلندترین قلهٔ ایران در کدام استان است")
    press(page, "#try button")
    page.wait_for_selector("#try .answer .prob-row")


def test_the_same_by_touch_on_a_phone(chromium: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        someone = by_touch(chromium, server.url)
        page = someone.go("/register")
        for name, text in (("name", "سارا"), ("email", "sara@example.org"), ("password", PASSWORD)):
            page.tap(f"#{name}")
            page.keyboard.type(text)
        page.tap("button.go")
        page.wait_for_url(f"{server.url}/")
        page.tap("main a[href='/start']")
        page.tap("form[action='/start/sample'] button")
        page.tap("li:nth-child(2)[aria-current=step] a.go")
        page.fill("[name='spec.epochs']", "۲")
        page.tap("#train-acts button.go")
        page.wait_for_url("**/runs/run_*")
        page.wait_for_selector("#run-state .COMPLETED")
        page.goto(f"{server.url}/start")
        page.tap("li:nth-child(3)[aria-current=step] a.go")
        page.fill("#try textarea", "بلندترین قلهٔ ایران در کدام استان است")
        page.tap("#try button")
        page.wait_for_selector("#try .answer .prob-row")
        assert someone.overflow_pixels() <= 0
        assert someone.complaints == []
        someone.context.close()


def by_touch(chromium: Browser, url: str) -> Person:
    context = chromium.new_context(locale="fa-IR", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(60_000)
    page = context.new_page()
    person = Person(context, page, url)
    page.on("console", lambda message: person.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    return person
