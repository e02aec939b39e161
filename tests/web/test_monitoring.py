"""The machine's figures: for whoever may log in, and in the one stream of a page."""

import json

import pytest
from support.sites import Site


def test_the_figures_of_the_machine_are_true_and_bounded(site: Site) -> None:
    sample = site.client("viewer").get("/api/v1/monitoring/now").json()
    assert 0 < sample["memory_used_bytes"] < sample["memory_bytes"]
    assert 0 < sample["disk_free_bytes"] < sample["disk_bytes"]
    assert 0 <= sample["cpu_share"] <= 1
    history = site.client("viewer").get("/api/v1/monitoring/history").json()
    assert history["host"]
    assert history["samples"]
    assert [one["at"] for one in history["samples"]] == sorted(one["at"] for one in history["samples"])


@pytest.mark.parametrize("path", ["/api/v1/monitoring/now", "/api/v1/monitoring/history"])
def test_a_stranger_learns_nothing_of_the_machine(site: Site, path: str) -> None:
    assert site.client().get(path).status_code == 401


def test_the_stream_carries_the_machine_only_where_it_is_asked_for(site: Site) -> None:
    with site.client("viewer").stream("GET", "/api/v1/events?machine=true") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and "meters" in line:
                said = json.loads(line.removeprefix("data: "))
                break
    assert [meter["key"] for meter in said["meters"]] == ["cpu", "memory", "disk", "network"]
    assert all(meter["text"] for meter in said["meters"])
