"""What is asked of runs in a list, and what the list shows."""

import re

import pytest
from support.sites import Site

from kargah.jobs import service as jobs
from kargah.jobs.tables import Job
from kargah.runs import service as runs
from kargah.store.access import Actor, Role


@pytest.fixture(scope="module")
def waiting(site: Site) -> dict[str, str]:
    """Two of the trainer's runs that wait, one of another recipe, and one of the admin's."""
    made = {}
    for name, who, recipe in (
        ("one", "trainer", "tabular"),
        ("two", "trainer", "tabular"),
        ("three", "trainer", "text-classification"),
        ("other", "admin", "tabular"),
    ):
        me = site.client(who).get("/api/v1/auth/me").json()
        with site.database.write() as session:
            workspace = session.query(Job.workspace_id).limit(1).scalar() or me.get("workspace_id") or _workspace(site)
            actor = Actor(me["id"], Role(me["role"]), workspace, frozenset({workspace}))
            job = jobs.submit(session, actor, "train", f"گونهٔ كتاب {name}", {"kind": "train", "datasets": []})
            runs.create_for_job(session, actor, job, recipe)
            made[name] = job.id
    return made


def _workspace(site: Site) -> str:
    from kargah.accounts.tables import Membership

    with site.database.read() as session:
        return str(session.query(Membership.workspace_id).order_by(Membership.created_at).first()[0])


def page(site: Site, who: str, path: str) -> str:
    answer = site.browser(who).get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def csrf(html: str) -> str:
    return re.search(r'name="csrf-token" content="([^"]*)"', html)[1]


def act(site: Site, who: str, **form: object) -> str:
    browser = site.browser(who)
    form["_csrf"] = csrf(browser.get("/runs").text)
    answer = browser.post("/runs/act", data=form, headers={"Origin": site.url})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_the_list_is_narrowed_by_recipe_state_and_folded_words(site: Site, waiting: dict[str, str]) -> None:
    assert waiting["three"] not in page(site, "trainer", "/runs?recipe=tabular")
    assert waiting["one"] not in page(site, "trainer", "/runs?state=completed")
    found = page(site, "trainer", "/runs?q=گونه کتاب&state=active")
    assert waiting["one"] in found
    assert waiting["three"] in found


def test_many_runs_stop_at_once_and_those_of_others_stay(site: Site, waiting: dict[str, str]) -> None:
    where = act(site, "trainer", action="stop", run=[waiting["one"], waiting["two"], waiting["other"]], next="/runs?state=active")
    assert where == "/runs?state=active&done=runs_asked"
    client = site.client("admin")
    states = {name: client.get(f"/api/v1/jobs/{waiting[name]}").json()["state"] for name in ("one", "two", "other")}
    assert states == {"one": "STOPPED", "two": "STOPPED", "other": "QUEUED"}


def test_what_a_state_does_not_allow_is_said_and_changes_nothing(site: Site, waiting: dict[str, str]) -> None:
    assert act(site, "trainer", action="pause", run=waiting["three"], next="/").endswith("done=runs_unchanged")
    assert site.client("trainer").get(f"/api/v1/jobs/{waiting['three']}").json()["state"] == "QUEUED"


def test_an_unknown_action_is_an_answer_not_a_crash(site: Site) -> None:
    browser = site.browser("trainer")
    token = csrf(browser.get("/runs").text)
    answer = browser.post("/runs/act", data={"_csrf": token, "action": "<b>", "run": "x"}, headers={"Origin": site.url})
    assert 400 <= answer.status_code < 500


def test_the_dashboard_says_that_nothing_was_measured_yet(site: Site, waiting: dict[str, str]) -> None:
    assert "time not measured yet" in page(site, "trainer", "/")


def test_runs_beside_each_other_show_the_settings_that_differ(site: Site, waiting: dict[str, str]) -> None:
    html = page(site, "trainer", f"/compare?run={waiting['one']}&run={waiting['three']}&run={waiting['one']}")
    assert html.count('class="tag big"') == 2
    assert "<mark>" in html
    assert "no result yet" in html


@pytest.mark.parametrize("path", ["/compare", "/analytics", "/analytics?cursor=nothing"])
def test_pages_about_runs_stand_without_a_choice(site: Site, waiting: dict[str, str], path: str) -> None:
    page(site, "viewer", path)


def test_a_run_of_another_workspace_is_not_compared(site: Site, waiting: dict[str, str]) -> None:
    assert site.browser("stranger").get(f"/compare?run={waiting['one']}").status_code == 404
    assert waiting["one"] not in page(site, "stranger", "/analytics")
