"""The page of a training outlives whatever happens to its connection: at the end it shows every step once, without a reload."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.browser_people import PATIENCE_MS, Person
from support.server import running_with_admin
from support.watching import Watched, assert_whole, look, see, states, until, visitor
from support.web_alone import WebAlone, web_alone

from kargah.client import Kargah
from kargah.kit.i18n import catalogue

LINE = Path(__file__).parents[2] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
STEPS = 2000
#: The browser's own notifications, written down as they are given.
NOTED = """
window.noted = [];
window.Notification = class extends Notification {
  static permission = "granted";
  constructor(text, options) { super(text, options); window.noted.push(text); }
};
localStorage.setItem("kargah.notify", "on");
"""
LONG = {"max_steps": STEPS, "baselines": False, "epochs": 1000, "batch_size": 2}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebAlone]:
    with web_alone(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def person(chromium: Browser, web: WebAlone) -> Iterator[Person]:
    someone = visitor(chromium, web.url, web.token)
    yield someone
    someone.context.close()


def test_the_web_process_is_killed_in_mid_training_and_the_curve_has_every_step_once(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A real training, and the parent that starts the web process again."""
    with running_with_admin(tmp_path_factory.mktemp("home"), job_threads=1) as server, Kargah(server.url, server.token) as kargah:
        dataset = kargah.datasets.upload(LINE)
        started = kargah.trainings.start(datasets=[dataset.id], spec=LONG)
        person = visitor(chromium, server.url, server.token)
        page, since = look(person, started.run_id)
        os.kill(int(json.loads((server.home / "run" / "web.json").read_text())["pid"]), signal.SIGKILL)
        until(page, "off")
        until(page, "on")
        page.wait_for_function("() => document.documentElement.dataset.stream === 'ended'", timeout=4 * PATIENCE_MS)
        positions = [event.position for event in kargah.jobs.events(started.job.id, after=since)]
        assert_whole(page, positions, server.client(), started.job.id, STEPS)
        person.context.close()


def test_a_server_that_stays_away_is_said_so_asked_later_each_time_and_at_once_when_told_to(web: WebAlone, person: Person) -> None:
    run = Watched(web, person)
    page = run.page
    web.kill()
    run.job.steps(30)
    page.wait_for_selector("#live.off")
    assert page.locator("#live").inner_text() and page.locator("#reconnect").is_visible()
    page.wait_for_function("() => window.states.filter((state) => state === 'connecting').length > 1")
    until(page, "off")
    asked = page.evaluate("window.states.length")
    page.click("#reconnect")
    page.wait_for_function("asked => window.states.length > asked && window.states[asked] === 'connecting'", arg=asked)
    web.start()
    until(page, "on")
    assert page.locator("#reconnect").is_hidden()
    went = states(page)
    assert went[went.index("off") :][-3:] == ["off", "connecting", "on"]
    run.assert_whole()


def test_a_chart_that_the_server_could_not_give_comes_when_it_is_back(web: WebAlone, person: Person) -> None:
    job = web.submit()
    job.steps(20)
    person.page.route("**/curve", lambda route: route.abort())
    page = person.go(f"/runs/{job.run_id}")
    page.wait_for_function("() => document.querySelector('run-chart').dataset.drawn === '0'")
    page.unroute("**/curve")
    web.kill()
    until(page, "off")
    web.start()
    page.wait_for_function("() => document.querySelector('run-chart').curves.get('loss')?.size === 20")
    job.finish()


def test_a_computer_that_slept_finds_its_line_dead_and_goes_on_behind_what_it_knows(web: WebAlone, person: Person) -> None:
    """The server is held and the page's clock put forward: an hour in which neither side said anything."""
    person.page.clock.install()
    run = Watched(web, person)
    web.signal(signal.SIGSTOP)
    try:
        run.job.steps(30)
        run.page.clock.fast_forward(3_600_000)
        until(run.page, "off")
    finally:
        web.signal(signal.SIGCONT)
    run.page.clock.fast_forward(60_000)
    until(run.page, "on")
    run.assert_whole()


def test_a_network_that_goes_away_is_not_waited_for_once_it_is_back(web: WebAlone, person: Person) -> None:
    run = Watched(web, person)
    person.context.set_offline(True)
    web.kill()  # what stands already outlives the emulated loss of the network
    until(run.page, "off")
    run.job.steps(30)
    web.start()
    person.context.set_offline(False)
    until(run.page, "on")
    run.assert_whole()


def test_a_page_that_the_browser_froze_behind_another_catches_up(web: WebAlone, person: Person) -> None:
    run = Watched(web, person)
    session = person.context.new_cdp_session(run.page)
    in_front = person.context.new_page()
    in_front.goto(f"{web.url}/about")
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    run.job.steps(30)
    in_front.wait_for_timeout(1500)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    in_front.close()
    run.assert_whole()


def test_a_page_that_nobody_sees_gives_its_connection_back_and_misses_nothing(web: WebAlone, person: Person) -> None:
    """Else the seventh page of one server, behind tabs that nobody looks at, would wait for ever."""
    person.page.clock.install()
    run = Watched(web, person)
    page = run.page
    see(page, False)
    page.clock.fast_forward(15_000)
    until(page, "asleep")
    run.job.steps(30)
    page.clock.fast_forward(60_000)
    page.wait_for_function("() => window.told.length >= 30")
    page.clock.fast_forward(15_000)
    until(page, "asleep")
    see(page, True)
    until(page, "on")
    run.assert_whole()


def test_a_training_that_ends_behind_another_tab_is_told_by_title_icon_and_notification(web: WebAlone, person: Person) -> None:
    person.context.grant_permissions(["notifications"])
    person.context.add_init_script(NOTED)
    run = Watched(web, person)
    page = run.page
    run.job.steps(480)
    page.wait_for_function("() => document.title.startsWith('۵۰٪ · ')")
    see(page, False)
    run.job.finish()
    page.wait_for_function("() => document.querySelector('link[rel=icon]').href.endsWith('/mark-done.svg')")
    assert page.evaluate("window.noted") == [catalogue("fa")["notify.finished"]]
    see(page, True)
    page.wait_for_function("() => document.querySelector('link[rel=icon]').href.endsWith('/mark.svg')")
    page.wait_for_function("() => !document.title.includes('٪')")


def test_five_pages_do_not_storm_a_server_that_is_away(web: WebAlone, person: Person) -> None:
    job = web.submit()
    pages = [person.page, *(person.context.new_page() for _ in range(4))]
    for page in pages:
        page.goto(f"{web.url}/runs/{job.run_id}")
        until(page, "on")
    asked: list[str] = []
    person.context.on("request", lambda request: asked.append(request.url))
    web.kill()
    for page in pages:
        until(page, "off")
    person.page.wait_for_timeout(6000)
    assert len(asked) <= 5 * 3, asked
    assert any("/events" in url for url in asked)
    web.start()
    job.finish()
    for page in pages:
        until(page, "ended")


def test_a_session_that_ended_is_said_and_no_longer_waited_for(web: WebAlone, person: Person) -> None:
    run = Watched(web, person)
    person.context.clear_cookies()
    web.kill()
    until(run.page, "off")
    web.start()
    until(run.page, "out")
    run.page.click("#reconnect")
    run.page.wait_for_url("**/login?next=*")
    run.job.finish()
