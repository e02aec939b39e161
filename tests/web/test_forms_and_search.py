"""Forms that are sent twice or without a session, and the search of the palette."""

import io
import re
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.model_folders import make_folder
from support.sites import Site

from kargah.contract.events import Failed
from kargah.jobs import history, states
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    yield site.browser("trainer")


@pytest.fixture
def dataset(site: Site) -> str:
    """The bundled table, which the documented route brings along."""
    site.client("trainer").post("/api/train", json={"epochs": 1}).raise_for_status()
    rows = site.client("trainer").get("/api/v1/datasets").json()["items"]
    return str(next(row["id"] for row in rows if "x, y" in row["title"]))


def form_of(browser: httpx.Client, dataset: str) -> dict[str, str]:
    page = browser.get(f"/runs/new?dataset={dataset}").text
    hidden = {name: re.search(rf'name="{name}" value="([^"]+)"', page) for name in ("_csrf", "_once")}
    filled = {"dataset": dataset, "recipe": "tabular", "role.target": "y", "title": "دوبار"}
    return filled | {name: found[1] for name, found in hidden.items() if found}


def runs(site: Site) -> int:
    return len(site.client("trainer").get("/api/v1/runs", params={"query": "دوبار"}).json()["items"])


def test_a_form_sent_twice_at_once_starts_one_training(site: Site, browser: httpx.Client, dataset: str) -> None:
    form = form_of(browser, dataset)
    before = runs(site)
    with ThreadPoolExecutor(4) as clicks:
        answers = list(clicks.map(lambda _: browser.post("/runs/new", data=form), range(4)))
    assert [answer.status_code for answer in answers] == [303] * 4
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert runs(site) == before + 1


def test_a_form_with_other_values_is_another_wish(site: Site, browser: httpx.Client, dataset: str) -> None:
    form = form_of(browser, dataset)
    first = browser.post("/runs/new", data=form).headers["location"]
    second = browser.post("/runs/new", data={**form, "spec.epochs": "۲"}).headers["location"]
    third = browser.post("/runs/new", data=form_of(browser, dataset)).headers["location"]
    assert len({first, second, third}) == 3


def test_a_form_sent_without_a_session_leads_to_the_login_and_back(site: Site) -> None:
    client = site.client()
    back = client.post("/people", data={"name": "x"}, headers={"Referer": f"{site.url}/people?status=active", "Origin": site.url})
    assert back.headers["location"] == "/login?next=/people%3Fstatus%3Dactive"
    elsewhere = client.post("/people", data={"name": "x"}, headers={"Referer": "http://elsewhere.example/people"})
    assert elsewhere.headers["location"] == "/login"


def test_names_are_found_in_any_spelling_by_those_who_may_see_them(site: Site, browser: httpx.Client, dataset: str) -> None:
    browser.post("/runs/new", data={**form_of(browser, dataset), "title": "كتاب‌هاي من"})
    found = site.client("trainer").get("/api/v1/search", params={"query": "کتابهای"}).json()["items"]
    assert [(item["kind"], item["title"]) for item in found] == [("run", "كتاب‌هاي من")]
    assert found[0]["href"] == f"/runs/{found[0]['id']}"
    assert site.client("stranger").get("/api/v1/search", params={"query": "کتابهای"}).json()["items"] == []
    assert len(site.client("trainer").get("/api/v1/search").json()["items"]) > 0


def fail(site: Site, job_id: str) -> None:
    with site.database.write() as session:
        words = {"needed_bytes": 2_000_000, "free_bytes": 1, "path": "/"}
        history.append(session, states.lock(session, job_id), Failed(at=utc_now(), code="DISK_FULL", params=words))


def test_the_bell_lists_what_happened_and_is_marked_read(site: Site, browser: httpx.Client, dataset: str) -> None:
    assert browser.get("/notices").status_code == 200
    form = form_of(browser, dataset)
    browser.post("/runs/new", data=form)
    job_id = site.client("trainer").get("/api/v1/jobs").json()["items"][0]["id"]
    fail(site, job_id)
    page = browser.get("/notices").text
    assert '<a class="link" href="/runs/run_' in page
    assert re.search("(?i)training “[^”]*” failed", page), "a notice says what it was that ended"
    until = re.search(r'name="until" value="(\d+)"', page)
    assert until is not None
    assert browser.post("/notices/read", data={"_csrf": form["_csrf"], "until": until[1]}).status_code == 303
    assert 'name="until"' not in browser.get("/notices").text
    assert browser.post("/notices/read", data={"_csrf": form["_csrf"], "until": "x"}).status_code == 422
    assert "/runs/run_" not in site.browser("stranger").get("/notices").text


def hidden(browser: httpx.Client, path: str, action: str) -> dict[str, str]:
    """What a form carries that nobody types."""
    form = re.search(rf'<form[^>]*method="post"[^>]*action="{action}".*?</form>', browser.get(path).text, re.DOTALL)
    assert form is not None, action
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))


