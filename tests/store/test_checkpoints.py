"""Checkpoints as people handle them, failures as they are told, and a training tried again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import event, update
from support.databases import person
from support.model_folders import bring_in, make_folder

from kargah.assets import blobs, storage
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Choice, Resumed, Running, Saved
from kargah.contract.plans import TrainPlan
from kargah.datasets import bundled
from kargah.jobs import history, rescue
from kargah.jobs import service as jobs
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden, KargahError, NotFound
from kargah.kit.settings import load
from kargah.models import service as models
from kargah.models.tables import ModelVersion
from kargah.runs.tables import Run
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import checkpoint_records, checkpoints, failures, service, trash, uses
from kargah.training.checkpoint_records import Looking
from kargah.training.checkpoints import GoOn
from kargah.training.schemas import TrainingRequest
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Keeping, TrainState


@pytest.fixture
def job_id(database: Database, actor: Actor, tmp_path: Path) -> str:
    """A training that is queued, with checkpoints of its steps 10, 20 and 30."""
    with database.write() as session:
        line = bundled.ensure_line(session, actor, tmp_path)
        request = TrainingRequest(datasets=[line], title="خط", spec={"epochs": 3}, terms=Terms(time_limit_seconds=60))
        job_id = service.start(session, actor, request).job.id
    module = torch.nn.Linear(4, 4)
    state = TrainState(plan="p", threads=1, best_step=20, best_value=0.5)
    for step in (10, 20, 30):
        taken = checkpoint.snapshot(replace(state, step=step), module, torch.optim.AdamW(module.parameters()), None)
        checkpoint.write(AttemptDirectory.of(tmp_path, job_id, 1).checkpoints, taken, Keeping(last=9))
    return job_id


def fail(database: Database, job_id: str, code: str, **params: Any) -> None:
    with database.write() as session:
        job = session.get_one(Job, job_id)
        used = [Choice(name=name, value=value, source="adapted", why="why.preset") for name, value in (("batch_size", 32),)]
        history.append(session, job, Running(at=utc_now(), choices=used))
        rescue.fail(session, job, None, code, params, evidence="Traceback: …")


def names(database: Database, actor: Actor, job_id: str, home: Path) -> list[str]:
    with database.read() as session:
        return [one.name for one in checkpoints.list_for(session, actor, job_id, home)]


def test_checkpoints_are_listed_newest_first_and_the_best_is_marked(database: Database, actor: Actor, job_id: str, tmp_path: Path) -> None:
    with database.read() as session:
        found = checkpoints.list_for(session, actor, job_id, tmp_path)
        files = checkpoints.files_of(session, actor, job_id, found[0].name, tmp_path)
    assert [(one.step, one.newest, one.best) for one in found] == [(30, True, False), (20, False, True), (10, False, False)]
    assert found[0].size_bytes == sum(path.stat().st_size for name, path in files if name != "state.json") > 0


def test_a_checkpoint_is_removed_but_not_the_one_that_a_waiting_training_goes_on_from(
    database: Database, actor: Actor, job_id: str, tmp_path: Path
) -> None:
    newest, best, oldest = names(database, actor, job_id, tmp_path)
    with database.write() as session:
        checkpoints.delete(session, actor, job_id, oldest, tmp_path)
        with pytest.raises(KargahError) as caught:
            checkpoints.delete(session, actor, job_id, newest, tmp_path)
    assert (caught.value.code, caught.value.params) == ("CHECKPOINT_IN_USE", {"step": 30})
    assert names(database, actor, job_id, tmp_path) == [newest, best]
    for name in (oldest, "../../../secrets", "step-99999999"):
        with database.write() as session, pytest.raises(NotFound):
            checkpoints.delete(session, actor, job_id, name, tmp_path)


def test_a_damaged_checkpoint_is_told_from_a_whole_one_and_nothing_begins_with_it(
    database: Database, actor: Actor, job_id: str, tmp_path: Path
) -> None:
    folder = AttemptDirectory.of(tmp_path, job_id, 1).checkpoints
    weights = folder / "step-00000030" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    content = bytearray((folder / "step-00000020" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "step-00000020" / "model.safetensors").write_bytes(bytes(content))
    with database.read() as session:
        found = checkpoints.list_for(session, actor, job_id, tmp_path)
    assert [(one.step, one.condition, one.newest) for one in found] == [(30, "damaged", False), (20, "whole", True), (10, "whole", False)]
    conditions = []
    for name in ("step-00000020", "step-00000010"):
        with database.write() as session:
            place = checkpoints.place_of(session, actor, job_id, name, tmp_path)
        conditions.append(checkpoints.verify(place).condition)
    assert conditions == ["damaged", "verified"]
    with database.write() as session:
        assert [one.condition for one in checkpoints.list_for(session, actor, job_id, tmp_path)] == ["damaged", "damaged", "verified"]
        with pytest.raises(checkpoints.CheckpointDamaged):
            checkpoints.continue_from(session, actor, job_id, "step-00000020", GoOn(), tmp_path)
        checkpoints.delete(session, actor, job_id, "step-00000030", tmp_path)


def test_going_on_with_other_settings_is_a_new_training_that_begins_with_those_weights(
    database: Database, actor: Actor, job_id: str, tmp_path: Path
) -> None:
    with database.write() as session:
        wanted = GoOn(spec={"learning_rate": 0.01})
        started = checkpoints.continue_from(session, actor, job_id, "step-00000020", wanted, tmp_path)
    with database.read() as session:
        plan = TrainPlan.model_validate(session.get_one(Job, started.job.id).plan)
    assert plan.start_from is not None
    assert (plan.start_from.step, plan.spec["learning_rate"], plan.spec["epochs"], plan.title) == (20, 0.01, 3.0, "خط")
    blobs.lay_out(tmp_path, plan.inputs, tmp_path / "inputs")
    assert (tmp_path / "inputs" / plan.start_from.folder / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("code", "params", "spec", "goes_on"),
    [
        ("TRAINING_DIVERGED", {"step": 4, "learning_rate": 0.5}, {"learning_rate": 0.05}, False),
        ("LOSS_EXPLODED", {"step": 4, "loss": 900, "first_loss": 1, "learning_rate": 0.5}, {"learning_rate": 0.05}, False),
        ("OUT_OF_MEMORY", {}, {"batch_size": 16, "gradient_accumulation_steps": 2}, False),
        ("GPU_OUT_OF_MEMORY", {}, {"batch_size": 16, "gradient_accumulation_steps": 2}, False),
        ("BAD_ROW", {"row": 3, "reason": "IndexError"}, {"skip_bad_rows": True}, True),
        ("TIME_LIMIT", {"limit_seconds": 60}, {}, True),
        ("ATTEMPTS_EXHAUSTED", {"attempts": 5}, {}, True),
    ],
)
def test_a_failure_is_told_with_its_evidence_and_tried_again_with_what_helps(
    database: Database, actor: Actor, job_id: str, tmp_path: Path, code: str, params: dict[str, Any], spec: dict[str, Any], goes_on: bool
) -> None:
    fail(database, job_id, code, **params)
    with database.read() as session:
        told = failures.explain(session, actor, job_id, tmp_path)
    assert (told.code, told.params, told.evidence) == (code, params, "Traceback: …")
    assert told.fix is not None
    assert told.fix.spec == spec
    with database.write() as session:
        started = failures.retry(session, actor, job_id, tmp_path, with_fix=True)
        job = session.get_one(Job, started.job.id)
        assert {name: job.plan["spec"][name] for name in spec} == spec
        assert Terms.model_validate(job.terms).time_limit_seconds == (120 if code == "TIME_LIMIT" else 60)
    assert len(names(database, actor, started.job.id, tmp_path)) == (3 if goes_on else 0)


def test_what_cannot_be_tried_again_is_refused_by_name(database: Database, actor: Actor, job_id: str, tmp_path: Path) -> None:
    stranger, viewer = person(database, Role.ADMIN, "ws_elsewhere_"), person(database, Role.VIEWER)
    with database.write() as session:
        for who, error in ((actor, failures.NothingToRetry), (stranger, NotFound)):
            with pytest.raises(error):
                failures.retry(session, who, job_id, tmp_path)
        with pytest.raises(NotFound):
            failures.explain(session, actor, job_id, tmp_path)
        jobs.stop(session, actor, job_id)
        with pytest.raises(failures.NoFix):
            failures.retry(session, actor, job_id, tmp_path, with_fix=True)
        with pytest.raises(Forbidden):
            failures.retry(session, viewer, job_id, tmp_path)
        started = failures.retry(session, actor, job_id, tmp_path)
    assert len(names(database, actor, started.job.id, tmp_path)) == 3


def recorded(database: Database, actor: Actor) -> dict[str, tuple[str, str]]:
    """Place → (id, status) of checkpoints among the assets."""
    with database.read() as session:
        return {one.place or "": (one.id, one.status) for one in uses.list_for(session, actor, kind="checkpoint").items}


def test_checkpoints_are_assets_whose_records_follow_the_disk(database: Database, actor: Actor, job_id: str, tmp_path: Path) -> None:
    looking, folder = Looking(database, load(home=tmp_path)), AttemptDirectory.of(tmp_path, job_id, 1).checkpoints
    assert (looking.look(), looking.look()) == (1, 0), "what ran before there were records is written down once"
    before = recorded(database, actor)
    assert sorted(before) == ["step-00000010", "step-00000020", "step-00000030"]
    assert {status for _, status in before.values()} == {"ready"}
    with database.read() as session:
        found = uses.show(session, actor, before["step-00000030"][0], tmp_path)
        shares = {share.name: share.size_bytes for share in storage.show(session, actor, load(home=tmp_path)).shares}
    assert (found.job_id, found.size_bytes) == (job_id, sum(entry.size_bytes for entry in found.files))
    assert shares["checkpoint"] == 3 * found.size_bytes > 0

    checkpoint.prune(folder, Keeping(last=1))
    (folder / "step-00000020" / "model.safetensors").write_bytes(b"rotten")
    saved = Saved(at=utc_now(), step=30, path="checkpoints/step-00000030", size_bytes=1)
    with database.write() as session:
        checkpoint_records.on_event(session, tmp_path, session.get_one(Job, job_id), saved)
    after = recorded(database, actor)
    assert after == {"step-00000030": before["step-00000030"], "step-00000020": (before["step-00000020"][0], "error")}

    (folder / "step-00000020").rename(folder / "damaged-step-00000020")
    with database.write() as session:
        checkpoint_records.on_event(session, tmp_path, session.get_one(Job, job_id), Resumed(at=utc_now(), from_step=30))
    assert sorted(recorded(database, actor)) == ["damaged-step-00000020", "step-00000030"]


def test_a_checkpoint_is_thrown_away_by_its_record_only_as_its_training_allows(
    database: Database, actor: Actor, job_id: str, tmp_path: Path
) -> None:
    Looking(database, load(home=tmp_path)).look()
    viewer, found = person(database, Role.VIEWER), recorded(database, actor)
    with database.write() as session:
        with pytest.raises(checkpoints.CheckpointInUse):
            trash.throw(session, actor, found["step-00000030"][0], tmp_path)
        with pytest.raises(Forbidden):
            trash.throw(session, viewer, found["step-00000010"][0], tmp_path)
        trash.throw_alone(session, actor, found["step-00000010"][0], tmp_path)
    assert sorted(recorded(database, actor)) == ["step-00000020", "step-00000030"]
    assert names(database, actor, job_id, tmp_path) == ["step-00000030", "step-00000020"]


def test_an_asset_says_who_uses_it_and_nobody_learns_what_is_private(database: Database, actor: Actor, job_id: str, tmp_path: Path) -> None:
    Looking(database, load(home=tmp_path)).look()
    with database.write() as session:
        started = checkpoints.begin_with(session, actor, recorded(database, actor)["step-00000020"][0], TrainingRequest(), tmp_path)
        plan = TrainPlan.model_validate(session.get_one(Job, started.job.id).plan)
    assert plan.start_from is not None
    assert (plan.start_from.step, plan.spec["epochs"]) == (20, 3.0), "what is left open is as it was"
    with database.write() as session:
        folder, entries = bring_in(tmp_path, make_folder(tmp_path / "bert"))
        base, other = (models.register_import(session, actor, name, folder, entries).versions[0].id for name in ("پایه", "از آن"))
        session.get_one(ModelVersion, other).base_version_id = base
    with database.read() as session:
        used = {one.place or one.name: one.used for one in uses.list_for(session, actor).items}
        data = uses.list_for(session, actor, kind="dataset").items[0]
        shown = uses.show(session, actor, data.id, tmp_path)
        ids = [{one.id for one in uses.list_for(session, actor, used=of).items} for of in (True, False, None)]
    assert (used["step-00000020"], used["step-00000030"], used["پایه"], used["از آن"]) == ({"run": 1}, {}, {"model": 1}, {})
    assert (used[data.name], [one.title for one in shown.used_by], shown.hidden) == ({"run": 2}, ["خط", "خط"], 0)
    assert (ids[0] | ids[1], ids[0] & ids[1], len(ids[0])) == (ids[2], set(), 3)
    with database.write() as session:
        session.execute(update(Run).where(Run.id == started.run_id).values(visibility="private"))
    colleague, stranger = person(database, Role.TRAINER), person(database, Role.TRAINER, "ws_elsewhere_")
    with database.read() as session:
        seen = uses.show(session, colleague, data.id, tmp_path)
        assert (seen.used, len(seen.used_by), seen.hidden) == ({"run": 2}, 1, 1)
        with pytest.raises(NotFound):
            uses.show(session, stranger, data.id, tmp_path)
        with pytest.raises(checkpoints.NotACheckpoint):
            checkpoints.begin_with(session, actor, data.id, TrainingRequest(), tmp_path)


def test_a_longer_list_of_assets_asks_no_more_questions(database: Database, actor: Actor, job_id: str, tmp_path: Path) -> None:
    Looking(database, load(home=tmp_path)).look()
    asked: list[str] = []

    def note(*about: Any) -> None:
        asked.append(about[2])

    event.listen(database.engine, "before_cursor_execute", note)
    counts = []
    for limit in (1, 4):
        with database.read() as session:
            asked.clear()
            assert len(uses.list_for(session, actor, limit=limit).items) == limit
            counts.append(len([statement for statement in asked if statement.lstrip().startswith("SELECT")]))
    event.remove(database.engine, "before_cursor_execute", note)
    assert counts == [2, 2]
