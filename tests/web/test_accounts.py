"""Coming in, going out, and who may let others in, by HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.sites import PASSWORD, Site


def code_of(answer: object) -> str:
    return str(answer.json()["code"])  # type: ignore[attr-defined]


def test_of_many_who_register_at_once_exactly_one_is_admin(make_site: Callable[..., Site]) -> None:
    site = make_site()

    def register(number: int) -> str:
        form = {"email": f"p{number}@example.org", "password": PASSWORD}
        return str(site.client().post("/api/v1/auth/register", json=form).json()["user"]["role"])

    with ThreadPoolExecutor(6) as pool:
        roles = list(pool.map(register, range(6)))
    assert sorted(roles) == ["admin"] + ["trainer"] * 5


def test_one_address_in_any_spelling_is_one_account(make_site: Callable[..., Site]) -> None:
    client = make_site().client()
    first = client.post("/api/v1/auth/register", json={"email": "Sara@Example.org", "password": PASSWORD})
    again = client.post("/api/v1/auth/register", json={"email": " sara@example.ORG ", "password": PASSWORD})
    assert (first.status_code, first.json()["user"]["email"]) == (201, "sara@example.org")
    assert (again.status_code, code_of(again)) == (409, "EMAIL_TAKEN")
    assert client.post("/api/v1/auth/login", json={"email": "SARA@example.org", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("password", ["short", "12345678", "aaaaaaaaaaaa", "weak@example.org"])
def test_a_password_that_is_easy_to_guess_is_refused(site: Site, password: str) -> None:
    answer = site.client().post("/api/v1/auth/register", json={"email": "weak@example.org", "password": password})
    assert (answer.status_code, code_of(answer)) == (422, "WEAK_PASSWORD")


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a b@example.org", "a\u202eb@example.org", "a@@example.org"])
def test_what_is_no_email_is_refused(site: Site, email: str) -> None:
    answer = site.client().post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, code_of(answer)) == (422, "BAD_EMAIL")


def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(site: Site) -> None:
    wrong = site.client().post("/api/v1/auth/login", json={"email": "admin@example.org", "password": "not this one"})
    unknown = site.client().post("/api/v1/auth/login", json={"email": "nobody@example.org", "password": "not this one"})
    assert [answer.status_code for answer in (wrong, unknown)] == [401, 401]
    assert wrong.json()["detail"] == unknown.json()["detail"]


def test_a_new_account_waits_for_approval_where_that_is_the_rule(make_site: Callable[..., Site]) -> None:
    site = make_site(sign_ups="approval")
    site.register("admin")
    waiting = site.register("later")
    assert (waiting["status"], site.tokens["later"]) == ("pending", "")
    login = {"email": "later@example.org", "password": PASSWORD}
    refused = site.client().post("/api/v1/auth/login", json=login)
    assert (refused.status_code, code_of(refused)) == (403, "PENDING_APPROVAL")
    site.client("admin").patch(f"/api/v1/users/{waiting['id']}", json={"status": "active"}).raise_for_status()
    assert site.client().post("/api/v1/auth/login", json=login).status_code == 200


def test_closed_sign_ups_let_only_the_first_in(make_site: Callable[..., Site]) -> None:
    site = make_site(sign_ups="closed")
    assert site.register("admin")["role"] == "admin"
    answer = site.client().post("/api/v1/auth/register", json={"email": "b@example.org", "password": PASSWORD})
    assert (answer.status_code, code_of(answer)) == (403, "SIGN_UPS_CLOSED")
    made = site.client("admin").post("/api/v1/users", json={"email": "b@example.org", "password": PASSWORD, "role": "viewer"})
    assert (made.status_code, made.json()["role"]) == (201, "viewer")


def test_a_blocked_account_is_out_at_once_with_all_it_holds(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.register("admin")
    user = site.register("later")
    token = site.client("later").post("/api/v1/auth/tokens", json={"name": "laptop"}).json()["token"]
    site.client("admin").patch(f"/api/v1/users/{user['id']}", json={"status": "blocked"}).raise_for_status()
    assert site.client("later").get("/api/v1/auth/me").status_code == 401
    by_token = site.client(Authorization=f"Bearer {token}").get("/api/v1/auth/me")
    assert (by_token.status_code, code_of(by_token)) == (403, "BLOCKED")


def test_the_last_admin_cannot_be_lost(make_site: Callable[..., Site]) -> None:
    site = make_site()
    admin = site.register("admin")
    for changes in ({"role": "viewer"}, {"status": "blocked"}):
        answer = site.client("admin").patch(f"/api/v1/users/{admin['id']}", json=changes)
        assert (answer.status_code, code_of(answer)) == (409, "LAST_ADMIN")
    assert site.client("admin").get("/api/v1/auth/me").json()["role"] == "admin"


def test_a_revoked_session_is_signed_out_and_the_others_stay(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.register("admin")
    login = site.client().post("/api/v1/auth/login", json={"email": "admin@example.org", "password": PASSWORD}).json()
    second = site.client(Authorization=f"Bearer {login['token']}")
    assert len(second.get("/api/v1/auth/sessions").json()) == 2
    site.client("admin").delete(f"/api/v1/auth/sessions/{login['session_id']}").raise_for_status()
    assert second.get("/api/v1/auth/me").status_code == 401
    assert site.client("admin").get("/api/v1/auth/me").status_code == 200


def test_a_new_password_signs_every_other_session_out(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.register("admin")
    other = site.client().post("/api/v1/auth/login", json={"email": "admin@example.org", "password": PASSWORD}).json()["token"]
    wrong = site.client("admin").post("/api/v1/auth/password", json={"old_password": "wrong", "new_password": "یک گذرواژهٔ نو"})
    assert (wrong.status_code, code_of(wrong)) == (401, "BAD_CREDENTIALS")
    changed = site.client("admin").post("/api/v1/auth/password", json={"old_password": PASSWORD, "new_password": "یک گذرواژهٔ نو"})
    assert changed.status_code == 204
    assert site.client(Authorization=f"Bearer {other}").get("/api/v1/auth/me").status_code == 401
    assert site.client("admin").get("/api/v1/auth/me").status_code == 200


def test_an_api_token_is_shown_once_kept_as_a_hash_and_revocable(site: Site) -> None:
    trainer = site.client("trainer")
    made = trainer.post("/api/v1/auth/tokens", json={"name": "نوت‌بوک", "days": 30}).json()
    program = site.client(Authorization=f"Bearer {made['token']}")
    assert program.get("/api/v1/auth/me").json()["email"] == "trainer@example.org"
    listed = trainer.get("/api/v1/auth/tokens").json()
    assert [token["name"] for token in listed] == ["نوت‌بوک"]
    assert made["token"] not in str(listed)
    assert made["token"].encode() not in (site.settings.home / "kargah.db").read_bytes()
    trainer.delete(f"/api/v1/auth/tokens/{made['id']}").raise_for_status()
    assert program.get("/api/v1/auth/me").status_code == 401


def test_nobody_ends_the_session_of_somebody_else(site: Site) -> None:
    sessions = site.client("admin").get("/api/v1/auth/sessions").json()
    assert site.client("trainer").delete(f"/api/v1/auth/sessions/{sessions[0]['id']}").status_code == 404
    assert site.client("admin").get("/api/v1/auth/me").status_code == 200


def test_refresh_gives_the_session_its_full_time_again(site: Site) -> None:
    refreshed = site.client("trainer").post("/api/v1/auth/refresh")
    assert refreshed.status_code == 200
    assert site.client(Authorization=f"Bearer {refreshed.json()['token']}").get("/api/v1/auth/me").status_code == 200
    token = site.client("trainer").post("/api/v1/auth/tokens", json={"name": "x"}).json()["token"]
    assert site.client(Authorization=f"Bearer {token}").post("/api/v1/auth/refresh").status_code == 401


def test_an_altered_or_unsigned_token_is_no_token(site: Site) -> None:
    head, body, signature = site.tokens["admin"].split(".")
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    for token in (f"{head}.{body}.{signature[::-1]}", unsigned, "kgh_" + "x" * 43, "x", "a.b.c", "Ω"):
        answer = site.client().get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}".encode()})
        assert (answer.status_code, code_of(answer)) == (401, "BAD_TOKEN")