def send_file(browser: httpx.Client, action: str, form: dict[str, str], name: str) -> httpx.Response:
    return browser.post(action, data=form, files={"file": (name, b"a,b\n1,2\n")}, headers={"X-CSRF-Token": form["_csrf"]})


def test_a_file_that_is_sent_twice_makes_one_data_set_and_one_newer_version(site: Site, browser: httpx.Client) -> None:
    form = {**hidden(browser, "/datasets", "/datasets"), "title": "یک بار"}
    places = [send_file(browser, "/datasets", form, "once.csv").headers["location"] for _ in range(2)]
    assert len(set(places)) == 1
    assert len(site.client("trainer").get("/api/v1/datasets", params={"query": "یک بار"}).json()["items"]) == 1
    path = places[0].partition("?")[0]
    newer = hidden(browser, path, f"{path}/versions")
    assert [send_file(browser, f"{path}/versions", newer, "newer.csv").status_code for _ in range(2)] == [303, 303]
    assert len(site.client("trainer").get(f"/api/v1{path}").json()["versions"]) == 2


def test_a_model_that_is_sent_twice_is_brought_in_once(site: Site, browser: httpx.Client, tmp_path: Path) -> None:
    folder, packed = make_folder(tmp_path / "tiny"), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    form = {**hidden(browser, "/models", "/models/import"), "title": "پایهٔ یک بار"}
    sent: dict[str, Any] = {"files": {"file": ("tiny.zip", packed.getvalue())}, "headers": {"X-CSRF-Token": form["_csrf"]}}
    places = [browser.post("/models/import", data=form, **sent).headers["location"] for _ in range(2)]
    assert len(set(places)) == 1
    assert len(site.client("trainer").get("/api/v1/models", params={"query": "پایهٔ یک بار"}).json()["items"]) == 1


def test_a_token_that_is_asked_for_twice_is_made_once_and_said_to_be_there(site: Site, browser: httpx.Client) -> None:
    form = {**hidden(browser, "/account", "/account/tokens"), "token_name": "برای آزمون", "days": "30"}
    first, second = (browser.post("/account/tokens", data=form) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 409)
    assert 'id="token_name-error"' in second.text and 'value="برای آزمون"' in second.text
    names = [token["name"] for token in site.client("trainer").get("/api/v1/auth/tokens").json()]
    assert names.count("برای آزمون") == 1


