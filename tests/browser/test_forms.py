"""Forms lose nothing: a session that ends while one types, a button that is pressed twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.browser_people import Person
from support.watching import visitor
from support.web_alone import WebAlone, web_alone

TYPED = "نوشته‌ای که نباید گم شود"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAlone]:
    with web_alone(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def person(chromium: Browser, web: WebAlone) -> Iterator[Person]:
    someone = visitor(chromium, web.url, web.token)
    yield someone
    someone.context.close()


@pytest.fixture(scope="module")
def dataset(web: WebAlone) -> str:
    """The bundled table, which a training without data brings along."""
    web.submit()
    with web.client() as client:
        return str(client.get("/api/v1/datasets").json()["items"][0]["id"])


@pytest.mark.parametrize(
    ("path", "action", "field"),
    [
        ("/account", "/account/tokens", "token_name"),
        ("/account", "/account/name", "name"),
        ("/people", "/people", "name"),
        ("/datasets/{dataset}", "/datasets/{dataset}/rename", "title"),
        ("/runs/new?dataset={dataset}", "/runs/new", "title"),
    ],
)
def test_what_was_typed_is_there_again_after_the_login(
    web: WebAlone, person: Person, dataset: str, path: str, action: str, field: str
) -> None:
    path, form = path.format(dataset=dataset), f"form[action='{action.format(dataset=dataset)}']"
    page = person.go(path)
    if page.locator(f"dialog {form}").count():
        page.click("[data-open=rename]")
    if action == "/people":
        page.fill(f"{form} [name=email]", "someone@example.org")
    page.fill(f"{form} [name={field}]", TYPED)
    session = person.context.cookies()
    person.context.clear_cookies(name="kargah_session")
    page.click(f"{form} button.go, {form} button:not([type=button])")
    page.wait_for_url(re.compile(r"/login\?next="))
    person.context.add_cookies(session)  # signed in again, in another tab
    page.goto(web.url + path)
    page.wait_for_selector("#toasts .toast")
    assert page.input_value(f"{form} [name={field}]") == TYPED
    assert page.locator(f"{form} [name={field}]").is_visible()


def test_the_title_of_a_file_that_could_not_be_sent_is_there_again(web: WebAlone, person: Person, tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    page = person.go("/datasets")
    page.set_input_files("#file", table)
    page.fill("#title", TYPED)
    session = person.context.cookies()
    person.context.clear_cookies(name="kargah_session")
    page.click("file-drop button.go")
    page.wait_for_url(re.compile(r"/login\?next="))
    person.context.add_cookies(session)
    page.goto(f"{web.url}/datasets")
    page.wait_for_selector("#toasts .toast")
    assert page.input_value("#title") == TYPED


def test_a_button_that_is_pressed_twice_acts_once(web: WebAlone, person: Person) -> None:
    page = person.go("/account")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.fill("#token_name", "دوبار")
    page.dblclick("form[action='/account/tokens'] button")
    page.wait_for_selector(".note.ready pre, pre")
    assert len(sent) == 1
    with web.client() as client:
        assert [token["name"] for token in client.get("/api/v1/auth/tokens").json()].count("دوبار") == 1
