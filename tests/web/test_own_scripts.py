"""Custom scripts are off unless somebody allowed them; then what is no script is refused by name."""

from collections.abc import Callable

import pytest
from support.sites import Site

SCRIPT = {"source": "print(1)\n", "filename": "one.py"}


def codes(site: Site, who: str, **changes: object) -> tuple[int, str]:
    answer = site.client(who).post("/api/v1/scripts", json={**SCRIPT, **changes})
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize(("language", "words"), [("fa", "خاموش"), ("en", "switched off")])
def test_they_are_off_and_the_refusal_says_how_an_admin_allows_them(site: Site, language: str, words: str) -> None:
    answer = site.client("admin").post("/api/v1/scripts", json=SCRIPT, headers={"Accept-Language": language})
    assert (answer.status_code, answer.json()["code"]) == (403, "SCRIPTS_OFF")
    assert words in answer.json()["detail"]
    assert "KARGAH_CUSTOM_SCRIPTS" in site.client("admin").get("/scripts").text


def test_where_only_admins_may_others_may_not(make_site: Callable[..., Site]) -> None:
    site = make_site(custom_scripts="admins")
    for who in ("admin", "trainer"):
        site.register(who)
    assert codes(site, "trainer") == (403, "SCRIPTS_FOR_ADMINS")
    assert codes(site, "admin")[0] == 201
    assert codes(site, "admin", source=" \n") == (422, "NOT_A_SCRIPT")
    assert codes(site, "admin", source="a\u200c" * 400_000)[1] == "TOO_LARGE"
    assert codes(site, "admin", datasets=["ds_none"]) == (404, "NOT_FOUND")
    assert codes(site, "admin", parameters={"a": [1, {"b": None}]})[0] == 201
    page = site.client("admin").get("/scripts").text
    assert 'enctype="multipart/form-data"' in page
    assert page.count("one.py") >= 2
    form = {"parameters": "rate = 0.1\nname = علی", "title": "از فرم"}
    sent = site.client("admin").post("/scripts", data=form, files={"source": ("two.py", b"print(2)")}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"].partition("?")[2]) == (303, "done=script_queued")


def test_lines_of_parameters_are_json_where_they_can_be_and_else_text() -> None:
    from kargah.kit.errors import BadInput
    from kargah.web.pages.scripts import parameters_of

    assert parameters_of("rate = 0.1\n\nname = علی\nsizes=[1, 2]") == {"rate": 0.1, "name": "علی", "sizes": [1, 2]}
    with pytest.raises(BadInput):
        parameters_of("rate")
