"""From nothing to a model that answers, by hand, in Persian; with a reload in the middle and a training that is stopped."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page
from support.browser_people import Person, log_in, register, upload

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sentiment-deepsentipers" / "train.csv"


@pytest.fixture(scope="module")
def reviews() -> Path:
    """Persian reviews with five classes: the whole of the real ones where they are, else the bundled texts."""
    return SHARED if SHARED.exists() else Path(__file__).parents[2] / "kargah" / "datasets" / "samples" / "genre-fa.csv"


def start_training(person: Person, dataset_id: str, title: str, epochs: str) -> Page:
    page = person.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", epochs)
    page.fill("#title", title)
    page.click("#train-acts button.go")
    page.wait_for_url("**/runs/run_*")
    return page


def wait_for_points(page: Page, count: int) -> None:
    page.wait_for_function("count => Number(document.querySelector('run-chart').dataset.points) >= count", arg=count)


def test_a_person_gets_from_a_file_to_a_model_that_answers(person: Person, reviews: Path) -> None:
    register(person, "sara@example.org", "سارا محمدی")
    dataset_id = upload(person, reviews, "دیدگاه‌ها")

    # One training is stopped while it runs, by the dialog that says what is kept.
    page = start_training(person, dataset_id, "برای توقف", "۲۰۰")
    wait_for_points(page, 3)
    page.click("[data-open='halt']")
    page.click("#halt button.stop")
    page.wait_for_selector("#run-state .STOPPED:has(use[href$='#i-stop'])")
    page.wait_for_function("() => !document.querySelector('[data-open=halt]')")

    # Another is watched: the curve moves, a reload in the middle loses nothing, and it ends with a result.
    page = start_training(person, dataset_id, "حس دیدگاه‌ها", "۳")
    wait_for_points(page, 3)
    before = int(page.get_attribute("run-chart", "data-points") or 0)
    wait_for_points(page, before + 3)
    page.reload()
    wait_for_points(page, before + 3)
    page.wait_for_selector("#run-state .COMPLETED")
    page.wait_for_selector("#run-result table")
    run = page.url.partition("?")[0]
    steps = said_steps(page, run)
    assert steps == list(range(1, len(steps) + 1))
    wait_for_points(page, len(steps))
    assert page.get_attribute("run-chart", "data-points") == str(len(steps))
    assert page.text_content("html[data-stream='ended'] #live")
    page.wait_for_selector(f"live-log li:has-text('step {steps[-1]} epoch')")

    ask_and_download(page)
    assert person.complaints == []


def said_steps(page: Page, run: str) -> list[int]:
    """The steps with a loss, as the whole curve says them."""
    answer = page.request.get(f"{run}/curve.csv")
    rows = csv.DictReader(io.StringIO(answer.body().decode("utf-8-sig")))
    return [int(row["step"]) for row in rows if row["loss"]]


def ask_and_download(page: Page) -> None:
    page.fill("#try textarea", "کیفیت ساخت عالی و خریدش را پیشنهاد می‌کنم")
    page.click("#try button")
    page.wait_for_selector("#try .answer .prob-row")
    assert page.locator("#try .prob-row").count() >= 2
    with page.expect_download() as download:
        page.click("#run-result tr.best-row a[download]")
    with zipfile.ZipFile(download.value.path()) as packed:
        names = {name.rpartition("/")[2] for name in packed.namelist()}
    assert {"kargah.json", "metrics.json", "README.fa.md"} <= names


def test_what_is_wrong_stands_beside_the_field_and_what_was_typed_stays(person: Person, reviews: Path) -> None:
    log_in(person)
    dataset_id = upload(person, reviews, "برای خطا")
    page = person.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", "بسیار")
    page.fill("[name='spec.learning_rate']", "۰٫۰۰۱")
    page.click("#train-acts button.go")
    field = page.locator("[name='spec.epochs']")
    field.and_(page.locator("[aria-invalid=true]")).wait_for()
    assert field.input_value() == "بسیار"
    assert page.locator("[name='spec.learning_rate']").input_value() == "۰٫۰۰۱"
    assert page.locator(".field:has([name='spec.epochs']) .hint.bad").count() == 1


def test_a_bad_password_is_said_beside_the_field_and_the_email_stays(person: Person) -> None:
    page = person.go("/login")
    page.fill("#email", "nobody@example.org")
    page.fill("#password", "not the password")
    page.click("button.go")
    page.wait_for_selector("#password-error")
    assert page.input_value("#email") == "nobody@example.org"
    assert page.input_value("#password") == ""


def test_the_other_words_follow_the_form(person: Person, reviews: Path) -> None:
    """The same as YAML, curl, CLI and Python, in Latin digits however they were typed."""
    log_in(person)
    dataset_id = upload(person, reviews, "برای YAML")
    page = person.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", "۱۲")
    page.wait_for_function("() => document.querySelector('#same-yaml').textContent.includes('epochs: 12')")
    assert dataset_id in (page.text_content("#same-python-text") or "")


def test_a_dry_run_forecasts_on_the_form_and_makes_no_model(person: Person, reviews: Path) -> None:
    log_in(person)
    dataset_id = upload(person, reviews, "برای پیش‌بینی")
    page = person.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", "بسیار")
    page.click("button[name='dry_run']")
    page.wait_for_selector("[name='spec.epochs'][aria-invalid=true]")
    person.complaints.clear()  # a browser tells its console of every 422
    page.fill("[name='spec.epochs']", "۲")
    page.click("button[name='dry_run']")
    page.wait_for_selector("dry-run .verdict")
    assert "/runs/new" in page.url
    assert page.input_value("[name='spec.epochs']") == "۲"
    page.wait_for_selector("dry-run .badge.COMPLETED")
    assert page.locator("dry-run .stale").is_hidden()
    page.fill("[name='spec.epochs']", "۳")
    page.wait_for_selector("dry-run .stale", state="visible")

    page.click("dry-run .its-page")
    page.wait_for_selector("#run-result .verdict")
    assert page.locator("#run-result table").count() == 0
    assert page.locator("#try").count() == 0
    assert person.complaints == []


def test_a_lost_stream_says_so_and_is_taken_up_again(person: Person) -> None:
    log_in(person)
    person.context.route("**/api/v1/events*", lambda route: route.abort())
    page = person.go("/runs")
    page.wait_for_selector("html[data-stream='off'] #live.off")
    person.context.unroute("**/api/v1/events*")
    page.wait_for_selector("html[data-stream='on'] #live:not(.off)")
