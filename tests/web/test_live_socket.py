"""The socket of many jobs: told once, resumed where it broke off, ended with its credential, refused what is no word of ours."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from support.sites import Site
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.events import Finished, Step
from kargah.jobs import history, states
from kargah.jobs import service as jobs
from kargah.kit.clock import utc_now
from kargah.store.access import Actor, Role

WAIT_SECONDS = 30


class Owner:
    def __init__(self, site: Site) -> None:
        self.site = site
        user_id = site.client("trainer").get("/api/v1/auth/me").json()["id"]
        self.actor = Actor(user_id, Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))

    def submit(self, visibility: str = "workspace") -> str:
        with self.site.database.write() as session:
            return jobs.submit(session, self.actor, "train", "سنجش", {"spec": {}}, visibility=visibility).id

    def steps(self, job_id: str, *numbers: int) -> None:
        with self.site.database.write() as session:
            job = states.lock(session, job_id)
            lines = [(number, Step(at=utc_now(), step=number, epoch=0.0, metrics={})) for number in numbers]
            history.append_lines(session, job, 1, lines)

    def finish(self, job_id: str) -> None:
        with self.site.database.write() as session:
            history.append(session, states.lock(session, job_id), Finished(at=utc_now()))


class Line:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def hear(self, *kinds: str) -> dict[str, Any]:
        while True:
            said: dict[str, Any] = json.loads(self.connection.recv(timeout=WAIT_SECONDS))
            if said["type"] in kinds:
                return said

    def events(self, until: str) -> list[dict[str, Any]]:
        """All up to the first of kind ``until``."""
        found = []
        while not found or found[-1]["kind"] != until:
            found.append(self.hear("event")["event"])
        return found

    def closed_with(self) -> int | None:
        with pytest.raises(ConnectionClosed) as ended:
            while True:
                self.connection.recv(timeout=WAIT_SECONDS)
        return ended.value.rcvd.code if ended.value.rcvd else None


@contextmanager
def line(site: Site, who: str = "trainer", ticket: str | None = None) -> Iterator[Line]:
    address = site.url.replace("http", "ws") + "/api/v1/live" + (f"?ticket={ticket}" if ticket else "")
    headers = {} if ticket else {"Authorization": f"Bearer {site.tokens[who]}"}
    with connect(address, additional_headers=headers) as connection:
        yield Line(connection)


@pytest.fixture
def owner(site: Site) -> Owner:
    return Owner(site)


def test_many_jobs_on_one_socket_each_event_once_and_resumed_where_it_broke_off(site: Site, owner: Owner) -> None:
    first, second, other = owner.submit(), owner.submit(), owner.submit()
    owner.steps(first, *range(1, 4))
    with line(site) as socket:
        assert socket.hear("hello")["position"] > 0
        socket.say("subscribe", job_ids=[first, second], since=0)
        assert socket.hear("subscribed")["job_ids"] == [first, second]
        owner.steps(other, 1)
        owner.steps(second, 1, 2)
        owner.steps(first, 4)
        owner.finish(second)
        found = socket.events("Finished")
    assert {event["job_id"] for event in found} == {first, second}
    assert [event["payload"]["step"] for event in found if event["job_id"] == first and event["kind"] == "Step"] == [1, 2, 3, 4]
    owner.steps(first, 5)
    owner.finish(first)
    with line(site) as socket:
        socket.say("subscribe", job_ids=[first, second], since=found[-1]["position"])
        assert [event["payload"].get("step") for event in socket.events("Finished")] == [5, None]


def test_events_of_many_jobs_come_in_the_order_of_their_positions_while_they_are_written(site: Site, owner: Owner) -> None:
    """So that one position, that of the last event heard, is where to resume: nothing before it is still to come."""
    ids = [owner.submit() for _ in range(6)]
    for job_id in ids:
        owner.steps(job_id, *range(1, 400))
    writing = threading.Thread(target=lambda: [owner.steps(job_id, step) for step in range(400, 420) for job_id in reversed(ids)])
    writing.start()
    with line(site) as socket:
        socket.say("subscribe", job_ids=ids[:3], since=0)
        heard = [socket.hear("event")["event"]["position"] for _ in range(900)]
        socket.say("subscribe", job_ids=ids[3:])
        writing.join()
        owner.finish(ids[0])
        heard += [event["position"] for event in socket.events("Finished")]
    assert heard == sorted(set(heard))
    with owner.site.database.read() as session:
        assert set(heard) >= {event.position for event in history.events_after(session, 0, job_ids=ids[:3], limit=10_000)}


def test_one_that_unsubscribed_hears_only_of_the_others(site: Site, owner: Owner) -> None:
    kept, left = owner.submit(), owner.submit()
    with line(site) as socket:
        socket.say("subscribe", job_ids=[kept, left])
        socket.hear("subscribed")
        socket.say("unsubscribe", job_ids=[left])
        socket.hear("unsubscribed")
        owner.steps(left, 1)
        owner.finish(kept)
        heard = [event for event in socket.events("Finished") if event["kind"] != "Queued"]  # said before, and perhaps still on its way
        assert [event["job_id"] for event in heard] == [kept]


def test_all_jobs_means_those_that_one_may_see(site: Site, owner: Owner) -> None:
    private, shown = owner.submit("private"), owner.submit()
    with line(site, "viewer") as socket:
        socket.say("subscribe")
        socket.hear("subscribed")
        owner.steps(private, 1)
        owner.finish(shown)
        assert {event["job_id"] for event in socket.events("Finished")} == {shown}
        socket.say("subscribe", job_ids=[private])
        assert socket.hear("error")["code"] == "NOT_FOUND"


def test_the_unread_count_comes_on_the_socket(site: Site, owner: Owner) -> None:
    site.client("trainer").post("/api/v1/notices/read", json={}).raise_for_status()
    with line(site) as socket:
        assert socket.hear("unread")["unread"] == 0
        owner.finish(owner.submit())
        assert socket.hear("unread")["unread"] == 1


def test_what_is_no_word_of_ours_is_answered_and_a_flood_ends_the_line(site: Site) -> None:
    with line(site) as socket:
        socket.connection.send("{")
        assert socket.hear("error")["code"] == "BAD_INPUT"
        socket.say("dance")
        assert socket.hear("error")["detail"]
        socket.say("subscribe", job_ids=["x" * 20_000])
        assert socket.closed_with() == 1008


def test_a_ticket_opens_one_stream_and_no_second(site: Site, owner: Owner) -> None:
    def ticket() -> str:
        return str(site.client("trainer").post("/api/v1/live/tickets").raise_for_status().json()["ticket"])

    used = ticket()
    with line(site, ticket=used) as socket:
        socket.hear("hello")
    with pytest.raises(InvalidStatus), line(site, ticket=used):
        pass
    job_id = owner.submit()
    owner.finish(job_id)
    with httpx.Client(base_url=site.url, timeout=WAIT_SECONDS) as nobody:
        assert nobody.get("/api/v1/jobs", params={"ticket": ticket()}).status_code == 401
        assert nobody.get(f"/api/v1/jobs/{job_id}/events", params={"ticket": used}).status_code == 401
        with nobody.stream("GET", "/api/v1/events", params={"ticket": ticket()}) as answer:
            assert answer.status_code == 200


def test_a_socket_ends_with_its_credential_also_when_a_ticket_opened_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kargah.web.live.CHECK_SECONDS", 0.2)
    trainer = site.client("trainer")
    token = trainer.post("/api/v1/auth/tokens", json={"name": "socket"}).json()
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token['token']}"}) as program:
        ticket = program.post("/api/v1/live/tickets").raise_for_status().json()["ticket"]
    with line(site, ticket=ticket) as socket:
        socket.hear("hello")
        trainer.delete(f"/api/v1/auth/tokens/{token['id']}").raise_for_status()
        assert socket.closed_with() == 4401
