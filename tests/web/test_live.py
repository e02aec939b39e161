"""Streams: nothing lost, nothing doubled, closed at the end, and out of the way when the server stops."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support.sites import Site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.events import Finished, Step, Stopped
from kargah.jobs import history, states
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.store.access import Actor, Role


class Writer:
    """Writes a job's events as the collector would."""

    def __init__(self, site: Site, who: str = "trainer") -> None:
        self.site = site
        user_id = site.client(who).get("/api/v1/auth/me").json()["id"]
        self.actor = Actor(user_id, Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))

    def submit(self, visibility: str = "workspace") -> str:
        with self.site.database.write() as session:
            return jobs.submit(session, self.actor, "train", "آزمون", {"spec": {}}, visibility=visibility).id

    def steps(self, job_id: str, first: int, last: int) -> None:
        events = [Step(at=utc_now(), step=step, epoch=0.0, metrics={"loss": 1 / step}) for step in range(first, last + 1)]
        with self.site.database.write() as session:
            job = states.lock(session, job_id)
            history.append_lines(session, job, 1, [(event.step, event) for event in events])

    def end(self, job_id: str) -> None:
        with self.site.database.write() as session:
            job: Job = states.lock(session, job_id)
            job.state = State.COMPLETED
            history.append(session, job, Finished(at=utc_now()))


