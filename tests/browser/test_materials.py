"""Data sets and models beyond the happy path: many files at once, newer versions, names, the trash and back."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.browser_people import Person, arrive
from support.hub_server import FakeHub, Fault, Repository, fake_hub
from support.model_folders import make_folder
from support.server import Server, running_with_admin

from kargah.client import Kargah

SMALLEST = "HooshvareLab/albert-fa-zwnj-base-v2"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    content = {path.name: path.read_bytes() for path in make_folder(tmp_path_factory.mktemp("hub") / "model").iterdir()}
    with fake_hub(**{SMALLEST: Repository(content | {"tokenizer.json": b" " * 4_000_000})}) as hub:
        yield hub


@pytest.fixture(scope="module")
def workshop(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_with_admin(tmp_path_factory.mktemp("home"), hub_urls=json.dumps([hub.url]), hub_patience_minutes=0.02) as server:
        yield server


@pytest.fixture
def person(chromium: Browser, workshop: Server) -> Iterator[Person]:
    someone = arrive(chromium, workshop)
    someone.context.add_cookies([{"name": "kargah_session", "value": workshop.token, "url": workshop.url}])
    yield someone
    someone.context.close()


def table(folder: Path, name: str, rows: int) -> Path:
    path = folder / name
    lines = [f"{number},{['سیب', 'گلابی'][number % 2]}" for number in range(rows)]
    path.write_text("\n".join(["اندازه,میوه", *lines]) + "\n", encoding="utf-8")
    return path


def test_many_files_are_sent_one_after_the_other_and_what_is_refused_says_why(person: Person, tmp_path: Path) -> None:
    files = [table(tmp_path, "یک.csv", 30), table(tmp_path, "دو.csv", 40)]
    page = person.go("/datasets")
    page.set_input_files("#file", files)
    assert page.is_disabled("#title")
    page.click("file-drop button.go")
    page.wait_for_selector("#dataset-list li:nth-child(2) .badge.ready")
    assert {name.strip() for name in page.locator("#dataset-list li .t a").all_inner_texts()} == {"یک", "دو"}
    assert person.complaints == []


def test_a_file_that_is_being_sent_can_be_taken_back(person: Person, workshop: Server, tmp_path: Path) -> None:
    before = len(workshop.client().get("/api/v1/datasets").json()["items"])
    held = []
    person.context.route("**/datasets", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    page = person.go("/datasets")
    page.set_input_files("#file", table(tmp_path, "پس‌گرفته.csv", 30))
    page.click("file-drop button.go")
    page.click("file-drop .cancel")
    page.wait_for_selector("file-drop button.go:enabled")
    assert page.inner_text(".sending .sent").strip()
    assert len(workshop.client().get("/api/v1/datasets").json()["items"]) == before


def test_a_newer_file_becomes_the_current_version_and_the_older_one_stays_listed(person: Person, workshop: Server, tmp_path: Path) -> None:
    with Kargah(workshop.url, workshop.token) as kargah:
        dataset = kargah.datasets.upload(table(tmp_path, "کهنه.csv", 30), title="میوه‌ها")
    page = person.go(f"/datasets/{dataset.id}")
    assert page.locator(".minibars dt").count() == 2
    page.click("#newer summary")
    page.set_input_files("#file", table(tmp_path, "تازه.csv", 50))
    page.click("#newer button.go")
    page.wait_for_function("() => document.querySelector('.strip dd')?.innerText.includes('۵۰')")
    versions = workshop.client().get(f"/api/v1/datasets/{dataset.id}").json()["versions"]
    assert [(version["number"], version["rows"]) for version in versions] == [(2, 50), (1, 30)]

    # What is no table is refused as a version, and the current one stays.
    (tmp_path / "خراب.csv").write_bytes(b"\x00\x01\x02")
    page.goto(f"{workshop.url}/datasets/{dataset.id}")
    page.click("#newer summary")
    page.set_input_files("#file", tmp_path / "خراب.csv")
    page.click("#newer button.go")
    page.wait_for_selector("tr:has(th:text-is('۳')) .badge.ERROR")
    assert workshop.client().get(f"/api/v1/datasets/{dataset.id}").json()["version"]["rows"] == 50
    assert person.complaints == []


CARD = """---
license: apache-2.0
---
# پایهٔ کوچک

