"""An object store on the page of storage: added by its form, found while one looks on, brought here by a press."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from support.axe import faults_of
from support.browser_people import arrive
from support.model_folders import make_folder
from support.s3_server import KEY, SECRET, FakeStore, fake_store
from support.server import Server, running_with_admin


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeStore]:
    bert = make_folder(tmp_path_factory.mktemp("bert") / "bert")
    with fake_store(**{f"bert/{path.name}": path.read_bytes() for path in bert.iterdir()}, **{"نظرها.csv": b"a,b\n1,2\n"}) as store:
        yield store


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_with_admin(tmp_path_factory.mktemp("stores") / "home", job_threads=1) as server:
        yield server


@pytest.mark.parametrize("language", ["fa", "en"])
def test_a_store_is_added_found_and_brought_here_without_a_fault_of_the_page(
    chromium: Browser, workshop: Server, store: FakeStore, language: str
) -> None:
    someone = arrive(chromium, workshop)
    cookies = {"kargah_session": workshop.token, "kargah_language": language}
    someone.context.add_cookies([{"name": name, "value": value, "url": workshop.url} for name, value in cookies.items()])
    page = someone.go("/models/storage")
    for field, value in (("bucket", "s3://shelf"), ("endpoint", store.url), ("key", KEY), ("secret", SECRET)):
        page.fill(f"#{field}", value)
    page.click("#add-store button.go")
    page.wait_for_selector("#stored-list li:nth-child(2)")
    assert faults_of(page) == []
    if language == "fa":
        page.locator("#stored-list li", has_text="bert").locator("button").click()
    page.wait_for_selector("#stored-list .badge.ready")
    assert page.locator("#stored-list li", has_text="bert").locator("a.link").count() == 1
    assert SECRET not in page.content()
    assert someone.complaints == []
    someone.context.close()
