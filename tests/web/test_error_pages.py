"""What cannot be shown has a page of its own: in the reader's language, with a request id, by the real fault each time."""

import re
from collections.abc import Callable

import httpx
from sqlalchemy import text
from support.sites import Site

from kargah.kit.i18n import LANGUAGES, catalogue

BODY_BYTES, A_MINUTE = 10_000, 60


def damage(site: Site, statement: str) -> None:
    with site.database.write() as session:
        session.execute(text(statement))


def hurry(client: httpx.Client) -> httpx.Response:
    return next(answer for answer in (client.get("/about") for _ in range(2 * A_MINUTE)) if answer.status_code != 200)


def assert_said(answer: httpx.Response, language: str, status: int, code: str) -> None:
    page = answer.text
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert f'<html lang="{language}" dir="{"rtl" if language == "fa" else "ltr"}"' in page
    assert catalogue(language)[f"errors.title.{status}"] in page
    assert code in page
    assert answer.headers["x-request-id"] == f"asked-{status}"
    assert f"asked-{status}" in page
    assert not re.search(r"Traceback|NO SUCH STATE|jobs_away|sqlalchemy|\{\w+\}", page)


def test_what_cannot_be_shown_is_said_on_a_page_of_its_own(make_site: Callable[..., Site]) -> None:
    """A viewer at the settings, an address that is none, a form too large, a row damaged, a table away, a reader in a hurry."""
    site = make_site(body_limit_bytes=BODY_BYTES, rate_limit_per_minute=A_MINUTE)
    site.register("admin")
    viewer = site.register("viewer")
    site.client("admin").patch(f"/api/v1/users/{viewer['id']}", json={"role": "viewer"}).raise_for_status()
    site.client("admin").post("/api/train", json={"epochs": 1}).raise_for_status()

    def asked(status: int, code: str, ask: Callable[[httpx.Client], httpx.Response], who: str = "admin") -> None:
        for language in LANGUAGES:
            headers = {"Accept-Language": language, "X-Request-Id": f"asked-{status}"}
            assert_said(ask(site.client(who, **headers)), language, status, code)

    asked(403, "FORBIDDEN", lambda client: client.get("/settings"), who="viewer")
    asked(404, "NO_SUCH_PAGE", lambda client: client.get("/no/such/page"))
    asked(413, "TOO_LARGE", lambda client: client.post("/account/name", data={"name": "x" * 2 * BODY_BYTES}))
    damage(site, "UPDATE jobs SET state = 'NO SUCH STATE'")
    asked(500, "INTERNAL", lambda client: client.get("/runs"))
    damage(site, "ALTER TABLE jobs RENAME TO jobs_away")
    asked(503, "NOT_AVAILABLE", lambda client: client.get("/runs"))
    asked(429, "RATE_LIMITED", hurry, who="viewer")