def test_somebody_who_is_let_in_twice_is_there_once(site: Site) -> None:
    admin = site.browser("admin")
    form = {**hidden(admin, "/people", "/people"), "name": "نرگس", "email": "once@example.org", "role": "viewer"}
    answers = [admin.post("/people", data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert 'id="email-error"' in answers[1].text and 'value="once@example.org"' in answers[1].text


def test_a_name_that_is_refused_is_asked_for_again_with_what_was_wrong_beside_it(browser: httpx.Client, dataset: str) -> None:
    form = {**hidden(browser, f"/datasets/{dataset}", f"/datasets/{dataset}/rename"), "title": " \t "}
    answer = browser.post(f"/datasets/{dataset}/rename", data=form)
    dialog = re.search(r'<dialog[^>]*id="rename".*?</dialog>', answer.text, re.DOTALL)
    assert answer.status_code == 422 and dialog is not None
    assert " open>" in dialog[0].split("\n")[0] and 'id="title-error"' in dialog[0]


def test_a_data_set_in_the_trash_is_restored_on_its_own_page(site: Site, browser: httpx.Client, dataset: str) -> None:
    path = f"/datasets/{dataset}"
    csrf = hidden(browser, path, f"{path}/delete")
    assert browser.post(f"{path}/delete", data=csrf).status_code == 303
    page = browser.get(path)
    assert page.status_code == 200 and f'action="{path}/rename"' not in page.text.partition("<dialog")[0]
    assert browser.get(f"/api/v1/datasets/{dataset}").status_code == 404
    assert_not_purged(site, browser, dataset)
    assert browser.post(f"{path}/restore", data=hidden(browser, path, f"{path}/restore")).headers["location"].startswith(path)
    assert browser.get(f"/api/v1/datasets/{dataset}").status_code == 200


def assert_not_purged(site: Site, browser: httpx.Client, dataset: str) -> None:
    """A run stands on it: refused by its name, on the page and to programs."""
    path = f"/datasets/{dataset}"
    answer = browser.post(f"{path}/purge", data=hidden(browser, path, f"{path}/purge"))
    assert answer.status_code == 409 and "x, y" in answer.text and 'class="note error' in answer.text
    refused = site.client("trainer").delete(f"/api/v1/datasets/{dataset}", params={"purge": "true"}).json()
    assert (refused["code"], refused["params"]["runs"][:4]) == ("DATASET_IN_USE", "x, y")


def test_only_what_is_in_the_trash_and_read_is_deleted_for_good(site: Site) -> None:
    client = site.client("trainer")
    made = client.put("/api/v1/datasets", params={"filename": "x.csv"}, content="a,b\n1,2\n").json()["id"]
    assert client.delete(f"/api/v1/datasets/{made}", params={"purge": "true"}).json()["code"] == "NOT_IN_TRASH"
    assert client.delete(f"/api/v1/datasets/{made}").status_code == 204
    assert client.delete(f"/api/v1/datasets/{made}", params={"purge": "true"}).json()["code"] == "NOT_IMPORTED"


def test_a_second_data_set_is_mixed_in_with_its_weight_and_its_own_column_names(site: Site, browser: httpx.Client, dataset: str) -> None:
    client = site.client("trainer")
    client.delete(f"/api/v1/datasets/{dataset}").raise_for_status()
    client.post("/api/train", json={"epochs": 1}).raise_for_status()
    client.post(f"/api/v1/datasets/{dataset}/restore").raise_for_status()
    second = next(one["id"] for one in client.get("/api/v1/datasets").json()["items"] if one["id"] != dataset and one["title"] == "x, y")
    page = browser.get("/runs/new", params={"dataset": [dataset, second]}).text
    assert f'name="weight.{second}"' in page and f'name="column.{second}.target"' in page and f'name="column.{dataset}.target"' not in page
    form = {**form_of(browser, dataset), "dataset": [dataset, second], "role.features": "x", f"weight.{second}": "زیاد"}
    refused = browser.post("/runs/new", data=form)
    assert refused.status_code == 422 and 'id="weight-error"' in refused.text and 'value="زیاد"' in refused.text
    wanted = {**form, f"weight.{second}": "۰٫۵", f"column.{second}.target": "x", "title": "آمیخته"}
    address = browser.post("/runs/new", data=wanted).headers["location"]
    again = browser.get("/runs/new", params={"like": address.split("/")[-1].split("?")[0]}).text
    assert re.search(rf'name="weight.{second}"[^>]*value="0.5"', again)
    assert '"weight": 0.5' in again.replace("&#34;", '"') or "weight: 0.5" in again


def test_what_a_column_is_is_said_on_the_page_and_makes_a_version(site: Site, browser: httpx.Client, dataset: str) -> None:
    path = f"/datasets/{dataset}"
    form = {**hidden(browser, path, f"{path}/columns"), "column": "x", "to": "date", "otherwise": "empty"}
    refused = browser.post(f"{path}/columns", data=form)
    assert (refused.status_code, 'id="column-error"' in refused.text) == (422, True)
    assert browser.post(f"{path}/columns", data={**form, "to": "poem"}).status_code == 422
    made = browser.post(f"{path}/columns", data={**form, "to": "category"})
    assert made.headers["location"] == f"{path}?done=dataset_mending"
    client = site.client("trainer")
    newest = client.get(f"/api/v1/datasets/{dataset}").json()["versions"][0]
    assert newest["lineage"]["fixes"] == [{"kind": "set_kind", "column": "x", "to": "category", "otherwise": "empty"}]
    client.post(f"/api/v1/jobs/{newest['job_id']}/stop").raise_for_status()

    form = {**hidden(browser, path, f"{path}/names"), "column": "x"}
    refused = browser.post(f"{path}/names", data={**form, "to": "y"})
    assert (refused.status_code, 'id="name-error"' in refused.text) == (422, True)
    assert browser.post(f"{path}/names", data={**form, "to": " بها‌ی   خرید "}).headers["location"] == f"{path}?done=dataset_mending"
    newest = client.get(f"/api/v1/datasets/{dataset}").json()["versions"][0]
    assert newest["lineage"]["fixes"] == [{"kind": "rename_column", "column": "x", "to": "بها‌ی خرید"}]
    client.post(f"/api/v1/jobs/{newest['job_id']}/stop").raise_for_status()


def test_a_proposed_task_and_its_columns_are_others_when_a_person_says_so(site: Site, browser: httpx.Client, dataset: str) -> None:
    client = site.client("trainer")
    proposed = client.get(f"/api/v1/datasets/{dataset}/suggestions").json()[0]
    assert (proposed["recipe"], proposed["columns"]["target"], bool(proposed["reasons"])) == ("tabular", "y", True)
    assert 'class="hint">Guessed:' in browser.get(f"/runs/new?dataset={dataset}").text.replace("\n", "")
    form = {**form_of(browser, dataset), "role.target": "x", "role.features": "y"}
    run_id = browser.post("/runs/new", data=form).headers["location"].partition("?")[0].rpartition("/")[2]
    wanted = {"datasets": [dataset], "recipe": "tabular", "spec": {"columns": {"target": "x", "features": ["y"]}}}
    started = client.post("/api/v1/trainings", json=wanted).json()
    with site.database.read() as session:
        jobs = [session.get(Job, client.get(f"/api/v1/runs/{run_id}").json()["job_id"]), session.get(Job, started["job"]["id"])]
        assert [job.plan["spec"]["columns"]["target"] for job in jobs if job] == ["x", "x"]
