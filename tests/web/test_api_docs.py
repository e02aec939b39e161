"""The description of the API: whole, and shown by a page that asks nobody else."""

from pathlib import Path

import pytest
from support.sites import Site

CHROMIUM = Path("/usr/bin/chromium")


def test_every_operation_is_described_with_what_it_answers(site: Site) -> None:
    described = site.client("admin").get("/api/v1/openapi.json").json()
    operations = {(method, path): about for path, methods in described["paths"].items() for method, about in methods.items()}
    assert ("post", "/api/v1/trainings") in operations
    undescribed = [
        place
        for place, about in operations.items()
        if place[1].startswith("/api/v1/") and not any(answer in about["responses"] for answer in ("200", "201", "204"))
    ]
    assert undescribed == []


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
def test_the_page_works_offline_under_our_own_policy(site: Site) -> None:
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context()
        context.add_cookies([{"name": "kargah_session", "value": site.tokens["trainer"], "url": site.url}])
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.url}/api/docs")
        page.locator(".opblock-tag").first.wait_for()
        wanted = page.locator("#operations-auth-me_api_v1_auth_me_get")
        for _ in range(600):  # so long a list is drawn only where one looks
            if wanted.count():
                break
            page.mouse.wheel(0, 300)
            page.wait_for_timeout(50)
        wanted.click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        page.locator(".live-responses-table .response-col_status", has_text="200").first.wait_for()
        browser.close()
    assert said == []
    assert all(address.startswith((site.url, "data:")) for address in asked)
