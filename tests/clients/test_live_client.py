"""Streams of the SDK over a server that is killed and started again in the middle: nothing missed, nothing twice."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.web_alone import ToldJob, WebAlone, web_alone

from kargah.client import Kargah, Refused
from kargah.client.shapes import Event


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAlone]:
    with web_alone(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def kargah(web: WebAlone) -> Iterator[Kargah]:
    with Kargah(web.url, web.token, language="en") as client:
        yield client


class Listener:
    """Takes events in a thread of its own, until they end."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.heard: list[Event] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._take, args=(events,), daemon=True)
        self._thread.start()

    def _take(self, events: Iterator[Event]) -> None:
        for event in events:
            with self._news:
                self.heard.append(event)
                self._news.notify_all()

    def until(self, is_so: Callable[[list[Event]], bool]) -> None:
        with self._news:
            assert self._news.wait_for(lambda: is_so(self.heard), 60), self.heard[-3:]

    def to_the_end(self) -> list[Event]:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.heard


def positions(heard: list[Event], job: ToldJob) -> list[int]:
    return [event.position for event in heard if event.job_id == job.id]


def test_a_stream_of_one_job_goes_on_when_its_server_is_back(web: WebAlone, kargah: Kargah) -> None:
    job = web.submit()
    job.steps(700)
    told = Listener(kargah.jobs.events(job.id))
    told.until(lambda heard: len(heard) > 100)
    web.kill()
    job.steps(50)
    web.start()
    job.steps(50)
    job.finish()
    assert positions(told.to_the_end(), job) == job.positions(0)


def test_one_socket_of_many_jobs_goes_on_where_each_was_left(web: WebAlone, kargah: Kargah) -> None:
    """The second job is replayed after the first: had the line one position for both, a break between them would lose it."""
    jobs = [web.submit() for _ in range(3)]
    jobs[1].steps(600)
    jobs[0].steps(600)
    told = Listener(kargah.jobs.follow([job.id for job in jobs]))
    told.until(lambda heard: len(heard) > 50)
    for _ in range(2):
        web.kill()
        jobs[2].steps(20)
        web.start()
        jobs[0].steps(20)
        known = len(told.heard)
        told.until(lambda heard, known=known: len(heard) > known)  # type: ignore[misc]
    for job in jobs:
        job.finish()
    heard = told.to_the_end()
    assert [positions(heard, job) for job in jobs] == [job.positions(0) for job in jobs]


def test_all_jobs_are_followed_from_now_on(web: WebAlone, kargah: Kargah) -> None:
    before = web.submit()
    before.steps(5)
    events = kargah.jobs.follow()
    told = Listener(events)
    job = web.submit()
    while not told.heard:  # the line may stand only after the first of them
        job.steps(1)
        told._thread.join(0.2)
    web.kill()
    job.steps(10)
    web.start()
    last = job.positions(0)[-1]
    told.until(lambda heard: heard[-1].position == last)
    first = told.heard[0].position
    assert positions(told.heard, job) == job.positions(first - 1)
    assert len({event.position for event in told.heard}) == len(told.heard)


def test_what_waiting_cannot_mend_is_raised_at_once(web: WebAlone, kargah: Kargah) -> None:
    with pytest.raises(Refused) as refused:
        list(kargah.jobs.follow(["job_nothing"]))
    assert (refused.value.http_status, refused.value.reason) == (404, "NOT_FOUND")
    with Kargah(web.url, "nonsense") as stranger, pytest.raises(Refused) as refused:
        list(stranger.jobs.follow())
    assert refused.value.http_status in (401, 403)


def test_a_newer_file_becomes_a_newer_version(web: WebAlone, kargah: Kargah, tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    dataset = kargah.datasets.upload(table, wait=False)
    table.write_text("a,b\n1,2\n3,4\n", encoding="utf-8")
    kargah.datasets.add_version(dataset.id, table, wait=False)
    versions = kargah.transport.json("GET", f"/api/v1/datasets/{dataset.id}")["versions"]
    assert sorted(version["number"] for version in versions) == [1, 2]
    with pytest.raises(Refused) as refused:
        kargah.datasets.add_version("ds_nothing", table)
    assert refused.value.reason == "NOT_FOUND"
