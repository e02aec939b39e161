"""Charts: their place is kept while they load, a curve of any length is drawn from points that were said, figures in one script."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Route
from support.browser_people import PATIENCE_MS
from support.sites import Site, open_site

from kargah.accounts.tables import Membership
from kargah.contract.events import Running, Step
from kargah.jobs import blocks, history
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.runs.tables import Run

STEPS = 12_000
PEAK = 7_777


@dataclass
class Reader:
    """Somebody who looks at the page of the one long run."""

    page: Page
    address: str
    language: str

    def come(self) -> Page:
        self.page.goto(self.address)
        return self.page

    def drawn(self) -> Page:
        self.page.wait_for_function("() => Number(document.querySelector('run-chart')?.dataset.drawn) > 0")
        return self.page


def loss(step: int) -> float:
    return 9.0 if step == PEAK else 2 * math.exp(-3 * step / STEPS) + 0.05 * math.sin(step)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("charts")) as site:
        site.register("reader")
        _train(site)
        yield site


def _train(site: Site) -> None:
    now = utc_now()
    with site.database.write() as session:
        member = session.query(Membership).one()
        common = {"title": "long", "title_folded": "long", "owner_id": member.user_id, "workspace_id": member.workspace_id}
        plan = {"kind": "train", "recipe": "tabular", "datasets": [{"title": "data"}]}
        job = Job(id="job_long", kind="train", state="COMPLETED", plan=plan, queued_at=now, started_at=now, finished_at=now, **common)
        session.add(job)
        session.add(Run(id="run_long", job_id=job.id, recipe="tabular", status="COMPLETED", **common))
        session.flush()
        said = [Running(at=now, total_steps=STEPS, total_epochs=1.0, choices=[])]
        steps = [_step(number) for number in range(1, STEPS + 1)]
        history.append_lines(session, job, 1, list(enumerate([*said, *steps], 1)))
    while _seal(site):
        pass


def _step(number: int) -> Step:
    return Step(at=utc_now(), step=number, epoch=0.5, metrics={"loss": loss(number), "learning_rate": 1e-3 * 0.999**number})


def _seal(site: Site) -> int:
    with site.database.write() as session:
        return blocks.seal(session, session.get_one(Job, "job_long"), all_of_it=True)


@pytest.fixture(params=["fa", "en"])
def reader(chromium: Browser, place: Site, request: pytest.FixtureRequest) -> Iterator[Reader]:
    context = chromium.new_context(locale={"fa": "fa-IR", "en": "en-US"}[request.param], viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": "kargah_session", "value": place.tokens["reader"], "url": place.url}])
    yield Reader(context.new_page(), f"{place.url}/runs/run_long", request.param)
    context.close()


def test_while_its_points_are_awaited_the_chart_shows_where_it_will_be_and_nothing_moves(reader: Reader) -> None:
    held: list[Route] = []
    reader.page.route("**/curve", lambda route: held.append(route))
    page = reader.come()
    page.wait_for_selector("run-chart[aria-busy]")
    skeleton = page.locator("run-chart .chart-wait .skel").first
    skeleton.wait_for(state="visible")
    assert page.locator("[data-nothing]").is_hidden()
    legend = page.locator("[data-series]:visible").evaluate_all("parts => parts.map((part) => part.dataset.series)")
    before = page.locator("run-chart").bounding_box()
    assert held
    held[0].continue_()
    reader.drawn()
    assert page.locator("run-chart .chart-wait").count() == 0
    assert page.locator("run-chart").get_attribute("aria-busy") is None
    assert page.locator("run-chart").bounding_box() == before
    assert page.locator("[data-series]:visible").evaluate_all("parts => parts.map((part) => part.dataset.series)") == legend


def test_skeletons_stand_still_for_who_wants_no_motion(reader: Reader) -> None:
    reader.page.emulate_media(reduced_motion="reduce")
    reader.page.route("**/curve", lambda route: None)
    page = reader.come()
    page.wait_for_selector("run-chart[aria-busy]")
    assert page.evaluate("getComputedStyle(document.querySelector('.skel')).animationName") == "none"


def test_points_that_do_not_arrive_are_said_to_be_missing_and_asked_for_again(reader: Reader) -> None:
    reader.page.route("**/curve", lambda route: route.abort())
    page = reader.come()
    page.locator("[data-failed]").wait_for(state="visible")
    assert page.locator("[data-nothing]").is_hidden()
    page.unroute("**/curve")
    page.locator("[data-again]").click()
    reader.drawn()
    assert page.locator("[data-failed]").is_hidden()


def test_a_long_curve_is_drawn_of_points_that_were_said_with_its_peak_and_a_part_of_it_whole(reader: Reader) -> None:
    reader.come()
    page = reader.drawn()
    points = dict(page.evaluate("[...document.querySelector('run-chart').curves.get('loss')]"))
    assert len(points) <= 4000
    assert {step: value for step, value in points.items() if value != loss(step)} == {}
    assert points[PEAK] == 9.0
    page.evaluate("document.querySelector('run-chart').zoom([5000, 5400])")
    page.wait_for_function("() => document.querySelector('run-chart').chart.data[0].filter((x) => x >= 5000 && x <= 5400).length === 401")


def test_a_page_that_is_open_for_long_does_not_grow_and_keeps_the_peaks(reader: Reader) -> None:
    reader.come()
    page = reader.drawn()
    sizes = page.evaluate(
        """async ([from, to]) => {
            const chart = document.querySelector("run-chart");
            const said = (step) => ({ kind: "Step", payload: { step, metrics: { loss: step === 20_000 ? 11 : 1 } } });
            for (let step = from; step < to; step += 1) chart.take(said(step));
            chart.draw(false);
            const curve = chart.curves.get("loss");
            return [curve.size, curve.get(20_000), curve.get(7777), curve.get(to - 1)];
        }""",
        [STEPS + 1, 40_000],
    )
    assert sizes[0] <= 8000
    assert sizes[1:] == [11, 9, 1]


def test_figures_beside_a_logarithmic_axis_are_of_one_script(reader: Reader) -> None:
    reader.come()
    page = reader.drawn()
    page.locator("[data-group=learning_rate]").click()
    page.locator("[data-log]").check()
    labels = page.evaluate("document.querySelector('run-chart').chart.axes.flatMap((axis) => axis._values).filter(Boolean)")
    allowed = {"fa": r"[۰-۹٬٫\u200e\u2212]+", "en": r"[0-9.,e-]+"}[reader.language]
    assert len(labels) > 4
    assert [label for label in labels if not re.fullmatch(allowed, label)] == []
    assert reader.language != "fa" or any(label.startswith("۰٫۰۰۰") for label in labels), labels
