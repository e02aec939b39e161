"""Evaluations: refused before they start, filled in after a training, kept with their errors, and as hidden as their data."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.databases import person

from kargah.assets import blobs
from kargah.assets.tables import Blob
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Finished
from kargah.contract.plans import EvaluatePlan
from kargah.contract.results import EvaluateResult, Measured, ModelMeasured, ModelOutput, OutputFile, TrainResult
from kargah.datasets import bundled
from kargah.datasets.tables import Dataset
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.jobs.tables import Dependency, Job
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden, KargahError, NotFound
from kargah.models import service as models
from kargah.models.tables import ModelVersion
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import comparing, evaluated, evaluations, projector, purging, service
from kargah.training.schemas import EvaluationRequest, EvaluationSummary, TrainingRequest, TrainingStarted
from kargah.training.tables import Evaluation

ABOUT = {"columns": {"target": "y", "features": ["x"]}, "problem_type": "regression"}


@pytest.fixture
def line(database: Database, actor: Actor, tmp_path: Path) -> str:
    with database.write() as session:
        return bundled.ensure_line(session, actor, tmp_path)


def train(database: Database, actor: Actor, line: str) -> TrainingStarted:
    with database.write() as session:
        return service.start(session, actor, TrainingRequest(datasets=[line]))


def finish(database: Database, started: TrainingStarted, home: Path, about: dict[str, Any] = ABOUT, recipe: str = "tabular") -> str:
    """Play the end of a training whose worker left one model. Returns its version."""
    with database.write() as session:
        job = session.get_one(Job, started.job.id)
        job.attempt = 1
    file = written(AttemptDirectory.of(home, job.id, 1).outputs / "model" / "kargah.json", json.dumps(about))
    model = ModelOutput(
        name="model", family="network", recipe=recipe, architecture="mlp", parameters=7, split="validation", primary_metric="r2",
        metrics={"r2": 0.5}, train_seconds=1.0, files=[file], size_bytes=2,
    )  # fmt: skip
    event = Finished(at=utc_now(), result=TrainResult(models=[model], recommended="model", primary_metric="r2", steps=3).model_dump())
    projector.prepare(home, job, event)
    with database.write() as session:
        projector.on_event(session, home, session.get_one(Job, job.id), event)
        return str(session.scalars(select(ModelVersion.id).where(ModelVersion.run_id == started.run_id)).one())


def written(path: Path, text: str) -> OutputFile:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    digest = files.digest_of(path)
    return OutputFile(path=path.name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)


def evaluate(database: Database, actor: Actor, home: Path, **request: Any) -> EvaluationSummary:
    with database.write() as session:
        return evaluations.start(session, actor, EvaluationRequest(**request), home)


def plan_of(database: Database, started: EvaluationSummary) -> EvaluatePlan:
    with database.read() as session:
        return EvaluatePlan.model_validate(session.get_one(Job, started.job.id).plan)


def test_the_plan_names_all_by_hash_and_brings_what_taught_the_model(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    version = finish(database, train(database, actor, line), tmp_path)
    started = evaluate(database, actor, tmp_path, model=version, dataset=line)
    plan = plan_of(database, started)
    assert (started.job.kind, started.job.state, started.model_version_id) == ("evaluate", State.QUEUED, version)
    assert (plan.recipe, plan.models[0].version_id, plan.models[0].taught, plan.dataset.columns) == ("tabular", version, "taught-0", {})
    blobs.lay_out(tmp_path, plan.inputs, tmp_path / "inputs")
    assert (tmp_path / "inputs" / "model-0" / "kargah.json").is_file()
    assert (tmp_path / "inputs" / "taught-0" / "data-0" / "data.parquet").is_file()
    with database.read() as session:
        found = evaluations.list_for(session, actor, model=version, dataset=line).items
        assert [one.id for one in found] == [started.id]
        assert evaluations.list_for(session, actor, dataset="ds_none").items == []


def test_columns_of_other_names_stand_for_the_models_own_where_one_says_so(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    about = {**ABOUT, "columns": {"target": "price", "features": ["x"]}}
    version = finish(database, train(database, actor, line), tmp_path, about)
    with pytest.raises(KargahError) as refusal:
        evaluate(database, actor, tmp_path, model=version, dataset=line, columns={"target": "z"})
    assert refusal.value.code == "COLUMN_MISSING"
    started = evaluate(database, actor, tmp_path, model=version, dataset=line, columns={"target": "y"})
    assert plan_of(database, started).dataset.columns == {"price": "y"}


@pytest.mark.parametrize(
    ("wish", "code", "field"),
    [
        ({"model": "mv_none"}, "NOT_FOUND", None),
        ({"dataset": "ds_none"}, "NOT_FOUND", None),
        ({"part": "test"}, "EVALUATION_PART_MISSING", "part"),
        ({"slices": ["nowhere"]}, "COLUMN_MISSING", "slices"),
        ({"model": "text"}, "NOT_EVALUABLE", "model"),
        ({"against": "text"}, "NOT_EVALUABLE", "against"),
        ({"against": "tags"}, "MODELS_UNLIKE", "against"),
        ({"model": "bare"}, "BASE_NOT_EVALUABLE", "model"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_its_field_and_leaves_nothing(
    database: Database, actor: Actor, line: str, tmp_path: Path, wish: dict[str, str], code: str, field: str | None
) -> None:
    made = {
        name: finish(database, train(database, actor, line), tmp_path, about, recipe)
        for name, about, recipe in (
            ("good", ABOUT, "tabular"), ("text", ABOUT, "causal-lm"), ("tags", ABOUT, "token-classification"), ("bare", {}, "tabular"),
        )
        if name == "good" or name in wish.values()
    }  # fmt: skip
    asked = {"model": "good", "dataset": line, **wish}
    with pytest.raises(KargahError) as refusal:
        evaluate(
            database,
            actor,
            tmp_path,
            **{name: made.get(value, value) if isinstance(value, str) else value for name, value in asked.items()},
        )
    assert (refusal.value.code, refusal.value.params.get("field")) == (code, field)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Evaluation)) == 0
        assert session.scalar(select(func.count()).where(Job.kind == "evaluate")) == 0


def test_an_evaluation_after_a_training_waits_for_it_and_gets_the_model_that_it_made(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    training = train(database, actor, line)
    started = evaluate(database, actor, tmp_path, model=training.run_id, dataset=line)
    assert (started.model_version_id, started.run_id) == (None, training.run_id)
    with database.read() as session:
        assert list(session.scalars(select(Dependency.after_id).where(Dependency.job_id == started.job.id))) == [training.job.id]
    version = finish(database, training, tmp_path)
    plan = plan_of(database, started)
    assert (plan.models[0].version_id, plan.models[0].taught) == (version, "taught-0")
    assert "model-0/kargah.json" in [file.path for file in plan.inputs]
    with database.read() as session:
        assert evaluations.show(session, actor, started.id).model_version_id == version


def test_a_training_that_made_nothing_is_no_model(database: Database, actor: Actor, line: str, tmp_path: Path) -> None:
    training = train(database, actor, line)
    with database.write() as session:
        jobs.stop(session, actor, training.job.id)
    with pytest.raises(evaluations.NothingMade):
        evaluate(database, actor, tmp_path, model=training.job.id, dataset=line)


def end(database: Database, started: EvaluationSummary, home: Path) -> str:
    """Play the end of the job. Returns the hash of its table of errors."""
    with database.write() as session:
        job = session.get_one(Job, started.job.id)
        job.attempt, job.state = 1, State.COMPLETED
    file = written(AttemptDirectory.of(home, job.id, 1).outputs / "evaluation" / "errors-0.parquet", started.id)
    measured = ModelMeasured(
        version_id=started.model_version_id or "", title="x", metrics={"r2": Measured(value=0.5)}, slices=[], errors=1,
        errors_file="errors-0.parquet",
    )  # fmt: skip
    result = EvaluateResult(rows=2, left_out={}, primary_metric="r2", lower_is_better=False, models=[measured], files=[file])
    event = Finished(at=utc_now(), result=result.model_dump(mode="json"))
    for _ in range(2):  # a crash between the two halves makes the collector do both again
        evaluated.prepare(home, job, event)
        with database.write() as session:
            evaluated.on_event(session, home, session.get_one(Job, job.id), event)
    return file.sha256


def test_what_was_found_is_kept_until_it_is_deleted_and_frees_its_files(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    version = finish(database, train(database, actor, line), tmp_path)
    started = evaluate(database, actor, tmp_path, model=version, dataset=line)
    with pytest.raises(purging.StillEvaluating), database.write() as session:
        purging.purge_evaluation(session, actor, started.id)
    with pytest.raises(comparing.NotEvaluatedYet), database.read() as session:
        comparing.pair_of(session, actor, started.id, started.id, tmp_path)
    sha256 = end(database, started, tmp_path)
    with database.read() as session:
        found = evaluations.show(session, actor, started.id)
        assert (found.primary_metric, found.primary and found.primary.value) == ("r2", 0.5)
        assert evaluations.errors_of(session, actor, started.id, tmp_path).path.read_text() == started.id
        with pytest.raises(NotFound):
            evaluations.errors_of(session, actor, started.id, tmp_path, 1)
        with pytest.raises(comparing.OutcomesNotKept):
            comparing.pair_of(session, actor, started.id, started.id, tmp_path)
    other = person(database, Role.TRAINER, actor.workspace_id)
    with pytest.raises(Forbidden), database.write() as session:
        purging.purge_evaluation(session, other, started.id)
    with database.write() as session:
        assert purging.purge_evaluation(session, actor, started.id) == [sha256]
    with database.read() as session:
        assert session.get(Blob, sha256) is None
        with pytest.raises(NotFound):
            evaluations.show(session, actor, started.id)


def test_a_model_stays_while_it_is_to_be_evaluated_and_takes_what_was_found_with_it(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    version = finish(database, train(database, actor, line), tmp_path)
    started = evaluate(database, actor, tmp_path, model=version, dataset=line)
    with database.write() as session:
        model_id = session.get_one(ModelVersion, version).model_id
        models.delete(session, actor, model_id)
    with pytest.raises(purging.ModelInUse) as refusal, database.write() as session:
        purging.purge_model(session, actor, model_id)
    assert started.title in refusal.value.params["jobs"]
    sha256 = end(database, started, tmp_path)
    with database.write() as session:
        assert sha256 in purging.purge_model(session, actor, model_id)
    with database.read() as session:
        assert session.get(Evaluation, started.id) is None


def test_an_evaluation_is_as_hidden_as_its_data_and_started_by_no_viewer_or_stranger(
    database: Database, actor: Actor, line: str, tmp_path: Path
) -> None:
    version = finish(database, train(database, actor, line), tmp_path)
    started = evaluate(database, actor, tmp_path, model=version, dataset=line)
    colleague = person(database, Role.TRAINER, actor.workspace_id)
    with database.read() as session:
        assert evaluations.show(session, colleague, started.id).id == started.id
    for stranger, error in ((person(database, Role.VIEWER), Forbidden), (person(database, Role.ADMIN, "ws_elsewhere_"), NotFound)):
        with pytest.raises(error):
            evaluate(database, stranger, tmp_path, model=version, dataset=line)
    owner = replace(actor, role=Role.TRAINER)
    with database.write() as session:
        session.get_one(Dataset, line).visibility = "private"
    with database.read() as session:
        assert evaluations.show(session, owner, started.id).id == started.id
        assert evaluations.list_for(session, colleague).items == []
        with pytest.raises(NotFound):
            evaluations.show(session, colleague, started.id)
        with pytest.raises(NotFound):
            comparing.pair_of(session, colleague, started.id, started.id, tmp_path)
    private = evaluate(database, owner, tmp_path, model=version, dataset=line)
    assert private.job.visibility == "private"
