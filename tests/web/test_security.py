"""What the gate holds against: forged requests, floods, large bodies, false addresses."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from support.sites import PASSWORD, Site


def code_of(answer: object) -> str:
    return str(answer.json()["code"])  # type: ignore[attr-defined]


def csrf_of(site: Site, who: str) -> str:
    from kargah.accounts.tokens import csrf_token, read_login_token

    key = site.settings.secret_key
    return csrf_token(key, read_login_token(key, site.tokens[who]).session_id)


def test_a_cookie_alone_changes_nothing(site: Site) -> None:
    browser = site.browser("trainer")
    assert browser.get("/api/v1/auth/me").status_code == 200
    refused = browser.patch("/api/v1/auth/me", json={"name": "x"})
    assert (refused.status_code, code_of(refused)) == (403, "BAD_CSRF")
    wrong = browser.patch("/api/v1/auth/me", json={"name": "x"}, headers={"X-CSRF-Token": csrf_of(site, "admin")})
    assert (wrong.status_code, code_of(wrong)) == (403, "BAD_CSRF")
    right = browser.patch("/api/v1/auth/me", json={"name": "تازه"}, headers={"X-CSRF-Token": csrf_of(site, "trainer")})
    assert (right.status_code, right.json()["name"]) == (200, "تازه")


def test_a_form_carries_its_token_as_a_field(site: Site) -> None:
    browser, token = site.browser("trainer"), csrf_of(site, "trainer")
    assert browser.post("/preferences", data={"_csrf": token, "theme": "dark"}).status_code == 303
    assert browser.get("/api/v1/auth/me").json()["theme"] == "dark"
    assert browser.post("/preferences", data={"_csrf": "0" * 64, "theme": "light"}).status_code == 403
    uploaded = browser.post("/api/v1/datasets", data={"_csrf": token}, files={"file": ("a.csv", b"x,y\n1,2\n" * 50_000)})
    assert uploaded.status_code == 201, uploaded.text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_another_site_can_neither_act_nor_log_somebody_in(site: Site, headers: dict[str, str]) -> None:
    browser = site.browser("trainer")
    acted = browser.patch("/api/v1/auth/me", json={"name": "x"}, headers={"X-CSRF-Token": csrf_of(site, "trainer"), **headers})
    assert (acted.status_code, code_of(acted)) == (403, "CROSS_SITE")
    login = site.client().post("/api/v1/auth/login", json={"email": "admin@example.org", "password": PASSWORD}, headers=headers)
    assert (login.status_code, code_of(login)) == (403, "CROSS_SITE")


def test_only_origins_of_the_setting_may_call_from_a_page(make_site: Callable[..., Site]) -> None:
    client = make_site(cors_origins=["https://app.example"]).client()
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert client.options("/api/v1/jobs", headers=asked).headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in client.options("/api/v1/jobs", headers={**asked, "Origin": "https://evil.example"}).headers
    refused = client.get("/api/v1/jobs", headers={"Origin": "https://app.example"})
    assert refused.status_code == 401
    assert "access-control-allow-credentials" not in refused.headers


def test_login_attempts_are_counted_and_the_answer_says_when_to_come_back(make_site: Callable[..., Site]) -> None:
    site = make_site(login_rate_limit_per_minute=5)
    site.register("admin")
    form = {"email": "admin@example.org", "password": "not this one"}
    answers = [site.client().post("/api/v1/auth/login", json=form) for _ in range(6)]
    assert [answer.status_code for answer in answers[:4]] == [401] * 4
    last = answers[-1]
    assert (last.status_code, code_of(last)) == (429, "RATE_LIMITED")
    assert int(last.headers["retry-after"]) > 0
    assert last.headers["ratelimit-policy"] == '"login";q=5;w=60'
    assert last.headers["ratelimit"].startswith('"login";r=0')
    assert site.client("admin").get("/api/v1/auth/me").status_code == 200


def test_a_client_has_its_rate_and_others_have_theirs(make_site: Callable[..., Site]) -> None:
    site = make_site(rate_limit_per_minute=20)
    site.register("admin")
    site.register("other")
    statuses = [site.client("admin").get("/api/v1/auth/me").status_code for _ in range(25)]
    assert statuses.count(429) >= 4
    assert site.client("other").get("/api/v1/auth/me").status_code == 200
    assert site.client().get("/health").status_code == 200


def test_guessing_tokens_is_slowed_down(make_site: Callable[..., Site]) -> None:
    site = make_site(login_rate_limit_per_minute=2)
    statuses = [site.client(Authorization=f"Bearer kgh_{number}").get("/api/v1/jobs").status_code for number in range(15)]
    assert statuses[:12] == [401] * 12
    assert statuses[13:] == [429] * 2


def test_bodies_are_bounded_whether_their_length_is_said_or_not(make_site: Callable[..., Site]) -> None:
    site = make_site(body_limit_bytes=10_000, upload_limit_bytes=100_000)
    site.register("admin")
    client, large = site.client("admin"), b"x" * 20_000
    told = client.patch("/api/v1/auth/me", content=large, headers={"Content-Type": "application/json"})
    untold = client.patch("/api/v1/auth/me", content=iter([large[:5000]] * 4), headers={"Content-Type": "application/json"})
    other = client.patch("/api/v1/auth/me", content=iter([large[:5000]] * 4), headers={"Content-Type": "text/plain"})
    assert [(answer.status_code, code_of(answer)) for answer in (told, untold, other)] == [(413, "TOO_LARGE")] * 3
    assert client.put("/api/v1/datasets?filename=a.csv", content=b"x,y\n" * 10_000).status_code == 201
    for content in (b"x" * 200_000, iter([b"x" * 50_000] * 4)):
        refused = client.put("/api/v1/datasets?filename=a.csv", content=content)
        assert (refused.status_code, code_of(refused)) == (413, "TOO_LARGE")
    assert list((site.settings.home / "blobs" / "incoming").iterdir()) == []


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(make_site: Callable[..., Site]) -> None:
    direct, behind = make_site(), make_site(trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    for site, expected in ((direct, "127.0.0.1"), (behind, "203.0.113.9")):
        site.register("admin")
        client = site.client("admin", **{"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.1.2.3"})
        login = client.post("/api/v1/auth/login", json={"email": "admin@example.org", "password": PASSWORD}).json()
        sessions = client.get("/api/v1/auth/sessions").json()
        assert next(session["peer"] for session in sessions if session["id"] == login["session_id"]) == expected


def test_answers_carry_their_protection(make_site: Callable[..., Site]) -> None:
    site = make_site(https_only=True)
    site.register("admin")
    for path in ("/health", "/login", "/api/v1/auth/me", "/nothing"):
        headers = site.client().get(path, headers={"X-Request-Id": "my-request-1"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["strict-transport-security"].startswith("max-age=")
        assert headers["x-request-id"] == "my-request-1"
    login = site.client().post("/login", data={"email": "admin@example.org", "password": PASSWORD})
    cookie = next(value for name, value in login.headers.multi_items() if name == "set-cookie" and "kargah_session" in value).lower()
    assert all(word in cookie for word in ("httponly", "samesite=lax", "secure", "path=/"))


def test_pages_send_to_the_login_and_back_only_to_this_site(site: Site) -> None:
    answer = site.client().get("/datasets?q=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/datasets%3Fq%3Da")
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "/%0d%0aX: y", "javascript:alert(1)"):
        form = {"email": "admin@example.org", "password": PASSWORD, "next": target}
        location = site.client().post("/login", data=form).headers["location"]
        assert location.startswith("/") and not location.startswith(("//", "/\\")), location


def test_an_error_has_the_shape_of_its_door_and_the_readers_language(site: Site) -> None:
    client = site.client("trainer")
    problem = client.get("/api/v1/jobs/nope", headers={"Accept-Language": "fa"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == "NOT_FOUND"
    assert "پیدا نشد" in problem.json()["detail"]
    envelope = client.get("/api/nothing").json()
    assert (envelope["ok"], envelope["error"]) == (False, "NO_SUCH_PAGE")
    page = client.get("/nothing")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_repeated_creation_happens_once(site: Site) -> None:
    client, key = site.client("trainer"), {"Idempotency-Key": "upload-1"}
    file = {"file": ("a.csv", b"x,y\n1,2\n")}
    first = client.post("/api/v1/datasets", files=file, headers=key)
    again = client.post("/api/v1/datasets", files=file, headers=key)
    other = client.post("/api/v1/datasets", files={"file": ("a.csv", b"x,y\n1,3\n")}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, code_of(other)) == (422, "IDEMPOTENCY_MISMATCH")
    for _ in range(2):
        refused = client.post("/api/v1/trainings", json={"datasets": [first.json()["id"]]}, headers={"Idempotency-Key": "training-1"})
        assert (refused.status_code, code_of(refused)) == (409, "DATASET_NOT_READY")


def test_a_name_that_is_rebound_to_the_loopback_gets_no_answer(make_site: Callable[..., Site]) -> None:
    local, proxied = make_site(), make_site(trusted_proxies=["127.0.0.1"])
    for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[x", "]:[", "a b"):
        answer = local.client(Host=name).get("/api/v1/jobs")
        assert (answer.status_code, answer.json().get("code")) in ((421, "FOREIGN_HOST"), (400, "BAD_REQUEST")), name
    for name in ("localhost:8420", "127.0.0.1", "[::1]:8420"):
        assert local.client(Host=name).get("/api/v1/jobs").status_code == 401
    assert proxied.client(Host="kargah.example").get("/api/v1/jobs").status_code == 401


def test_a_broken_name_of_the_host_breaks_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(host="0.0.0.0")
    site.register("admin")
    for name in ("[x", "]:[", "a b", "x:99999", "a@b", "[::zz]", "x/y", "x?y"):
        for path in ("/nothing", "/", "/login", "/api/v1/jobs"):
            assert site.client("admin", Host=name).get(path).status_code in (200, 303, 400, 404), (name, path)


def test_a_database_that_is_away_is_said_and_not_an_unforeseen_error(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.register("admin")
    with site.database.write() as session:
        session.execute(text("ALTER TABLE jobs RENAME TO jobs_away"))
    away = site.client("admin").get("/api/v1/jobs")
    assert (away.status_code, code_of(away)) == (503, "NOT_AVAILABLE")
    assert int(away.headers["retry-after"]) > 0
    assert "jobs" not in away.json()["detail"]


def test_two_requests_with_one_key_at_once_make_one_thing(site: Site) -> None:
    def send(_: int) -> int:
        headers = {"Idempotency-Key": "race"}
        return site.client("trainer").put("/api/v1/datasets?filename=once.csv", content=b"x,y\n5,6\n", headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, range(6)))
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    titles = [dataset["title"] for dataset in site.client("trainer").get("/api/v1/datasets?query=once").json()["items"]]
    assert titles == ["once"]
