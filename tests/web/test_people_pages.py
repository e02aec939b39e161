"""The pages of an admin and of whoever reads: people, settings, about, the manual."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support.sites import PASSWORD, Site

from kargah.kit.i18n import LANGUAGES, catalogue
from kargah.kit.settings import Settings
from kargah.recipes.catalogue import RECIPES


class Visitor:
    """A browser without its scripts: follows to the page that a form leads to."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def get(self, path: str, language: str = "en") -> httpx.Response:
        return self.client.get(path, headers={"Accept-Language": language})

    def post(self, path: str, **values: str) -> httpx.Response:
        csrf = re.search(r'csrf-token" content="(\w+)"', self.client.get("/account").text)
        return self.client.post(path, data={"_csrf": csrf[1] if csrf else "", **values}, follow_redirects=True)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Iterator[Site]:
    made = make_site(sign_ups="approval")
    made.register("admin")
    made.client().post("/api/v1/auth/register", json={"email": "new@example.org", "password": PASSWORD, "name": "<b>new</b>"})
    yield made


@pytest.fixture
def admin(site: Site) -> Visitor:
    return Visitor(site.browser("admin"))


def people(site: Site) -> dict[str, dict[str, Any]]:
    return {user["email"]: user for user in site.client("admin").get("/api/v1/users").json()["items"]}


def sign_in(site: Site, email: str, password: str) -> int:
    return site.client().post("/api/v1/auth/login", json={"email": email, "password": password}).status_code


def test_an_admin_approves_blocks_and_lets_in_again(site: Site, admin: Visitor) -> None:
    new = people(site)["new@example.org"]["id"]
    assert sign_in(site, "new@example.org", PASSWORD) == 403
    assert "&lt;b&gt;new&lt;/b&gt;" in admin.get("/people?status=pending").text
    for status, answer in (("active", 200), ("blocked", 403), ("active", 200)):
        assert admin.post(f"/people/{new}/status", status=status).status_code == 200
        assert sign_in(site, "new@example.org", PASSWORD) == answer


def test_a_role_given_on_the_page_is_the_role_one_has(site: Site, admin: Visitor) -> None:
    new = people(site)["new@example.org"]["id"]
    admin.post(f"/people/{new}/role", role="viewer")
    assert people(site)["new@example.org"]["role"] == "viewer"
    assert admin.post(f"/people/{new}/role", role="king").status_code == 422


def test_the_last_admin_stays_and_the_page_says_why(site: Site, admin: Visitor) -> None:
    own = people(site)["admin@example.org"]["id"]
    for path, values in ((f"/people/{own}/status", {"status": "blocked"}), (f"/people/{own}/role", {"role": "viewer"})):
        answer = admin.post(path, **values)
        assert answer.status_code == 409
        assert 'role="alert"' in answer.text
    assert people(site)["admin@example.org"]["role"] == "admin"


def test_a_new_password_is_shown_once_and_ends_what_was_open(site: Site, admin: Visitor) -> None:
    new = people(site)["new@example.org"]["id"]
    admin.post(f"/people/{new}/status", status="active")
    given = re.search(r"<code>([a-z2-9-]{23})</code>", admin.post(f"/people/{new}/password").text)
    assert given is not None
    assert sign_in(site, "new@example.org", PASSWORD) == 401
    assert sign_in(site, "new@example.org", given[1]) == 200
    assert given[1] not in admin.get("/people").text


def test_an_account_made_for_somebody_can_log_in_and_a_wrong_address_keeps_what_was_typed(site: Site, admin: Visitor) -> None:
    wrong = admin.post("/people", email="nobody", name="سارا", role="viewer")
    assert wrong.status_code == 422
    assert 'value="سارا"' in wrong.text
    assert 'id="email-error"' in wrong.text
    made = admin.post("/people", email="sara@example.org", name="سارا", role="viewer")
    given = re.search(r"<code>([a-z2-9-]{23})</code>", made.text)
    assert given is not None
    assert sign_in(site, "sara@example.org", given[1]) == 200


@pytest.mark.parametrize("path", ["/people", "/settings"])
def test_pages_of_admins_are_closed_to_others_and_not_in_their_menu(site: Site, admin: Visitor, path: str) -> None:
    new = people(site)["new@example.org"]["id"]
    admin.post(f"/people/{new}/status", status="active")
    token = site.client().post("/api/v1/auth/login", json={"email": "new@example.org", "password": PASSWORD}).json()["token"]
    site.tokens["new"] = token
    someone = Visitor(site.browser("new"))
    assert someone.get(path).status_code == 403
    assert f'href="{path}"' not in someone.get("/account").text
    assert f'href="{path}"' in admin.get("/account").text


def test_every_setting_is_shown_with_where_it_comes_from(admin: Visitor) -> None:
    page = admin.get("/settings").text
    assert [name for name in Settings.model_fields if f"KARGAH_{name.upper()}<" not in page] == []
    row = page.partition("KARGAH_SIGN_UPS<")[2].partition("</tr>")[0]
    assert "approval" in row
    assert "given at the start" in row


def test_a_password_within_the_database_address_is_not_shown() -> None:
    from kargah.web.pages.settings import groups_of
    from kargah.web.pages.words import Words

    groups = groups_of(Words("en"), Settings(database_url="postgresql://kargah:secret@host/db"))
    assert "secret" not in str(groups)


def test_about_names_the_version_and_the_licences(admin: Visitor) -> None:
    page = admin.get("/about").text
    assert "Apache-2.0" in page
    assert admin.get(re.findall(r'href="(/static/[^"]+OFL[^"]+)"', page)[0]).status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_manual_explains_every_error_setting_and_field(admin: Visitor, language: str) -> None:
    errors = admin.get("/help/errors", language).text
    assert [key for key in catalogue(language) if key.startswith("error.") and f'id="{key[6:]}"' not in errors] == []
    settings = admin.get("/help/configuration", language).text
    assert [name for name in Settings.model_fields if f'id="KARGAH_{name.upper()}"' not in settings] == []
    for recipe in RECIPES.values():
        page = admin.get(f"/help/{recipe.name}", language).text
        assert [name for name in recipe.spec.model_fields if f'id="{name}"' not in page] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_of_the_manual_leads_somewhere(admin: Visitor, language: str) -> None:
    links = set(re.findall(r'href="(/[^"#]*)', admin.get("/help", language).text))
    for path in [path for path in links if path.startswith("/help/")]:
        page = admin.get(path, language)
        links |= set(re.findall(r'href="(/[^"#]*)', page.text))
        assert [target for target in re.findall(r'href="#([^"]+)"', page.text) if f'id="{target}"' not in page.text] == []
    assert [path for path in sorted(links) if admin.get(path, language).status_code != 200] == []


def test_the_manual_is_searched_whatever_the_spelling(admin: Visitor) -> None:
    admin.post("/preferences", language="fa")
    assert "/help/tabular#log_target" in admin.get("/help?q=لگاريتم").text
    assert "<b>" not in re.sub(r"<b>[^<]*</b>", "", admin.get("/help?q=<b>x").text)
