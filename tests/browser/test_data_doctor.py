"""A bad file, by hand: its report is read, fixes are pressed, and the new version is trained on; then the way back."""

from pathlib import Path

import pytest
from playwright.sync_api import Page
from support.browser_people import Person, log_in, upload

GOOD = ("کتاب بسیار خوبی بود و خواندنش را پیشنهاد می‌کنم", "داستانی روان و شخصیت‌هایی باورپذیر دارد")
BAD = ("ترجمه ضعیف و پر از غلط است", "خسته‌کننده بود و نیمه‌کاره رهایش کردم")


@pytest.fixture
def bad_file(tmp_path: Path) -> Path:
    """Labels in several spellings, blanks, copies, a phone number, a missing label, a comma without quotes."""
    rows = [f"{GOOD[n % 2]}، شمارهٔ {n},{'مثبت ' if n % 5 == 0 else 'مثبت'}" for n in range(30)]
    rows += [f"{BAD[n % 2]}، شمارهٔ {n},{'منفي' if n % 5 == 0 else 'منفی'}" for n in range(30)]
    rows += [rows[1], rows[2], "با 09123456789 تماس بگيريد,مثبت", "نظری ندارم,"]
    rows += ["کتاب خوبی بود, بسیار خوب,مثبت"]
    path = tmp_path / "bad.csv"
    path.write_text("متن,برچسب\n" + "\n".join(rows) + "\n")
    return path


def problems(page: Page) -> set[str]:
    return {item.get_attribute("data-problem") or "" for item in page.locator("[data-problem]").all()}


def press(page: Page, selector: str, version: str) -> None:
    """Press a fix and wait until the new version is the current one."""
    page.click(selector)
    page.wait_for_selector(f"tr:has(th:text-is('{version}')):has(.tag)")
    page.wait_for_selector("#dataset-state .badge:is(.ready, .warn)")


def test_a_bad_file_is_read_mended_and_trained_on(person: Person, bad_file: Path) -> None:
    log_in(person)
    dataset_id = upload(person, bad_file, "نظرهای خراب")
    page = person.page
    assert {"LABEL_VARIANTS", "OUTER_SPACES", "DUPLICATE_ROWS", "PERSONAL_PHONE", "MISSING_VALUES"} <= problems(page)

    press(page, "button[name=safe]", "۲")
    assert not {"LABEL_VARIANTS", "OUTER_SPACES", "DUPLICATE_ROWS"} & problems(page)
    assert {"PERSONAL_PHONE", "MISSING_VALUES"} <= problems(page)
    press(page, "[data-problem=PERSONAL_PHONE] button[data-fix=mask_personal]", "۳")
    press(page, "button[data-fix=normalise]", "۴")
    assert page.locator("button[data-fix=normalise]").count() == 0
    press(page, "[data-problem=MISSING_VALUES] button[data-fix=drop_missing]", "۵")
    assert not {"PERSONAL_PHONE", "MISSING_VALUES"} & problems(page)
    rows = page.request.get(f"{person.url}/api/v1/datasets/{dataset_id}/preview?limit=200").json()["rows"]
    assert "با <PHONE> تماس بگیرید" in {row["متن"] for row in rows}

    version = page.request.get(f"{person.url}/api/v1/datasets/{dataset_id}").json()["version"]
    assert (version["rows"], version["lineage"]["parent_number"]) == (61, 4)
    page = person.go(f"/runs/new?dataset={dataset_id}")
    page.fill("[name='spec.epochs']", "۱")
    page.click("#train-acts button.go")
    page.wait_for_url("**/runs/run_*")
    page.wait_for_selector("#run-state .COMPLETED")
    page.wait_for_selector("#run-result table")

    edit_by_hand(page, dataset_id, person)
    page.click("tr:has(th:text-is('۱')) form button")
    page.wait_for_selector("tr:has(th:text-is('۱')):has(.tag)")
    assert "LABEL_VARIANTS" in problems(page)
    say_what_a_column_is(page)
    press(page, "[data-problem=RAGGED_ROWS] button[data-fix=join_rows]", "۸")
    assert "RAGGED_ROWS" not in problems(page)
    page.click("#names summary")
    page.select_option("#name-column", "متن")
    page.fill("#name-to", "نظر")
    press(page, "#names button", "۹")
    last = page.request.get(f"{person.url}/api/v1/datasets/{dataset_id}/rows?contains=کتاب خوبی بود").json()["rows"][0]
    assert last["cells"]["نظر"] == "کتاب خوبی بود, بسیار خوب"
    assert person.complaints == []


def edit_by_hand(page: Page, dataset_id: str, person: Person) -> None:
    """A row is found, its label changed with a reason, and another version made."""
    person.go(f"/datasets/{dataset_id}/rows?q=تماس+بگيريد")
    assert page.locator("#rows tbody tr").count() == 1
    page.click("a:has-text('ویرایش این سطرها')")
    page.locator("#rows tbody .in").nth(1).fill("منفی")
    page.fill("#rows [name=why]", "برچسب نادرست بود")
    page.click("#rows button.go")
    page.wait_for_selector("tr:has(th:text-is('۶')):has(.tag)")
    page.click("tr:has(th:text-is('۶')) a[href*=difference]")
    page.wait_for_selector(".strip")
    assert [text.strip() for text in page.locator(".strip dd").all_text_contents()] == ["۱", "۱", "۶۰"]
    page.go_back()
    assert "برچسب نادرست بود" in (page.text_content("tr:has(th:text-is('۶'))") or "")


def say_what_a_column_is(page: Page) -> None:
    page.click("#kinds summary")
    page.select_option("#kind-column", "برچسب")
    page.select_option("#kind-to", "identifier")
    press(page, "#kinds button", "۷")
    kind = page.locator("#columns tbody tr").nth(1).locator("td").nth(1)
    assert "شناسه" in (kind.text_content() or "") and "تعیین‌شده با دست" in (kind.text_content() or "")
