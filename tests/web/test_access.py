"""The walk over every route of the application: nobody passes unknown, viewers start nothing, strangers see nothing."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from support.sites import Site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.jobs import service as jobs
from kargah.store.access import Actor, Role
from kargah.web.security import OPEN, OPEN_FOLDERS, SELF_GUARDED

#: What a viewer may send: their own account, their own look, and questions to models.
VIEWERS_MAY = re.compile(
    r"/api/v1/auth/.*|/api/auth/.*|/logout|/preferences|/account(/.*)?|/login|/register|.*/predict|.*/try"
    r"|/api/v1/live/tickets|/api/v1/notices/read|/notices/read"  # their own streams and their own notices
    r"|/hub/api/validate-yaml"  # a look at a text that is kept nowhere
)
ANYTHING = {"name": "x", "title": "x", "datasets": [], "email": "x@example.org", "password": "انار دانه‌دانه", "action": "stop"}


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of everything that answers, mounted applications by their prefix."""
    return sorted(set(_walk(app.router.routes, "")))


def _walk(routes: object, prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None)
        if inner is not None:
            context = getattr(route, "include_context", None)
            yield from _walk(inner.routes, prefix + getattr(context, "prefix", ""))
        elif isinstance(route, Mount):
            yield "GET", f"{prefix}{route.path}/x"
        else:
            for method in getattr(route, "methods", None) or {"GET"}:
                yield method, prefix + route.path


def filled(path: str, **known: str) -> str:
    return re.sub(r"{(\w+)(:path)?}", lambda found: known.get(found[1], "x"), path)


def is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDERS + SELF_GUARDED)


@pytest.fixture(scope="module")
def job_id(site: Site) -> str:
    """A job of the trainer, in the default workspace."""
    user_id = site.client("trainer").get("/api/v1/auth/me").json()["id"]
    actor = Actor(user_id, Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))
    with site.database.write() as session:
        return jobs.submit(session, actor, "train", "آزمون", {"spec": {}}).id


def test_the_walk_sees_the_routes_of_every_door(site: Site) -> None:
    paths = {path for _, path in routes_of(site.app)}
    assert {"/api/v1/jobs/{job_id}", "/api/train", "/login", "/api/v1/openapi.json", "/health"} <= paths
    assert len(paths) > 50


def test_every_route_but_the_open_ones_refuses_the_unknown(site: Site) -> None:
    client = site.client()
    passed = []
    for method, path in routes_of(site.app):
        answer = client.request(method, filled(path))
        refused = answer.status_code == 401 or (answer.status_code == 303 and answer.headers["location"].startswith("/login"))
        if not refused and not is_open(path):
            passed.append((method, path, answer.status_code))
    assert passed == []


def test_paths_that_do_not_exist_refuse_the_unknown_too(site: Site) -> None:
    client = site.client()
    tricks = ("/health/", "/health/../api/v1/jobs", "/static/../api/v1/jobs", "/api/v1/jobs/", "//api/v1/jobs")
    for path in ("/api/v1/nothing", "/nothing", *tricks):
        answer = client.get(path)
        assert answer.status_code in (401, 303, 404), path
        assert "items" not in answer.text


def test_a_viewer_changes_nothing(site: Site, job_id: str) -> None:
    client, passed = site.client("viewer"), []
    for method, path in routes_of(site.app):
        if method in ("GET", "HEAD", "OPTIONS") or VIEWERS_MAY.fullmatch(path):
            continue
        answer = client.request(method, filled(path, job_id=job_id, action="stop"), json={**ANYTHING, "job_id": job_id})
        if answer.status_code < 400 and not (answer.status_code == 303 and "/login" in answer.headers["location"]):
            passed.append((method, path, answer.status_code))
    assert passed == []
    assert site.client("trainer").get(f"/api/v1/jobs/{job_id}").json()["state"] == "QUEUED"


def test_somebody_of_another_workspace_finds_nothing_of_ours(site: Site, job_id: str) -> None:
    client, found = site.client("stranger"), []
    for method, path in routes_of(site.app):
        if "{job_id}" not in path:
            continue
        answer = client.request(method, filled(path, job_id=job_id, action="stop"), json={"action": "stop"})
        if answer.status_code not in (404, 405, 422):
            found.append((method, path, answer.status_code))
    assert found == []
    assert client.get("/api/v1/jobs").json()["items"] == []
    assert client.get("/api/train/jobs").json()["data"] == []
    assert site.client("trainer").get(f"/api/v1/jobs/{job_id}").json()["state"] == "QUEUED"


def test_only_admins_reach_the_accounts_of_others(site: Site) -> None:
    for who in ("trainer", "viewer", "stranger"):
        client = site.client(who)
        assert client.get("/api/v1/users").status_code == 403
        assert client.post("/api/v1/users", json={"email": "x@example.org", "password": "انار دانه‌دانه"}).status_code == 403
        me = client.get("/api/v1/auth/me").json()["id"]
        assert client.patch(f"/api/v1/users/{me}", json={"role": "admin"}).status_code == 403
