"""Whatever is sent gets a clear refusal or an answer: never a 500, never a traceback."""

import json
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.sites import Site

JSON = {"Content-Type": "application/json"}
TITLE = b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n'
BODIES = [
    b"",
    b"{",
    b"nul",
    b"[]",
    b'"x"',
    b'{"name": NaN}',
    b'{"name": Infinity}',
    b'{"name": 1e999}',
    rb'{"name": "\ud800"}',
    rb'{"name": "a\u0000b"}',
    b'{"name": "\x00"}',
    b'{"name": "\xff\xfe"}',
    b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"name": ' + b"9" * 5000 + b"}",
    b'{"name": {"a": 1}, "language": "xx", "theme": 3}',
    b"\xff\xfe{\x00",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:24]))
def test_a_broken_body_is_refused_with_a_reason(site: Site, body: bytes) -> None:
    doors = (("PATCH", "/api/v1/auth/me"), ("POST", "/api/v1/trainings"), ("POST", "/api/train"), ("POST", "/api/v1/models/x/predict"))
    for method, path in doors:
        answer = site.client("trainer").request(method, path, content=body, headers=JSON)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert answer.json().get("code") or answer.json().get("error")


def test_a_surrogate_pair_is_a_character_like_any_other(site: Site) -> None:
    answer = site.client("trainer").patch("/api/v1/auth/me", content=rb'{"name": "\ud83c\udf39 gol"}', headers=JSON)
    assert (answer.status_code, answer.json()["name"]) == (200, "🌹 gol")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/%00",
        "/api/v1/jobs/a%00b/events",
        "/api/v1/jobs?cursor=%00",
        "/api/v1/jobs?query=%ff%fe",
        "/api/v1/jobs?limit=99999999999999999999",
        "/api/v1/jobs?limit=-1",
        "/api/v1/jobs?limit=۵x",
        "/api/v1/events?since=9999999999999999999999",
        "/api/v1/jobs/" + "x" * 5000,
        "/api/v1/models/x/files/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/models/x/files/%2e%2e/%2e%2e/kargah.db",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static/..%5c..%5capp.py",
        "/api/v1/datasets?query=%27%3B%20DROP%20TABLE%20users%3B--",
        "/runs/%00",
        "/datasets?cursor=%00",
    ],
)
def test_a_strange_address_is_answered_in_order(site: Site, path: str) -> None:
    answer = site.client("trainer").get(path)
    assert answer.status_code in (200, 303, 400, 404, 422), answer.text
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=" + "b" * 500, b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n\r\nx,y"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 5000),
        ("multipart/form-data; boundary=x", TITLE + b"t" * 100_000 + b"\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", TITLE + b"a\x00b\r\n--x--\r\n"),
        ("text/plain", b"x,y\n1,2\n"),
    ],
)
def test_a_broken_upload_is_refused_and_leaves_nothing(site: Site, content_type: str, body: bytes) -> None:
    before = site.client("trainer").get("/api/v1/datasets").json()["items"]
    answer = site.client("trainer").post("/api/v1/datasets", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_UPLOAD")
    assert site.client("trainer").get("/api/v1/datasets").json()["items"] == before
    incoming = site.settings.home / "blobs" / "incoming"
    assert not incoming.exists() or list(incoming.iterdir()) == []


def test_hostile_headers_are_no_way_in(site: Site) -> None:
    odd = ({"Last-Event-ID": "٣"}, {"Accept-Language": "fa;q=" + "9" * 400}, {"Idempotency-Key": "k" * 500}, {"Range": "bytes=5-1"})
    for headers in odd:
        encoded = {name: value.encode() for name, value in headers.items()}
        answer = site.client("trainer").put("/api/v1/datasets?filename=a.csv", content=b"x,y\n1,2\n", headers=encoded)
        assert answer.status_code < 500


#: Values that programs and mischief send: right and wrong types, edges of numbers, odd text.
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def operations(site: Site) -> list[tuple[str, str, dict[str, Any]]]:
    described = site.client("trainer").get("/api/v1/openapi.json").json()
    return [
        (method.upper(), path, _schema(described, operation))
        for path, methods in sorted(described["paths"].items())
        for method, operation in sorted(methods.items())
        if not path.endswith(("/events", "/stream", "/logout")) and "/sessions/" not in path
    ]


def _schema(described: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"].get(name, {}).get("properties", {})
    return found


@pytest.fixture(scope="module")
def described(site: Site) -> list[tuple[str, str, dict[str, Any]]]:
    return operations(site)


@pytest.fixture(scope="module")
def client(site: Site) -> httpx.Client:
    return site.client("trainer")


QUERY = st.dictionaries(st.sampled_from(["limit", "cursor", "query", "since", "state", "key", "max_points"]), st.text(max_size=12))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_operation_of_the_api_breaks_whatever_it_is_sent(client: httpx.Client, described: Any, data: st.DataObject) -> None:
    method, path, properties = data.draw(st.sampled_from(described))
    body = {name: data.draw(values) for name in properties if data.draw(st.booleans())}
    url = re.sub(r"{[\w:]+}", lambda _: quote(data.draw(st.text(max_size=12)), safe="", errors="replace"), path)
    query = {name: text.encode("utf-8", "replace").decode() for name, text in data.draw(QUERY).items()}
    answer = client.request(method, url, content=json.dumps(body).encode(), params=query, headers=JSON)
    assert answer.status_code < 500, (method, url, body, query, answer.text)
