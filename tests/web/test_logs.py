"""The log of a job over HTTP: shown, searched, fetched, and nobody else's."""

from pathlib import Path

import pytest
from support.sites import Site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.attempt import AttemptDirectory
from kargah.jobs import service as jobs
from kargah.jobs.tables import Attempt, Job
from kargah.store.access import Actor, Role

PRINTED = b"\x1b[32mstart\x1b[0m\n 10%\r100%\nloss: nan\n"


@pytest.fixture
def job_id(site: Site) -> str:
    user_id = site.client("trainer").get("/api/v1/auth/me").json()["id"]
    with site.database.write() as session:
        actor = Actor(user_id, Role.TRAINER, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))
        job_id = jobs.submit(session, actor, "train", "سنجش", {"spec": {}}).id
        session.add(Attempt(job_id=job_id, number=1, host="here", threads=1))
        session.get_one(Job, job_id).attempt = 1
    log: Path = AttemptDirectory.of(site.settings.home, job_id, 1).log
    log.parent.mkdir(parents=True)
    log.write_bytes(PRINTED)
    return job_id


def test_a_log_is_shown_tamed_searched_whole_and_fetched_as_it_was(site: Site, job_id: str) -> None:
    client = site.client("viewer")
    shown = client.get(f"/api/v1/jobs/{job_id}/logs").json()
    assert shown["tail"] == "start\n100%\nloss: nan\n"
    assert shown["attempts"] == [{"number": 1, "size_bytes": len(PRINTED), "cut_bytes": 0}]
    found = client.get(f"/api/v1/jobs/{job_id}/logs/search", params={"q": "LOSS"}).json()
    assert found["lines"] == [{"number": 3, "text": "loss: nan"}] and found["total"] == 1
    whole = client.get(f"/api/v1/jobs/{job_id}/logs/file", params={"attempt": 1})
    assert whole.content == PRINTED and "attachment" in whole.headers["content-disposition"]


def test_an_attempt_that_is_not_there_and_a_job_that_one_may_not_see_are_not_found(site: Site, job_id: str) -> None:
    for path in ("logs", "logs/file", "logs/search"):
        url = f"/api/v1/jobs/{job_id}/{path}"
        assert site.client("viewer").get(url, params={"attempt": 9, "q": "x"}).status_code == 404
        assert site.client("stranger").get(url, params={"q": "x"}).status_code == 404
