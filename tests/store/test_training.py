"""Starting a training: whole or not at all, and what its end makes."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.databases import person

from kargah.assets import blobs
from kargah.assets.tables import Asset, Blob
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Finished
from kargah.contract.plans import DatasetUse, TrainPlan
from kargah.contract.results import ModelOutput, OutputFile, TrainResult
from kargah.datasets import bundled
from kargah.datasets import service as datasets
from kargah.datasets.tables import DatasetVersion
from kargah.jobs.tables import Job
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, Forbidden, KargahError, NotFound
from kargah.models import service as models
from kargah.runs.tables import Run
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import projector, purging, service
from kargah.training.schemas import TrainingRequest, TrainingStarted


@pytest.fixture
def line(database: Database, actor: Actor, tmp_path: Path) -> str:
    """The id of the bundled table, imported for ``actor``."""
    with database.write() as session:
        return bundled.ensure_line(session, actor, tmp_path)


def start(database: Database, actor: Actor, **request: Any) -> TrainingStarted:
    with database.write() as session:
        return service.start(session, actor, TrainingRequest(**request))


def plan_of(database: Database, started: TrainingStarted) -> TrainPlan:
    with database.read() as session:
        return TrainPlan.model_validate(session.get_one(Job, started.job.id).plan)


def count(database: Database, table: type[Any]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_task_and_the_roles_are_guessed_when_not_named(database: Database, actor: Actor, line: str) -> None:
    plan = plan_of(database, start(database, actor, datasets=[line]))
    assert (plan.recipe, plan.spec["columns"]["target"], plan.title) == ("tabular", "y", "x, y")


def test_a_training_whose_network_gains_by_a_gpu_says_so_whatever_else_it_asks_for(database: Database, actor: Actor, line: str) -> None:
    def terms(**request: Any) -> dict[str, Any]:
        return start(database, actor, datasets=[line], terms={"time_limit_seconds": 60}, **request).job.terms

    texts = {"recipe": "text-classification", "spec": {"columns": {"text": "x", "label": "y"}, "preset": "transformer"}}
    assert terms(**texts) == {"time_limit_seconds": 60.0, "gains_by_gpu": True}
    small = {**texts, "spec": {**texts["spec"], "preset": "cnn"}}
    assert terms(**small) == terms() == {"time_limit_seconds": 60.0}


def test_what_was_set_is_in_the_plan_and_marked_as_chosen(database: Database, actor: Actor, line: str) -> None:
    plan = plan_of(database, start(database, actor, datasets=[line], title="خط", spec={"epochs": 3, "columns": {"target": "x"}}))
    assert (plan.title, plan.spec["epochs"], plan.spec["columns"]["target"], plan.chosen) == ("خط", 3.0, "x", ["columns", "epochs"])


def test_inputs_are_named_by_hash_and_are_all_kept(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    plan = plan_of(database, start(database, actor, datasets=[line]))
    assert [file.path for file in plan.inputs] == ["data-0/columns.json", "data-0/data.parquet"]
    blobs.lay_out(tmp_path, plan.inputs, tmp_path / "inputs")


TEXT = {"columns": {"text": "x", "label": "y"}}


@pytest.mark.parametrize(
    ("request_", "code", "field"),
    [
        ({"datasets": []}, "DATASETS_MISSING", "datasets"),
        ({"recipe": "no-such"}, "UNKNOWN_RECIPE", "recipe"),
        ({"spec": {"epochs": -1}}, "BAD_INPUT", "spec.epochs"),
        ({"spec": {"no_such_setting": 1}}, "BAD_INPUT", "spec.no_such_setting"),
        ({"spec": {"columns": {"target": "z"}}}, "COLUMN_MISSING", "spec.columns.target"),
        ({"spec": {"columns": {"nose": "x"}}}, "BAD_INPUT", "spec.columns.nose"),
        ({"spec": {"columns": ["x"]}}, "BAD_INPUT", "spec.columns"),
        ({"recipe": "text-classification", "spec": {"columns": {"text": "x"}}}, "ROLE_MISSING", "spec.columns.label"),
        ({"recipe": "text-classification", "spec": {**TEXT, "frozen_encoder": True}}, "SETTING_UNFIT", "spec.frozen_encoder"),
        ({"recipe": "masked-lm", "spec": {"columns": {"text": "x"}, "new_tokens": 9}}, "SETTING_UNFIT", "spec.new_tokens"),
        ({"base_model": "mv_none"}, "NOT_FOUND", None),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_field_and_leaves_nothing(
    database: Database, actor: Actor, line: str, request_: dict[str, Any], code: str, field: str | None
) -> None:
    with pytest.raises(KargahError) as caught:
        start(database, actor, **{"datasets": [line], **request_})
    assert caught.value.code == code
    assert caught.value.params.get("field") == field
    assert (count(database, Job), count(database, Run)) == (0, 0)


def test_a_viewer_starts_nothing_and_a_stranger_sees_no_data(database: Database, line: str) -> None:
    with pytest.raises(Forbidden):
        start(database, person(database, Role.VIEWER), datasets=[line])
    with pytest.raises(NotFound):
        start(database, person(database, Role.ADMIN, "ws_elsewhere_"), datasets=[line])


def test_the_sample_is_made_once(database: Database, actor: Actor, tmp_path: Path) -> None:
    for _ in range(2):
        with database.write() as session:
            service.start_on_sample(session, actor, TrainingRequest(), tmp_path)
    with database.read() as session:
        plans = [TrainPlan.model_validate(plan) for plan in session.scalars(select(Job.plan))]
    assert len(plans) == 2
    assert len({plan.datasets[0].version_id for plan in plans}) == 1


def test_base_models_are_refused_where_the_recipe_cannot_use_them(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    started = start(database, actor, datasets=[line])
    version_id = finish(database, started, tmp_path)
    with pytest.raises(BadInput) as caught:
        start(database, actor, datasets=[line], base_model=version_id)
    assert caught.value.code == "NOT_A_BASE_MODEL"


def test_a_teacher_is_a_model_of_a_recipe_that_takes_one_and_travels_with_the_plan(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    version_id = finish(database, start(database, actor, datasets=[line]), tmp_path, recipe="text-classification")
    with pytest.raises(BadInput) as caught:
        start(database, actor, datasets=[line], teacher_model=version_id)
    assert (caught.value.code, caught.value.params["field"]) == ("NOT_A_TEACHER", "teacher_model")
    spec = {"columns": {"text": "x", "label": "y"}}
    plan = plan_of(database, start(database, actor, datasets=[line], recipe="text-classification", spec=spec, teacher_model=version_id))
    assert plan.teacher_model is not None
    assert (plan.teacher_model.folder, plan.base_model) == ("teacher", None)
    assert "teacher/kargah.json" in [file.path for file in plan.inputs]
    assert service.request_like(plan.model_dump(mode="json")).teacher_model == version_id


def finish(database: Database, started: TrainingStarted, home: Path, recipe: str = "tabular") -> str:
    """Play the end of a training whose worker left one model."""
    with database.write() as session:
        job = session.get_one(Job, started.job.id)
        job.attempt = 1
    folder = AttemptDirectory.of(home, job.id, 1).outputs / "model"
    folder.mkdir(parents=True)
    (folder / "kargah.json").write_text("{}")
    digest = files.digest_of(folder / "kargah.json")
    file = OutputFile(path="kargah.json", sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
    model = ModelOutput(
        name="model", family="network", recipe=recipe, architecture="mlp", parameters=7, split="validation", primary_metric="r2",
        metrics={"r2": 0.5}, train_seconds=1.0, files=[file], size_bytes=2,
    )  # fmt: skip
    event = Finished(at=utc_now(), result=TrainResult(models=[model], recommended="model", primary_metric="r2", steps=3).model_dump())
    for _ in range(2):  # a crash between the two halves makes the collector do both again
        projector.prepare(home, job, event)
        with database.write() as session:
            projector.on_event(session, home, session.get_one(Job, job.id), event)
    with database.read() as session:
        return str((session.get_one(Job, job.id).result or {})["model_version_id"])


def test_a_finished_training_leaves_one_version_a_model_however_often_it_is_told(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    version_id = finish(database, start(database, actor, datasets=[line]), tmp_path)
    with database.read() as session:
        version = models.get_version_for(session, actor, version_id)
        assert len(models.list_for(session, actor).items) == 1
    assert (version.name, version.source, version.recommended, version.metrics) == ("model", "training", True, {"r2": 0.5})
    assert len(version.commit_id) == 40
    assert blobs.path_of(tmp_path, version.files[0].sha256).read_text() == "{}"


def test_versions_are_as_visible_as_their_model(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    version_id = finish(database, start(database, actor, datasets=[line]), tmp_path)
    with database.read() as session, pytest.raises(NotFound):
        models.get_version_for(session, person(database, Role.ADMIN, "ws_elsewhere_"), version_id)


def test_a_data_set_that_a_run_stands_on_is_not_deleted_for_good_and_others_leave_nothing(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    with pytest.raises(purging.NotInTrash), database.write() as session:
        purging.purge_dataset(session, actor, line)
    started = start(database, actor, datasets=[line], title="پیش‌بینی خط")
    finish(database, started, tmp_path)
    with database.write() as session:
        datasets.delete(session, actor, line)
    with pytest.raises(purging.DatasetInUse) as refusal, database.write() as session:
        purging.purge_dataset(session, actor, line)
    assert ("پیش‌بینی خط" in refusal.value.params["runs"], refusal.value.params["models"]) == (True, "پیش‌بینی خط")

    with database.write() as session:
        copy = bundled.ensure_line(session, actor, tmp_path)
        datasets.delete(session, actor, copy)
    with database.write() as session:
        assert purging.purge_dataset(session, actor, copy) == [], "the files are those of the data set that is used"
    with pytest.raises(NotFound), database.read() as session:
        datasets.get_for(session, actor, copy, trashed=True)


def test_what_is_deleted_for_good_frees_its_files(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    kept = {path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()}
    other = person(database, Role.TRAINER, actor.workspace_id)
    with database.write() as session:
        datasets.delete(session, actor, line)
    with pytest.raises(Forbidden), database.write() as session:
        purging.purge_dataset(session, other, line)
    with database.write() as session:
        freed = purging.purge_dataset(session, actor, line)
    blobs.discard(tmp_path, freed)
    assert set(freed) == kept
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    assert count(database, DatasetVersion) == count(database, Asset) == count(database, Blob) == 0


def test_several_data_sets_keep_their_weights_and_column_names_in_the_plan_and_when_done_again(
    database: Database, actor: Actor, line: str
) -> None:
    uses = [line, {"id": line, "weight": 2.5, "columns": {"target": "x"}}]
    started = start(database, actor, datasets=uses, spec={"columns": {"target": "y", "features": ["x"]}})
    plan = plan_of(database, started)
    assert [(dataset.weight, dataset.columns) for dataset in plan.datasets] == [(1, {}), (2.5, {"y": "x"})]
    again = service.request_like(plan.model_dump(mode="json"))
    assert [DatasetUse.of(use).weight for use in again.datasets] == [1, 2.5]
    assert DatasetUse.of(again.datasets[1]).columns == {"target": "x"}
    with pytest.raises(BadInput) as refusal:
        start(database, actor, datasets=[line, {"id": line, "columns": {"target": "z"}}])
    assert refusal.value.code == "COLUMN_MISSING"
    with pytest.raises(ValueError, match="greater than 0"):
        TrainingRequest(datasets=[{"id": line, "weight": 0}])
