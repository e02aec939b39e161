"""What is asked of trainings in the page: their place in the line, their checkpoints, the terms of a new one; by mouse and by keys.

No agent runs here, so that the line stands still and nothing is a matter of time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from playwright.sync_api import Browser
from support import axe
from support.browser_people import Person, arrive
from support.sites import Site, open_site

from kargah.accounts.service import DEFAULT_WORKSPACE
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Evaluated, Saved
from kargah.datasets import bundled
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.tables import Job
from kargah.jobs.usage import Usage
from kargah.kit.clock import utc_now
from kargah.store.access import Actor, Role
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Keeping, TrainState

TITLES = ["نخست", "دوم", "سوم"]


@dataclass
class Desk:
    site: Site
    actor: Actor
    dataset_id: str

    def start(self, title: str) -> tuple[str, str]:
        """(Job, run) of a training that waits."""
        with self.site.database.write() as session:
            request = TrainingRequest(datasets=[self.dataset_id], title=title, spec={"epochs": 3, "learning_rate": 0.01})
            started = training.start(session, self.actor, request)
        return started.job.id, started.run_id

    def ended(self, title: str) -> tuple[str, str]:
        """One that was stopped after its second attempt; it left checkpoints of its steps 10, 20 and 30, and its memory."""
        job_id, run_id = self.start(title)
        home = self.site.settings.home
        module, state = torch.nn.Linear(4, 4), TrainState(plan="p", threads=1, best_step=20, best_value=0.5)
        with self.site.database.write() as session:
            job = session.get_one(Job, job_id)
            job.attempt, job.terms = 2, {"memory_limit_bytes": 1 << 30}
            for step in (10, 20, 30):
                taken = checkpoint.snapshot(replace(state, step=step), module, torch.optim.AdamW(module.parameters()), None)
                folder = AttemptDirectory.of(home, job_id, 1).checkpoints
                path, size = checkpoint.write(folder, taken, Keeping(last=9))
                where = f"checkpoints/{path.name}"
                best = step == 20
                history.append(session, job, Evaluated(at=utc_now(), step=step, epoch=step / 10, metrics={"r2": step / 40}))
                history.append(session, job, Saved(at=utc_now(), step=step, path=where, size_bytes=size, best=best, stall_seconds=0.012))
            jobs.stop(session, self.actor, job_id)
        attempt = AttemptDirectory.of(home, job_id, 2)
        attempt.path.mkdir(parents=True)
        attempt.usage.write_text("".join(Usage(seconds=2.0 * n, unique_bytes=n << 24).model_dump_json() + "\n" for n in range(1, 41)))
        return job_id, run_id


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_site(tmp_path_factory.mktemp("home")) as site:
        user = site.register("admin")
        with site.database.write() as session:
            actor = Actor(user["id"], Role.ADMIN, DEFAULT_WORKSPACE, frozenset({DEFAULT_WORKSPACE}))
            dataset_id = bundled.ensure_line(session, actor, site.settings.home)
        yield Desk(site, actor, dataset_id)


def at_desk(chromium: Browser, desk: Desk, language: str = "fa", width: int = 1280) -> Person:
    desk.site.client("admin").patch("/api/v1/auth/me", json={"language": language}).raise_for_status()
    person = arrive(chromium, desk.site, language=language, width=width)  # type: ignore[arg-type]
    person.context.add_cookies([{"name": "kargah_session", "value": desk.site.tokens["admin"], "url": desk.site.url}])
    return person


@pytest.fixture
def person(chromium: Browser, desk: Desk) -> Iterator[Person]:
    someone = at_desk(chromium, desk)
    yield someone
    assert someone.complaints == []
    someone.context.close()


@pytest.fixture
def line(desk: Desk) -> Iterator[list[str]]:
    """Three jobs that wait, in this order, and none else."""
    made = [desk.start(title)[0] for title in TITLES]
    yield made
    with desk.site.database.write() as session:
        for job_id in made:
            if jobs.show(session, desk.actor, job_id).state == "QUEUED":
                jobs.stop(session, desk.actor, job_id)


ORDER = "[...document.querySelectorAll('.jobs > li .t a')].map(link => link.textContent)"


def wait_for_order(person: Person, *titles: str) -> None:
    person.page.wait_for_function(f"titles => JSON.stringify({ORDER}) === JSON.stringify(titles)", arg=list(titles))


def test_the_line_is_shown_in_its_order_moved_by_mouse_and_put_back(person: Person, line: list[str]) -> None:
    page = person.go("/runs?state=queued")
    wait_for_order(person, *TITLES)
    assert page.locator(".jobs > li").first.locator(".waits b").inner_text() == "نفر ۱ در صف"
    page.click(f"#first-{line[2]}")
    wait_for_order(person, "سوم", "نخست", "دوم")
    page.evaluate("document.querySelectorAll('#toasts .toast').forEach((toast) => toast.remove())")  # the next is the one to take back
    page.click(f"#down-{line[2]}")
    wait_for_order(person, "نخست", "سوم", "دوم")
    page.locator("#toasts .toast button").last.click()
    wait_for_order(person, "سوم", "نخست", "دوم")


def test_the_line_is_moved_by_keys_and_the_focus_stays_with_the_row(person: Person, line: list[str]) -> None:
    page = person.go("/runs?state=queued")
    wait_for_order(person, *TITLES)
    page.locator(".jobs > li").nth(1).locator(".t a").focus()
    page.keyboard.press("Alt+ArrowUp")
    wait_for_order(person, "دوم", "نخست", "سوم")
    assert page.evaluate("document.activeElement.closest('.jobs > li').querySelector('.t a').textContent") == "دوم"
    page.keyboard.press("Alt+ArrowDown")
    wait_for_order(person, *TITLES)
    page.keyboard.press("Alt+ArrowDown")
    wait_for_order(person, "نخست", "سوم", "دوم")


def test_the_page_of_a_waiting_run_says_its_place_and_what_it_waits_for(person: Person, line: list[str]) -> None:
    page = person.go(f"/runs/{line[1]}")
    note = page.locator("#run-notes .place-note")
    assert note.locator("b").inner_text() == "نفر ۲ در صف"
    assert "kargah agent" in note.inner_text()  # nobody is here who would start it
    page.focus(f"#first-{line[1]}")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run-notes .place-note b:has-text('نفر ۱ در صف')")


def test_many_are_moved_stopped_and_tried_again_at_once(person: Person, desk: Desk, line: list[str]) -> None:
    page = person.go("/runs?state=queued")
    wait_for_order(person, *TITLES)
    for job_id in line[1:]:
        page.check(f"[data-pick][value='{job_id}']")
    assert not page.locator("[data-act=pause]").is_visible()
    page.click("[data-act=move-first]")
    wait_for_order(person, "دوم", "سوم", "نخست")
    for job_id in line[1:]:
        page.check(f"[data-pick][value='{job_id}']")
    page.click("[data-stop-picked]")
    page.click("#stop-runs .btn.stop")
    wait_for_order(person, "نخست")
    page = person.go("/runs?state=stopped")
    page.locator(".jobs > li", has_text="دوم").first.locator("[data-pick]").check()
    page.click("[data-act=retry]")
    page.wait_for_selector("#toasts .toast")
    person.go("/runs?state=queued")
    wait_for_order(person, "نخست", "دوم")
    with desk.site.database.write() as session:
        again = next(job for job in jobs.list_for(session, desk.actor, states=["QUEUED"]).items if job.title == "دوم")
        jobs.stop(session, desk.actor, again.id)


def test_checkpoints_are_shown_verified_and_deleted_after_one_question(person: Person, desk: Desk) -> None:
    job_id, run_id = desk.ended("با نقطه‌ها")
    rows = person.go(f"/runs/{run_id}").locator(".checkpoints > li")
    assert [text.splitlines()[0] for text in rows.all_inner_texts()] == ["گام ۳۰", "گام ۲۰", "گام ۱۰"]
    assert [rows.nth(place).locator(".tag, .badge").all_inner_texts() for place in range(3)] == [["تازه‌ترین"], ["بهترین"], []]
    assert "۱۲ میلی‌ثانیه" in rows.first.inner_text()
    with person.page.expect_download() as download:
        rows.first.locator("a[download]").click()
    assert download.value.suggested_filename == f"{job_id}-step-00000030.zip"

    person.page.focus("#verify-step-00000030")
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector("[data-checkpoint='step-00000030']:has-text('بررسی‌شده')")
    weights = AttemptDirectory.of(desk.site.settings.home, job_id, 1).checkpoints / "step-00000020" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    person.page.click("#verify-step-00000020")
    person.page.wait_for_selector("[data-checkpoint='step-00000020']:has-text('آسیب‌دیده')")
    assert person.page.locator("[data-checkpoint='step-00000020'] a").count() == 0

    person.page.click("#delete-step-00000020")
    assert "۲۰" in person.page.locator("#delete-checkpoint h2").inner_text()
    person.page.keyboard.press("Escape")
    assert rows.count() == 3
    person.page.click("#delete-step-00000020")
    person.page.click("#delete-checkpoint .btn.stop")
    person.page.wait_for_selector("#delete-step-00000020", state="detached")
    assert not weights.parent.exists()


def test_a_checkpoint_leads_to_a_filled_form_whose_training_begins_there(person: Person, desk: Desk) -> None:
    job_id, run_id = desk.ended("آغازگر")
    page = person.go(f"/runs/{run_id}")
    page.click("[data-checkpoint='step-00000020'] a.btn")
    page.wait_for_selector("#training")
    assert page.locator("#training [name=checkpoint]").input_value() == "step-00000020"
    assert page.locator("[name='spec.learning_rate']").input_value() == "0.01"
    page.fill("[name='spec.learning_rate']", "۰٫۰۰۲")
    page.locator("#same-cli-text", has_text="learning_rate=0.002").wait_for(state="attached")
    assert f"checkpoints continue {job_id} step-00000020" in (page.locator("#same-cli-text").text_content() or "")
    page.click("#train-acts .btn.go")
    page.wait_for_selector("#run-state")
    made = page.url.rpartition("/")[2].partition("?")[0]
    with desk.site.database.write() as session:
        job = session.query(Job).filter(Job.id == desk.site.client("admin").get(f"/api/v1/runs/{made}").json()["job_id"]).one()
        assert (job.plan["start_from"]["step"], job.plan["spec"]["learning_rate"], job.plan["spec"]["epochs"]) == (20, 0.002, 3.0)
        jobs.stop(session, desk.actor, job.id)


def test_the_memory_of_a_run_is_drawn_with_its_limit_and_told_in_figures(person: Person, desk: Desk) -> None:
    _, run_id = desk.ended("حافظه")
    page = person.go(f"/runs/{run_id}")
    card = page.locator("#run-memory")
    assert "۶۴۰ مبی‌بایت" in card.inner_text()
    assert "٪ حد" in card.inner_text()
    assert card.locator("svg .limit").count() == 1
    card.locator("summary").click()
    assert card.locator("tbody tr").count() > 5


def test_terms_are_given_in_the_readers_own_way_and_told_in_every_language_of_machines(person: Person, desk: Desk, line: list[str]) -> None:
    page = person.go(f"/runs/new?dataset={desk.dataset_id}")
    assert "kargah agent" in page.locator("#outlook").inner_text()
    page.click("label:has([name=view][value=all])")
    page.fill("[name='terms.priority']", "۵")
    page.fill("[name='terms.not_before']", "۱۴۶۰/۰۱/۰۱ ۲۲:۰۰")
    page.fill("[name='terms.window_start']", "۲۲:۰۰")
    page.fill("[name='terms.window_end']", "۰۶:۰۰")
    page.fill("[name='terms.time_limit_hours']", "۱٫۵")
    page.fill("[name='terms.memory_limit_gib']", "فراوان")
    page.wait_for_selector("#outlook:has-text('۱۴۶۰')")
    page.locator("#same-yaml-text", has_text="time_limit_seconds: 5400").wait_for(state="attached")
    assert "2081-03-20T22:00:00+03:30" in (page.locator("#same-curl-text").text_content() or "")
    page.click("#train-acts .btn.go")
    page.wait_for_selector("[name='terms.memory_limit_gib'][aria-invalid]")
    person.complaints.clear()  # of the refusal itself, which a browser calls an error
    assert page.locator("[name='terms.not_before']").input_value() == "۱۴۶۰/۰۱/۰۱ ۲۲:۰۰"
    page.fill("[name='terms.memory_limit_gib']", "۸")
    for before in line[:2]:
        page.check(f"[name='terms.after'][value={before}]")
    page.click("#train-acts .btn.go")
    page.wait_for_selector("#run-state")
    run_id = page.url.rpartition("/")[2].partition("?")[0]
    client = desk.site.client("admin")
    job = client.get(f"/api/v1/jobs/{client.get(f'/api/v1/runs/{run_id}').json()['job_id']}").json()
    assert (job["priority"], sorted(job["terms"]["after"]), job["terms"]["memory_limit_bytes"]) == (5, sorted(line[:2]), 8 << 30)
    assert job["terms"]["window"] == {"start": "22:00:00", "end": "06:00:00"}  # the hours of Tehran, unless another zone is named
    with desk.site.database.write() as session:
        jobs.stop(session, desk.actor, job["id"])


def test_the_line_checkpoints_memory_and_terms_are_for_everybody(person: Person, desk: Desk, line: list[str]) -> None:
    _, run_id = desk.ended("برای همه")
    pages = ("/runs?state=queued", f"/runs/{line[0]}", f"/runs/{run_id}", f"/runs/new?dataset={desk.dataset_id}&view=all", "/help/jobs")
    assert {path: faults for path in pages if (faults := axe.faults_of(person.go(path)))} == {}


def test_in_english_and_on_a_phone_it_is_all_there(chromium: Browser, desk: Desk, line: list[str]) -> None:
    _, run_id = desk.ended("English")
    person = at_desk(chromium, desk, "en", width=390)
    assert person.go("/runs?state=queued").locator(".waits b").first.inner_text() == "Number 1 in the queue"
    assert person.overflow_pixels() == 0
    page = person.go(f"/runs/{run_id}")
    assert re.search(r"Peak\s*640 MiB · 6[23]% of the limit", page.locator("#run-memory").inner_text())
    assert page.locator(".checkpoints > li").count() == 3
    assert person.overflow_pixels() == 0
    page = person.go(f"/runs/new?dataset={desk.dataset_id}&view=all")
    assert page.locator("[name='terms.not_before']").is_visible()
    assert person.overflow_pixels() == 0
    assert person.complaints == []
    person.context.close()
