"""The page of a training beyond the happy path: a failure that can be tried again, a log that can be searched and taken away."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from support.browser_people import Person, arrive
from support.server import Server, running_with_admin

from kargah.client import Kargah
from kargah.client.errors import JobEnded
from kargah.web.pages.run_views import readable

LINE = Path(__file__).parents[2] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_with_admin(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def dataset_id(workshop: Server) -> str:
    with Kargah(workshop.url, workshop.token) as kargah:
        return kargah.datasets.upload(LINE, title="خط").id


@pytest.fixture(scope="module")
def done(workshop: Server, dataset_id: str) -> str:
    """The id of a training that is over."""
    with Kargah(workshop.url, workshop.token) as kargah:
        started = kargah.trainings.start(datasets=[dataset_id], spec={"epochs": 2}, title="خط راست")
        kargah.jobs.wait(started.job.id)
        return started.run_id


@pytest.fixture
def person(chromium: Browser, workshop: Server) -> Iterator[Person]:
    someone = arrive(chromium, workshop)
    someone.context.add_cookies([{"name": "kargah_session", "value": workshop.token, "url": workshop.url}])
    yield someone
    someone.context.close()


def browser(server: Server) -> httpx.Client:
    client = server.client(None)
    client.cookies.set("kargah_session", server.token)
    return client


def test_a_training_that_failed_says_why_and_is_started_again_with_one_button(person: Person, workshop: Server, done: str) -> None:
    """Its data is taken from the disk, so that it fails for a reason; when the data is back, the same again succeeds."""
    with Kargah(workshop.url, workshop.token) as kargah:
        dataset = kargah.datasets.upload(LINE, title="گم‌شده")
        files = workshop.client().get(f"/api/v1/datasets/{dataset.id}").json()["version"]["files"]
        sha256 = next(file["sha256"] for file in files if file["path"] == "data.parquet")
        blob = next(path for path in workshop.home.rglob(f"*{sha256[4:]}") if path.is_file())
        away = blob.rename(workshop.home / "away")
        started = kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 2, "batch_size": 16}, title="تلاش")
        with pytest.raises(JobEnded):
            kargah.jobs.wait(started.job.id)
        away.rename(blob)

    page = person.go(f"/runs/{started.run_id}")
    card = page.locator("#failure")
    assert card.locator("p").first.inner_text().strip()
    assert re.search(r"/help/errors#[A-Z_]+$", card.locator("a.link").get_attribute("href") or "")
    card.locator("form button").click()
    page.wait_for_function("before => !location.pathname.endsWith(before)", arg=started.run_id)
    page.wait_for_selector("#run-state .COMPLETED")
    again = workshop.client().get("/api/v1/runs/" + page.url.rpartition("/")[2].partition("?")[0]).json()
    assert (again["title"], again["params"]["batch_size"]["value"], again["params"]["batch_size"]["source"]) == ("تلاش", 16, "chosen")
    assert page.locator("#failure").count() == 0
    assert person.complaints == []


def test_a_loss_that_is_no_number_offers_a_lower_rate_and_takes_it(person: Person, workshop: Server, dataset_id: str) -> None:
    with Kargah(workshop.url, workshop.token) as kargah:
        spec = {"epochs": 40, "learning_rate": 10.0, "max_grad_norm": 0, "warmup_ratio": 0, "early_stopping_patience": 100}
        started = kargah.trainings.start(datasets=[dataset_id], spec=spec, title="واگرا")
        try:
            kargah.jobs.wait(started.job.id)
        except JobEnded:
            pass
        else:
            pytest.skip("this rate did not diverge here")
    page = person.go(f"/runs/{started.run_id}")
    assert page.locator("#failure .fix").inner_text().strip()
    page.click("#failure button:has(use[href$='#i-adapt'])")
    page.wait_for_function("before => !location.pathname.endsWith(before)", arg=started.run_id)
    smaller = workshop.client().get("/api/v1/runs/" + page.url.rpartition("/")[2].partition("?")[0]).json()
    assert smaller["title"] == "واگرا"


def test_the_log_is_searched_with_any_spelling_and_shows_all_again(person: Person, done: str) -> None:
    page = person.go(f"/runs/{done}")
    whole = page.locator("live-log li").count()
    page.fill("live-log [name=log]", "ذخيره")  # Arabic ي
    page.wait_for_function("whole => document.querySelectorAll('live-log li').length < whole", arg=whole)
    page.fill("live-log [name=log]", "no such words")
    page.wait_for_selector("live-log .nothing")
    page.fill("live-log [name=log]", "")
    page.wait_for_function("whole => document.querySelectorAll('live-log li').length === whole", arg=whole)
    assert person.complaints == []


def test_the_log_is_searched_without_javascript_too(workshop: Server, done: str) -> None:
    found = browser(workshop).get(f"/runs/{done}", params={"log": "Eval"}).text
    lines = re.findall(r"<li data-position.*?</li>", found)
    assert lines
    assert all(">eval<" in line for line in lines)


def test_the_whole_log_is_taken_away_with_every_step_once(workshop: Server, done: str) -> None:
    answer = browser(workshop).get(f"/runs/{done}/whole/log")
    assert "attachment" in answer.headers["content-disposition"]
    steps = [int(step) for step in re.findall(r" step step (\d+) ", answer.text)]
    assert steps == list(range(1, len(steps) + 1)) != []
    assert not re.search("[\u2066-\u2069]", answer.text)
    assert browser(workshop).get("/runs/run_nothing/whole/log").status_code == 404


def test_what_steers_a_terminal_is_not_shown() -> None:
    assert readable("\x1b[31mred\x1b[0m\r\n10%\r50%\r100%\nend \x1b]0;title\x07done") == "red\n100%\nend done"
