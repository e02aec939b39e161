"""What surrounds every page: the palette, the keys, what was just done, and forms that outlive a session."""

import re

import pytest
from playwright.sync_api import Browser
from support.browser_people import EMAIL, PASSWORD, Person, arrive, log_in
from support.server import Server


def test_the_palette_goes_where_its_name_says_in_any_spelling(person: Person) -> None:
    log_in(person)
    page = person.go("/")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    page.keyboard.type("كاربران")  # with the Arabic kaf
    page.wait_for_selector("#palette [aria-selected=true][data-href='/people']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people")
    assert person.complaints == []


def test_what_has_a_name_is_found_and_the_manual_is_searched(person: Person) -> None:
    log_in(person)
    page = person.go("/")
    page.click("[data-palette]")
    page.fill("#palette input", "نرخ یادگیری")
    page.wait_for_selector("#palette [data-help][aria-selected=true]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/help?q=*")
    assert page.locator("main .list li").count() > 0


def test_keys_lead_by_their_position_and_can_be_switched_off(person: Person) -> None:
    log_in(person)
    page = person.go("/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    page.click("#keys [data-keep=keys]")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    assert page.url.endswith("/runs")


def test_keys_do_nothing_while_one_types(person: Person) -> None:
    log_in(person)
    page = person.go("/runs")
    page.fill("main input[type=search]", "")
    page.keyboard.type("gmnu?")
    assert page.input_value("main input[type=search]") == "gmnu?"
    assert page.url.endswith("/runs")


def test_what_was_done_is_said_once(person: Person) -> None:
    log_in(person)
    page = person.go("/account")
    page.click("form[action='/account/name'] button")
    page.wait_for_selector("#toasts .toast")
    page.reload()
    page.wait_for_selector("h1")
    assert page.locator("#toasts .toast").count() == 0


def test_a_session_that_ends_in_mid_form_loses_no_input(person: Person) -> None:
    log_in(person)
    page = person.go("/people")
    page.fill("#name", "سارا محمدی")
    page.fill("#email", "sara@example.org")
    page.check("input[name=role][value=viewer]", force=True)
    person.context.clear_cookies(name="kargah_session")
    page.click("form[action='/people'] button")
    page.wait_for_url(re.compile(r"/login\?next="))
    page.fill("#email", EMAIL)
    page.fill("#password", PASSWORD)
    page.click("button.go")
    page.wait_for_url("**/people")
    page.wait_for_selector("#toasts .toast")
    assert (page.input_value("#name"), page.input_value("#email")) == ("سارا محمدی", "sara@example.org")
    assert page.is_checked("input[name=role][value=viewer]")
    page.click("form[action='/people'] button")
    page.wait_for_selector(".note.ready pre")
    page = person.go("/people")
    assert page.input_value("#name") == ""


def test_an_error_page_leads_to_the_manual(person: Person) -> None:
    log_in(person)
    page = person.go("/runs/run_nothing")
    page.click("main a[href^='/help/errors#']")
    page.wait_for_url("**/help/errors#NOT_FOUND")
    assert page.locator("#NOT_FOUND").is_visible()


def test_a_phone_reaches_every_place_from_its_menu(chromium: Browser, site: Server) -> None:
    someone = arrive(chromium, site, width=390, height=844)
    log_in(someone)
    page = someone.go("/")
    page.click("[popovertarget=side]")
    page.wait_for_selector("#side:popover-open a[href='/start']")
    page.click("#side a[href='/people']")
    page.wait_for_url("**/people")
    page.click("[popovertarget=side]")
    page.click("#side [name=language]")
    page.wait_for_selector("html[lang=en]")
    page.click("[popovertarget=side]")
    page.click("#side [name=language]")
    page.wait_for_selector("html[lang=fa]")
    page.click("[popovertarget=side]")
    page.click("#side [data-log-out]")
    page.wait_for_url("**/login*")
    assert someone.complaints == []
    someone.context.close()


def test_the_palette_leads_to_places_that_no_menu_holds(person: Person) -> None:
    log_in(person)
    page = person.go("/")
    for place in ("/notices", "/about", "/start"):
        assert page.locator(f"#palette [data-href='{place}']").count() == 1


@pytest.mark.parametrize("is_secure", [True, False])
def test_what_was_copied_is_said(person: Person, is_secure: bool) -> None:
    """Also where the browser gives a page no clipboard, as it does on a network without https."""
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(person)
    if not is_secure:
        person.page.add_init_script("delete Navigator.prototype.clipboard")
    page = person.go("/runs/new")
    page.click("#same-yaml [data-copy]")
    page.wait_for_selector("#toasts .toast:not(.bad)")
    assert person.complaints == []


def test_a_time_tells_the_exact_moment_when_it_is_touched(person: Person) -> None:
    log_in(person)
    moment = person.go("/account").locator("#sessions time").first
    exactly, shown = moment.get_attribute("title") or "", moment.text_content()
    assert "ساعت" in exactly
    moment.click()
    assert (moment.text_content(), moment.get_attribute("title")) == (exactly, shown)