<img src=x onerror=alert(1)> ![picture](https://example.org/x.png) [bad](javascript:alert(1))

| a | b |
|---|---|
| 1 | 2 |
"""


def packed(folder: Path) -> bytes:
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return content.getvalue()


def test_a_model_is_renamed_thrown_away_and_brought_back_and_its_card_runs_nothing(
    person: Person, workshop: Server, tmp_path: Path
) -> None:
    files = {"file": ("base.zip", packed(make_folder(tmp_path / "base")))}
    model = workshop.client().post("/api/v1/models/upload", files=files, data={"title": "پایه"}).json()
    page = person.go(f"/models/{model['id']}")
    card = page.locator("#card")
    assert card.locator("h3").inner_text() == "پایهٔ کوچک"
    assert "<img src=x" in card.inner_text()
    assert card.locator("table td").all_inner_texts() == ["1", "2"]
    assert card.locator("img, script, [href^=javascript]").count() == 0

    page.click("[data-open=rename]")
    page.fill("#rename #title", "نام تازه")
    page.click("#rename button.go")
    page.wait_for_selector("h1:has-text('نام تازه')")

    page.click("[data-open=delete]")
    with page.expect_navigation(url="**/models?done=*"):  # the page takes the word off its address at once
        page.click("#delete button.stop")
    assert page.locator(".model-title").count() == 0
    page.click("#toasts form[action$='/restore'] button")
    page.wait_for_selector("h1:has-text('نام تازه')")
    assert page.locator("[data-open=delete]").count() == 1
    assert person.complaints == []


def test_what_is_in_the_trash_comes_back_or_goes_for_good(person: Person, workshop: Server, tmp_path: Path) -> None:
    files = {"file": ("thrown.zip", packed(make_folder(tmp_path / "thrown")))}
    model = workshop.client().post("/api/v1/models/upload", files=files, data={"title": "دورانداختنی"}).json()
    page = person.go(f"/models/{model['id']}")
    for last in (False, True):
        page.click("[data-open=delete]")
        with page.expect_navigation(url="**/models?done=*"):
            page.click("#delete button.stop")
        page.click(".tabs a[href='/models/trash']")
        row = page.locator("#trash li", has_text="دورانداختنی")
        row.wait_for()
        if not last:
            with page.expect_navigation(url="**/models/trash?done=thrown_restored"):
                row.locator("form[action$='/restore'] button").click()
            assert row.count() == 0
            page.goto(f"{workshop.url}/models/{model['id']}")
    row.locator("summary").click()
    with page.expect_navigation(url="**/models/trash?done=thrown_purged"):
        row.locator("form[action$='/purge'] button").click()
    assert row.count() == 0
    assert workshop.client().get(f"/api/v1/models/{model['id']}").status_code == 404
    assert person.complaints == []


def test_a_folder_of_another_disk_is_scanned_used_where_it_lies_and_all_files_are_found_whole(
    person: Person, workshop: Server, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    make_folder(disk / "پایهٔ دیسک")
    (disk / "ردیف‌ها.csv").write_text("text,label\nخوب,1\nبد,0\n", encoding="utf-8")
    page = person.go("/models/storage")
    page.fill("#path", str(disk))
    with page.expect_navigation(url="**/models/storage?done=root_added"):
        page.click("#add-root button")
    page.wait_for_selector("#tables li:has-text('ردیف‌ها.csv')", timeout=60_000)
    page.click("#tables form button")
    page.wait_for_url("**/datasets/ds_*")
    page.goto(f"{workshop.url}/models")
    page.wait_for_selector(".model-title:has-text('پایهٔ دیسک')")
    page.goto(f"{workshop.url}/models/storage")
    page.click("#check form button")
    page.wait_for_selector("#check .badge.ready", timeout=60_000)
    assert person.complaints == []


def test_a_name_of_nothing_is_refused_beside_the_name_that_stays(person: Person, workshop: Server, tmp_path: Path) -> None:
    files = {"file": ("base.zip", packed(make_folder(tmp_path / "base")))}
    model = workshop.client().post("/api/v1/models/upload", files=files, data={"title": "می‌ماند"}).json()
    assert workshop.client().patch(f"/api/v1/models/{model['id']}", json={"title": "  "}).status_code == 422
    assert workshop.client().patch(f"/api/v1/models/{model['id']}", json={"tags": ["a"]}).status_code == 422
    assert workshop.client().get(f"/api/v1/models/{model['id']}").json()["title"] == "می‌ماند"
    page = person.go("/models?source=local")
    assert page.locator(".model-title").count() >= 1
    assert page.locator(f"a[href*='base_model={model['versions'][0]['id']}']").count() == 1


def test_the_catalogue_unfolds_stays_unfolded_and_has_what_is_under_way_first(person: Person, hub: FakeHub) -> None:
    hub.bytes_per_second = 100_000
    page = person.go("/models/catalogue")
    assert page.locator("#offers article:visible").count() == 12
    page.click("#more-offers summary")
    assert page.locator("#offers article:visible").count() > 40
    page.click("#more-offers article form button")
    page.wait_for_selector("#offers > .cards > article:first-child .badge:is(.downloading, .QUEUED, .error)")
    page.click("#more-offers summary")
    page.wait_for_function("() => document.querySelector('#offers > .cards > article:first-child .badge.error')")
    assert page.locator("#more-offers[open]").count() == 1, "what changes meanwhile folds nothing"
    person.go("/models")
    assert page.locator("#coming .badge.error:visible").count() == 1
    assert page.locator("#coming button:visible").count() >= 1, "it can be tried again from here"
    assert person.complaints == []


def test_a_card_goes_from_violet_with_its_percent_over_an_error_to_green(person: Person, hub: FakeHub) -> None:
    hub.always = Fault(cut_after=400_000)
    hub.bytes_per_second = 200_000
    page = person.go("/models/catalogue?q=albert-fa-zwnj")
    card = f'article[data-repository="{SMALLEST}"]'
    assert "قابل دانلود" in page.inner_text(f"{card} .badge.STOPPED")
    page.click(f"{card} form button")
    page.wait_for_selector(f"{card} .badge.downloading")
    page.wait_for_function(f"() => document.querySelector('{card} progress.violet')?.value > 0")
    assert "در حال دانلود" in page.inner_text(f"{card} .badge.downloading")
    assert "٪" in page.inner_text(f"{card} .pct")
    person.go("/models")
    page.wait_for_selector(f"#coming {card} .badge.downloading")
    person.go("/models/catalogue?q=albert-fa-zwnj")

    hub.always = Fault(status=500)
    page.wait_for_selector(f"{card} .badge.error")
    assert "نگه داشته شده" in page.inner_text(f"{card} .foot")
    kept = hub.sent_bytes
    hub.always, hub.bytes_per_second = None, None
    page.click(f"{card} form button")
    page.wait_for_selector(f"{card} .badge.ready:has-text('آماده')")  # that it fits is told by a green badge, too
    assert hub.sent_bytes < 4_100_000, f"what had come ({kept}) was gone on with"
    person.go("/models")
    page.wait_for_selector("#model-list .badge.ready")
    person.go("/models/resources")
    page.click("#resources tr:has(.badge.ready) a:has-text('albert-fa-zwnj-base-v2')")
    page.wait_for_url("**/models/mdl_*")
    assert person.complaints == []


def test_what_is_pressed_while_news_come_in_is_clicked_all_the_same(person: Person, workshop: Server, tmp_path: Path) -> None:
    """A link whose part is put anew between the press and the release of the button would swallow the click."""
    with Kargah(workshop.url, workshop.token) as kargah:
        dataset = kargah.datasets.upload(table(tmp_path, "فشرده.csv", 30), title="فشرده")
    page = person.go("/models/resources")
    page.wait_for_selector("html[data-stream=on]")
    page.hover(f"#resources a[href$='{dataset.id}']")
    page.mouse.down()
    page.evaluate("document.querySelector('#totals').append('کهنه'); document.querySelector('#resources').append('کهنه')")
    with page.expect_response("**/models/resources"), Kargah(workshop.url, workshop.token) as kargah:
        kargah.datasets.upload(table(tmp_path, "تازه‌رسیده.csv", 31), title="تازه‌رسیده")
    page.wait_for_timeout(300)
    page.mouse.up()
    page.wait_for_url(f"**/datasets/{dataset.id}", timeout=10_000)
    assert person.complaints == []


def test_news_come_in_once_nothing_is_pressed_any_more(person: Person, workshop: Server, tmp_path: Path) -> None:
    page = person.go("/models/resources")
    page.wait_for_selector("html[data-stream=on]")
    page.hover("h1")
    page.mouse.down()
    with page.expect_response("**/models/resources"), Kargah(workshop.url, workshop.token) as kargah:
        dataset = kargah.datasets.upload(table(tmp_path, "پس‌از‌رها.csv", 32), title="پس از رها")
    page.mouse.up()
    page.wait_for_selector(f"#resources a[href$='{dataset.id}']")
    assert person.complaints == []
