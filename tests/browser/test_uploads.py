"""Files on their way from a page: what has arrived is never sent again, whatever happens to the tab, the link or the server."""

import hashlib
import json
import os
import sqlite3
import struct
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route
from support.axe import faults_of
from support.browser_people import Person
from support.watching import visitor
from support.web_alone import WebAlone, web_alone

from kargah.assets import blobs
from kargah.assets.uploads import CHUNK_BYTES
from kargah.datasets.bundled import SAMPLES

SIZE_BYTES = CHUNK_BYTES + 12_345


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAlone]:
    with web_alone(tmp_path_factory.mktemp("home"), IMPORT_ROOTS=json.dumps([str(SAMPLES)])) as found:
        yield found


@pytest.fixture
def person(chromium: Browser, web: WebAlone) -> Iterator[Person]:
    someone = visitor(chromium, web.url, web.token)
    yield someone
    someone.context.close()


def large_file(folder: Path, name: str) -> tuple[Path, str]:
    content = os.urandom(SIZE_BYTES)
    path = folder / name
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def choose_and_send(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    page.click("file-drop button.go")


def test_a_closed_tab_and_a_server_that_starts_anew_go_on_where_they_were(person: Person, web: WebAlone, tmp_path: Path) -> None:
    path, sha256 = large_file(tmp_path, "بزرگ.bin")
    offsets: list[int] = []

    def first_only(route: Route) -> None:
        route.abort() if int(route.request.headers.get("upload-offset", "0")) else route.continue_()

    page = person.go("/datasets")
    person.context.route("**/api/v1/uploads/*", first_only)
    with page.expect_request(lambda request: request.headers.get("upload-offset") == str(CHUNK_BYTES)):
        choose_and_send(page, path)
    page.close()
    person.context.unroute_all(behavior="ignoreErrors")
    web.kill()
    web.start()
    page = person.page = person.context.new_page()
    page.on(
        "request", lambda request: offsets.append(int(request.headers["upload-offset"])) if "upload-offset" in request.headers else None
    )
    person.go("/datasets")
    page.wait_for_selector("#unfinished [data-mark]")
    assert "بزرگ.bin" in page.inner_text("#unfinished")
    page.click("#from-url summary")
    assert faults_of(page) == []
    page.set_input_files("#file", path)
    page.wait_for_selector("#unfinished .chosen")
    page.click("file-drop button.go")
    page.wait_for_url("**/datasets/ds_*")
    assert offsets == [CHUNK_BYTES]
    assert hashlib.sha256(blobs.path_of(web.home, sha256).read_bytes()).hexdigest() == sha256
    assert person.go("/datasets").locator("#unfinished").count() == 0


def test_a_link_that_drops_is_waited_for_and_sending_can_be_paused_and_taken_back(person: Person, web: WebAlone, tmp_path: Path) -> None:
    path, sha256 = large_file(tmp_path, "پیوسته.bin")
    page = person.go("/datasets")
    failures = iter([True, False, True])
    person.context.route(
        "**/api/v1/uploads/*",
        lambda route: route.abort() if route.request.method == "PATCH" and next(failures, False) else route.continue_(),
    )
    choose_and_send(page, path)
    page.wait_for_url("**/datasets/ds_*")
    assert blobs.path_of(web.home, sha256).exists()
    person.context.unroute_all(behavior="ignoreErrors")
    held: list[Any] = []
    page = person.go("/datasets")
    person.context.route("**/api/v1/uploads/*", lambda route: held.append(route) if route.request.method == "PATCH" else route.continue_())
    with page.expect_request(lambda request: request.method == "PATCH"):
        choose_and_send(page, large_file(tmp_path, "پس‌گرفته.bin")[0])
    page.click(".sending .pause")
    page.wait_for_selector(".sending .pause[aria-pressed=true]")
    page.click(".sending .cancel")
    page.wait_for_selector("file-drop button.go:enabled")
    with web.client() as client:
        assert client.get("/api/v1/uploads").json()["items"] == []


def plan_of(web: WebAlone, job_id: str) -> dict[str, Any]:
    with closing(sqlite3.connect(web.home / "kargah.db")) as database:
        (plan,) = database.execute("SELECT plan FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return dict(json.loads(plan))


def recordings(folder: Path) -> Path:
    (folder / "تکه").mkdir(parents=True)
    (folder / "manifest.csv").write_text("file,text\nتکه/یک.wav,سلام\n", encoding="utf-8")
    with wave.open(str(folder / "تکه" / "یک.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(struct.pack("<h", 0) * 800)
    return folder


def choose(page: Page, folder: Path) -> None:
    page.set_input_files("#folder", folder)


def drag_and_drop(page: Page, folder: Path) -> None:
    """As from a file manager: the page gets the folder itself, and looks into it."""
    zone = page.locator("file-drop .drop")
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    mouse = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    page.wait_for_selector("[name=together]:checked", state="attached")


@pytest.mark.parametrize("take", [choose, drag_and_drop])
def test_the_files_of_a_folder_are_one_data_set_when_they_are_its_parts(
    person: Person, web: WebAlone, tmp_path: Path, take: Callable[[Page, Path], None]
) -> None:
    page = person.go("/datasets")
    take(page, recordings(tmp_path / "صداها"))
    assert page.is_checked("[name=together]")
    assert page.input_value("#title") == "صداها"
    page.select_option("#normaliser", label="قاعده‌های معمول، رقم‌های لاتین")
    page.click("file-drop button.go")
    page.wait_for_url("**/datasets/ds_*")
    with web.client() as client:
        made = client.get(f"/api/v1/datasets/{page.url.rpartition('/')[2].partition('?')[0]}").json()
    assert (made["title"], made["version"]["source_filename"]) == ("صداها", "صداها.zip")
    assert plan_of(web, made["version"]["job_id"])["normaliser"]["digits"] == "latin"
    assert person.complaints == []


def test_an_address_that_leads_inside_is_refused_beside_its_field_and_a_path_is_taken(person: Person) -> None:
    page = person.go("/datasets")
    page.click("#from-url summary")
    page.fill("#url", "http://169.254.169.254/latest/meta-data/")
    page.click("#from-url form:has(#url) button")
    page.wait_for_selector("#url-error")
    assert "169.254.169.254" in page.inner_text("#url-error")
    page.fill("#path", str(SAMPLES / "genre-fa.csv"))
    page.click("#from-url form:has(#path) button")
    page.wait_for_url("**/datasets/ds_*")