def events_of(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.fixture
def writer(site: Site) -> Writer:
    return Writer(site)


def test_a_stream_replays_from_the_start_goes_on_live_and_closes_at_the_end(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    writer.steps(job_id, 1, 700)  # more than one page of replay

    def write_on() -> None:
        for first in range(701, 800, 10):
            writer.steps(job_id, first, first + 9)
        writer.end(job_id)

    with site.client("viewer").stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        writing = threading.Thread(target=write_on)
        writing.start()
        found = list(events_of(answer))
        writing.join()
    assert [event["payload"]["step"] for event in found if event["kind"] == "Step"] == list(range(1, 801))
    assert [event["position"] for event in found] == sorted({event["position"] for event in found})
    assert found[-1]["kind"] == "Finished"


def test_whoever_reconnects_gets_what_came_meanwhile_and_only_that(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    writer.steps(job_id, 1, 5)
    last = 0
    with site.client("trainer").stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        for event in events_of(answer):
            last = event["position"]
            if event["payload"].get("step") == 3:
                break
    writer.steps(job_id, 6, 9)
    writer.end(job_id)
    with site.client("trainer").stream("GET", f"/api/v1/jobs/{job_id}/events", headers={"Last-Event-ID": str(last)}) as answer:
        found = list(events_of(answer))
    assert [event["payload"].get("step") for event in found] == [4, 5, 6, 7, 8, 9, None]


def test_a_reconnecting_browser_is_told_that_a_job_is_over(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    writer.end(job_id)
    url = f"/api/v1/jobs/{job_id}/events"
    end = list(_stream(site, url))[-1]
    assert site.client("trainer").get(url, headers={"Last-Event-ID": str(end["position"])}).status_code == 204
    assert [event["kind"] for event in _stream(site, f"{url}?since={end['position']}")] == ["Finished"]


def _stream(site: Site, url: str) -> Iterator[dict[str, Any]]:
    with site.client("trainer").stream("GET", url) as answer:
        yield from events_of(answer)


def test_stopping_a_waiting_job_ends_its_stream(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    with site.client("trainer").stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        stream = events_of(answer)
        assert next(stream)["kind"] == "Queued"
        site.client("trainer").post(f"/api/v1/jobs/{job_id}/stop").raise_for_status()
        assert [event["kind"] for event in stream] == ["Asked", Stopped.__name__]


def test_the_dashboard_hears_of_every_visible_job_and_thins_out_steps(site: Site, writer: Writer) -> None:
    mine, private = writer.submit(), writer.submit(visibility="private")
    position = site.client("trainer").get(f"/api/v1/jobs/{mine}/curve").json()["position"]
    with site.client("viewer").stream("GET", f"/api/v1/events?since={position}") as answer:
        writer.steps(private, 1, 3)
        writer.steps(mine, 1, 200)
        writer.end(private)
        writer.end(mine)
        found = []
        for event in events_of(answer):
            found.append(event)
            if event["kind"] == "Finished":
                break
    assert {event["job_id"] for event in found} == {mine}
    assert 1 <= sum(event["kind"] == "Step" for event in found) < 20


def test_a_stranger_hears_nothing(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    assert site.client("stranger").get(f"/api/v1/jobs/{job_id}/events").status_code == 404
    with site.client("stranger").stream("GET", "/api/v1/events?since=0") as answer:
        writer.end(job_id)
        lines = answer.iter_lines()
        own = site.client("stranger")
        assert next(lines).startswith(":")
        assert own.get("/api/v1/jobs").json()["items"] == []


def test_open_streams_end_when_the_server_stops(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.register("admin")
    with site.client("admin").stream("GET", "/api/v1/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        site.app.state.live.stop()
        assert all(not line.startswith("data") for line in lines)


def test_a_stream_ends_with_the_credential_that_opened_it(make_site: Callable[..., Site]) -> None:
    from kargah.web import live

    site = make_site(session_days=1.5 / 86400)
    site.register("admin")
    before = live.HEARTBEAT_SECONDS
    live.HEARTBEAT_SECONDS = 0.3
    try:
        with site.client("admin").stream("GET", "/api/v1/events") as answer:
            list(answer.iter_lines())
    finally:
        live.HEARTBEAT_SECONDS = before
    assert site.client("admin").get("/api/v1/auth/me").status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/jobs/{job_id}/events"])
def test_a_session_or_token_that_is_revoked_in_mid_stream_ends_it(site: Site, writer: Writer, path: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("kargah.web.live.CHECK_SECONDS", 0.2)
    job_id = writer.submit()
    owner = site.client("trainer")
    token = owner.post("/api/v1/auth/tokens", json={"name": "stream"}).json()
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token['token']}"}, timeout=30) as client:
        with client.stream("GET", path.format(job_id=job_id)) as answer:
            lines = answer.iter_lines()
            next(lines)
            owner.delete(f"/api/v1/auth/tokens/{token['id']}").raise_for_status()
            list(lines)
        assert client.get("/api/v1/auth/me").status_code == 401


def test_without_listeners_the_tailer_reads_nothing(site: Site, writer: Writer) -> None:
    job_id = writer.submit()
    writer.end(job_id)
    list(_stream(site, f"/api/v1/jobs/{job_id}/events"))
    deadline = time.monotonic() + 5
    while site.app.state.live._listeners and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not site.app.state.live._listeners


def test_a_listener_too_far_behind_is_cut_off_and_not_waited_for() -> None:
    from datetime import UTC, datetime

    from kargah.jobs.schemas import EventOut
    from kargah.web.listeners import MOST_WAITING, Heard, JobFacts, Listener

    event = EventOut(position=1, job_id="job_1", seq=1, attempt=1, kind="Step", at=datetime.now(UTC), payload={})
    listener = Listener(Actor("usr_1", Role.TRAINER, "ws_1", frozenset({"ws_1"})), lambda event: True)
    for _ in range(MOST_WAITING + 5):
        listener.offer(Heard(event, JobFacts("usr_1", "ws_1", "workspace")))
    assert listener.ended
    assert len(listener._waiting) == MOST_WAITING


def test_a_websocket_without_a_credential_is_refused_at_the_door(site: Site) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    forged = {"Cookie": f"kargah_session={site.tokens['admin']}", "Origin": "https://evil.example"}
    for headers in ({}, {"Authorization": "Bearer nonsense"}, forged):
        with pytest.raises(InvalidStatus) as refused:
            connect(site.url.replace("http", "ws") + "/api/v1/live", additional_headers=headers).close()
        assert refused.value.response.status_code == 403
