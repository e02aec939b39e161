"""The machine's page and its API: for whoever is logged in; measuring is a job, once at a time."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.sites import Site

from kargah.contract.events import Finished
from kargah.contract.measurement import GemmRate, Measurement
from kargah.jobs.tables import Job
from kargah.monitoring import measuring

MEASURED = Measurement(
    at=datetime.now(UTC), seconds=9.0, torch="2.13.0+cpu", threads=2,
    gemm=[GemmRate(precision="fp32", threads=1, gflops=75.0), GemmRate(precision="bf16", threads=1, gflops=0.6)],
    copied_bytes_per_second=1.4e10, written_bytes_per_second=4e8, sync_seconds=0.001, busy_cores=0.0,
)  # fmt: skip


def test_a_stranger_learns_nothing_of_the_machine(site: Site) -> None:
    assert site.client().get("/api/v1/hardware").status_code == 401
    assert site.client("viewer").post("/api/v1/hardware/measure").status_code == 403


def test_measuring_is_one_job_and_its_end_is_the_profile(site: Site) -> None:
    """Until then it is said that nothing was measured; afterwards figures, scores and advice stand on the page in both languages."""
    before = site.client("viewer").get("/api/v1/hardware").json()
    assert before["measurement"] is None and before["machine"]["cpu"]["usable"] >= 1
    asked = [site.client("trainer").post("/api/v1/hardware/measure") for _ in range(2)]
    assert [answer.status_code for answer in asked] == [201, 201]
    job_id = asked[0].json()["id"]
    assert asked[1].json()["id"] == job_id, "two measurements would disturb each other"
    assert f"/api/v1/jobs/{job_id}/events" in site.browser("viewer").get("/hardware").text
    with site.database.write() as session:
        job = session.get_one(Job, job_id)
        end = Finished(at=datetime.now(UTC), result=json.loads(MEASURED.model_dump_json()))
        measuring.on_event(session, site.settings.home, job, end)
        job.state = "COMPLETED"
    after = site.client("viewer").get("/api/v1/hardware").json()
    assert after["measurement"]["gemm"][0]["gflops"] == 75.0
    assert {score["model"] for score in after["scores"]} == {"minilm", "bert_base", "decoder_lora"}
    assert "fp32_wins" in {one["code"] for one in after["advice"]}
    for language, words in (("en", "125 times slower"), ("fa", "۱۲۵ برابر کندتر")):
        page = site.browser("viewer")
        page.cookies.set("kargah_language", language)
        text = page.get("/hardware").text
        assert words in text and f"/jobs/{job_id}/events" not in text
        assert ">hardware." not in text, "a key without a text"


@pytest.mark.parametrize("path", ["/hardware"])
def test_only_those_who_may_start_jobs_are_offered_to_measure(site: Site, path: str) -> None:
    offered = [f'action="{path}/measure"' in site.browser(who).get(path).text for who in ("trainer", "viewer")]
    assert offered == [True, False]


def test_the_measurement_is_kept_by_host(site: Site) -> None:
    kept = [path.name for path in Path(site.settings.home, "hardware").iterdir()]
    assert len(kept) == 1 and kept[0].endswith(".json")
