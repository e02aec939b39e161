"""Notices: made with the event that they tell of, counted in every stream, read once for all of one's pages."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.sites import Site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.events import Asked, Failed, Finished, Logged, Paused
from kargah.jobs import history, notices, states
from kargah.jobs import service as jobs
from kargah.kit.clock import utc_now
from kargah.runs import service as runs
from kargah.store.access import Actor, Role


class Owner:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.client = site.client("trainer")
        self.actor = Actor(self.client.get("/api/v1/auth/me").json()["id"], Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))

    def submit(self) -> str:
        with self.site.database.write() as session:
            return jobs.submit(session, self.actor, "train", "سنجش", {"spec": {}}).id

    def say(self, job_id: str, *events: Any) -> None:
        with self.site.database.write() as session:
            history.append(session, states.lock(session, job_id), *events)

    def notices(self, **query: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/api/v1/notices", params=query).raise_for_status().json()
        return found


@pytest.fixture
def owner(site: Site) -> Owner:
    made = Owner(site)
    made.client.post("/api/v1/notices/read", json={}).raise_for_status()
    return made


def named(answer: httpx.Response, name: str) -> Iterator[dict[str, Any]]:
    current = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            current = line.removeprefix("event: ")
        elif line.startswith("data: ") and current == name:
            yield json.loads(line.removeprefix("data: "))
        elif not line:
            current = ""


def test_its_owner_is_told_of_the_end_of_a_job_and_nobody_else(site: Site, owner: Owner) -> None:
    finished, failed = owner.submit(), owner.submit()
    owner.say(finished, Finished(at=utc_now()))
    owner.say(failed, Failed(at=utc_now(), code="DISK_FULL", params={"needed_bytes": 2_000_000, "free_bytes": 1, "path": "/"}))
    page = owner.notices(unread=True)
    assert [(item["job_id"], item["kind"]) for item in page["items"]] == [(failed, "failed"), (finished, "finished")]
    assert page["unread"] == 2 and "سنجش" in page["items"][1]["text"] and page["items"][0]["why"]
    assert finished not in site.client("viewer").get("/api/v1/notices").text


def test_a_pause_that_nobody_asked_for_needs_attention(owner: Owner) -> None:
    asked, unasked = owner.submit(), owner.submit()
    owner.say(asked, Asked(at=utc_now(), action="pause", by="usr_1"))
    for job_id in (asked, unasked):
        owner.say(job_id, Paused(at=utc_now(), step=3))
    owner.say(asked, Logged(at=utc_now(), level="warning", code="train.rows_dropped"))
    assert [(item["job_id"], item["kind"]) for item in owner.notices(unread=True)["items"]] == [(unasked, "attention")]


def test_going_on_from_an_older_checkpoint_needs_attention_and_leads_to_the_run(site: Site, owner: Owner) -> None:
    job_id = owner.submit()
    with site.database.write() as session:
        run_id = runs.create_for_job(session, owner.actor, jobs.get_for(session, owner.actor, job_id), "tabular").id
    owner.say(job_id, Logged(at=utc_now(), level="warning", code="train.checkpoint_damaged", params={"name": "step-00000040"}))
    [told] = [item for item in owner.notices(unread=True)["items"] if item["job_id"] == job_id]
    assert (told["kind"], told["reason"]) == ("attention", {"code": "train.checkpoint_damaged", "params": {"name": "step-00000040"}})
    page = site.browser("trainer").get("/notices").text
    assert f'href="/runs/{run_id}"' in page
    assert "step-00000040" in page


def test_an_event_that_is_not_kept_leaves_no_notice(owner: Owner) -> None:
    job_id = owner.submit()
    with pytest.raises(RuntimeError), owner.site.database.write() as session:
        history.append(session, states.lock(session, job_id), Finished(at=utc_now()))
        raise RuntimeError
    assert owner.notices(unread=True)["items"] == []


def test_the_unread_count_comes_on_the_stream_also_when_another_page_reads(site: Site, owner: Owner) -> None:
    job_id = owner.submit()
    with site.client("trainer").stream("GET", "/api/v1/events?bell=true") as answer:
        counts = named(answer, "unread")
        assert next(counts) == {"unread": 0}
        owner.say(job_id, Finished(at=utc_now()))
        assert next(counts) == {"unread": 1}
        latest = owner.notices()["items"][0]
        assert owner.client.post("/api/v1/notices/read", json={"until": latest["position"]}).json() == {"unread": 0}
        assert next(counts) == {"unread": 0}
    assert owner.notices()["items"][0]["read_at"] is not None


def test_pages_of_notices_follow_each_other(owner: Owner) -> None:
    made = [owner.submit() for _ in range(5)]
    for job_id in made:
        owner.say(job_id, Finished(at=utc_now()))
    first = owner.notices(limit=2)
    second = owner.notices(limit=3, cursor=first["next_cursor"])
    assert [item["job_id"] for item in [*first["items"], *second["items"]]] == made[::-1]


def test_the_outbox_holds_each_notice_until_it_was_carried_out(owner: Owner) -> None:
    job_id = owner.submit()
    owner.say(job_id, Finished(at=utc_now()))
    with owner.site.database.serialised() as session:
        for outgoing in notices.waiting(session, 1000):
            notices.drained(outgoing) if outgoing.payload["job_id"] != job_id else notices.not_drained(session, outgoing)
    with owner.site.database.serialised() as session:
        assert notices.waiting(session) == []  # the one that failed waits for its time
        outgoing = session.get_one(notices.Outgoing, owner.notices()["items"][0]["id"])
        assert (outgoing.tries, outgoing.payload["code"], outgoing.drained_at) == (1, "notice.finished", None)
