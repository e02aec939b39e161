"""What surrounds every page: the palette, the keys, what was just done, and forms that outlive a session."""

import re

from support.browser_people import EMAIL, PASSWORD, Person, log_in


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
