"""Evaluations: a model, or two, measured on rows with known answers by a job; started, found, and their tables of errors."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from kargah.assets import blobs
from kargah.contract.plans import DatasetInput, EvaluatedModel, EvaluatePlan, InputFile, TrainPlan, whole_train_plan
from kargah.contract.results import EvaluateResult
from kargah.datasets import rows
from kargah.datasets import service as datasets
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.kit.ids import new_id
from kargah.models import service as models
from kargah.models.tables import Model, ModelVersion
from kargah.recipes import catalogue, choosing, hints
from kargah.recipes.base import SPLIT, Recipe
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.errors import ColumnMissing
from kargah.runs import service as runs
from kargah.runs.tables import Run, RunInput
from kargah.store import access
from kargah.store.access import Actor
from kargah.training.schemas import EvaluationOut, EvaluationPage, EvaluationRequest, EvaluationSummary
from kargah.training.service import Chosen, ready_version
from kargah.training.tables import Evaluation

KIND = "evaluate"
PAGE = 50
ERRORS_COLUMNS = {
    "row": ColumnKind.INTEGER, "input": ColumnKind.TEXT, "expected": ColumnKind.TEXT, "answered": ColumnKind.TEXT,
    "score": ColumnKind.NUMBER, "error": ColumnKind.NUMBER,
}  # fmt: skip


class NotEvaluable(BadInput):
    """Models of ``recipe`` are not measured against given answers. ``title``: of the model."""

    code = "NOT_EVALUABLE"


class BaseNotEvaluable(BadInput):
    """``title``: a model to start from, which has learnt no task yet."""

    code = "BASE_NOT_EVALUABLE"


class ModelsUnlike(BadInput):
    """Two models that answer different kinds of questions."""

    code = "MODELS_UNLIKE"


class PartMissing(BadInput):
    """No column of ``title`` says which rows are its ``part``."""

    code = "EVALUATION_PART_MISSING"


class NothingMade(Conflict):
    """The training ``title`` made no model: it failed, was stopped, or was only tried."""

    code = "TRAINING_MADE_NOTHING"


@dataclass
class Candidate:
    """A model to be measured, ``version`` null while a training of it is under way. ``about``: as kargah.json has it, as far as known."""

    title: str
    recipe: Recipe
    about: dict[str, Any]
    version: ModelVersion | None
    run: Run | None
    trained_by: TrainPlan | None
    inputs: list[InputFile] = field(default_factory=list)
    visibility: str = "workspace"

    @property
    def kind(self) -> Any:
        """What two models must have in common."""
        return self.recipe.name, self.about.get("problem_type"), self.about.get("scheme") == "plain"


def start(session: Session, actor: Actor, request: EvaluationRequest, home: Path) -> EvaluationSummary:
    """Queue an evaluation. What can be refused is refused here, with the field named; nothing is left behind."""
    access.require_creator(actor)
    dataset, version = chosen = ready_version(session, actor, request.dataset, field="dataset")
    first = _candidate(session, actor, request.model, home, "model")
    candidates = [first, *([_candidate(session, actor, request.against, home, "against")] if request.against else [])]
    _refuse_unlike(candidates)
    plan = _plan(session, request, chosen, candidates)
    waits = [one.run.job_id for one in candidates if one.version is None and one.run is not None and one.run.job_id]
    private = "private" in {dataset.visibility, *(one.visibility for one in candidates)}
    visibility = "private" if private else "workspace"
    terms = request.terms.model_copy(update={"after": [*request.terms.after, *waits]})
    job = jobs.submit(
        session, actor, KIND, plan.title, plan.model_dump(mode="json"), priority=request.priority, visibility=visibility, terms=terms
    )
    run = first.run if first.version is None else None
    row = Evaluation(
        id=new_id("ev"), title=plan.title, recipe=plan.recipe, job_id=job.id, run_id=run.id if run else None,
        model_version_id=first.version.id if first.version else None, part=request.part, dataset_version_id=version.id,
        other_version_id=candidates[-1].version.id if request.against and candidates[-1].version else None,
        visibility=visibility, **access.owned_by(actor),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return _summary(*session.execute(_whole().where(Evaluation.id == row.id)).one())


def fill(session: Session, run_id: str, version_id: str | None) -> None:
    """A training has made its models: those who wait to evaluate it get the recommended one, before their jobs can be claimed."""
    version = session.get(ModelVersion, version_id) if version_id else None
    if version is None:
        return
    waiting = session.execute(
        select(Evaluation, Job)
        .join(Job, Job.id == Evaluation.job_id)
        .where(Evaluation.run_id == run_id, Evaluation.model_version_id.is_(None))
    )
    for row, job in waiting:
        plan = EvaluatePlan.model_validate(job.plan)
        plan.models[0].version_id = version.id
        plan.inputs += _files(plan.models[0].folder, version.files)
        job.plan, row.model_version_id = plan.model_dump(mode="json"), version.id


def show(session: Session, actor: Actor, evaluation_id: str) -> EvaluationOut:
    """Access to an evaluation is access to its data as well: its errors are rows of it."""
    found = session.execute(_whole().where(Evaluation.id == evaluation_id, *_visible(actor))).one_or_none()
    if found is None:
        raise NotFound(kind="evaluations", id=evaluation_id)
    result = EvaluateResult.model_validate(found[0].result) if found[0].result else None
    return EvaluationOut(**_summary(*found).model_dump(exclude={"result"}), result=result, **found[1].plan.get("asked", {}))


def list_for(
    session: Session, actor: Actor, *, cursor: str | None = None, limit: int = PAGE, model: str | None = None, dataset: str | None = None
) -> EvaluationPage:
    """The newest first; ``model`` and ``dataset`` are ids of either, or of one of their versions."""
    wanted = _whole().where(*_visible(actor)).order_by(Evaluation.id.desc()).limit(limit + 1)
    if cursor:
        wanted = wanted.where(Evaluation.id < cursor)
    if model:
        versions = select(ModelVersion.id).where((ModelVersion.model_id == model) | (ModelVersion.id == model))
        wanted = wanted.where(Evaluation.model_version_id.in_(versions) | Evaluation.other_version_id.in_(versions))
    if dataset:
        wanted = wanted.where((DatasetVersion.dataset_id == dataset) | (DatasetVersion.id == dataset))
    items = [_summary(*found) for found in session.execute(wanted)]
    return EvaluationPage(items=items[:limit], next_cursor=items[limit - 1].id if len(items) > limit else None)


def errors_of(session: Session, actor: Actor, evaluation_id: str, home: Path, model: int = 0) -> rows.Table:
    """The table of errors of the first model (0) or of the one that it was compared with (1), for ``rows.look`` and ``rows.export``."""
    found = show(session, actor, evaluation_id)
    if found.result is None or model >= len(found.result.models):
        raise NotFound(kind="evaluations", id=f"{evaluation_id}/errors/{model}")
    measured = found.result.models[model]
    sha256 = next(file.sha256 for file in found.result.files if file.path == measured.errors_file)
    path = blobs.path_of(home, sha256)
    if not path.is_file():
        raise blobs.FileMissing(path=measured.errors_file, sha256=sha256)
    columns = [Column(name=name, kind=kind, rows=measured.errors, distinct=0) for name, kind in ERRORS_COLUMNS.items()]
    return rows.Table(path, home, evaluation_id, model + 1, found.title, columns)


def roles_of(session: Session, actor: Actor, model: str, home: Path) -> dict[str, str | list[str]]:
    """Role → column, as the model that ``EvaluationRequest.model`` would name has learnt them. Raises what a start with it would."""
    return _roles(_candidate(session, actor, model, home, "model"))


def columns_of(session: Session, actor: Actor, dataset: str) -> list[Column]:
    """Of the version that ``EvaluationRequest.dataset`` would name."""
    return datasets.columns_of(ready_version(session, actor, dataset, field="dataset")[1])


def _candidate(session: Session, actor: Actor, given: str, home: Path, name: str) -> Candidate:
    """``given``: a version, a model, a training (also by its job)."""
    if given.startswith(("run_", "job_")):
        run = runs.get_for(session, actor, given if given.startswith("run_") else runs.show_for_job(session, actor, given).id)
        made = next(iter(models.versions_of_run(session, actor, run.id)), None)
        if made is None:
            return _under_way(session, run, name)
        given = made.id
    elif given.startswith("mdl_"):
        model = models.get_for(session, actor, given)
        versions = [one for one in model.versions if one.recommended] or model.versions
        if not versions:
            raise NotFound(kind="models", id=given)
        given = versions[0].id
    models.get_version_for(session, actor, given)
    version = session.get_one(ModelVersion, given)
    return _made(session, version, session.get_one(Model, version.model_id), home, name)


def _under_way(session: Session, run: Run, name: str) -> Candidate:
    job = session.get(Job, run.job_id) if run.job_id else None
    if name != "model" or job is None or job.state in TERMINAL or run.tags.get("dry_run"):
        raise NothingMade(field=name, title=run.title)
    plan = whole_train_plan(job.plan)
    if plan is None:
        raise NothingMade(field=name, title=run.title)
    recipe = _evaluable(plan.recipe, run.title, name)
    return Candidate(run.title, recipe, {"columns": plan.spec["columns"]}, None, run, plan, visibility=run.visibility)


def _made(session: Session, version: ModelVersion, model: Model, home: Path, name: str) -> Candidate:
    entry = next((entry for entry in version.files if entry["path"] == "kargah.json"), None)
    if entry is None or version.recipe is None:
        raise BaseNotEvaluable(field=name, title=model.title)
    recipe = _evaluable(version.recipe, model.title, name)
    path = blobs.path_of(home, entry["sha256"])
    if not path.is_file():
        raise blobs.FileMissing(path="kargah.json", sha256=entry["sha256"])
    run = session.get(Run, version.run_id) if version.run_id else None
    job = session.get(Job, run.job_id) if run and run.job_id else None
    title = f"{model.title} · {version.name}"
    trained_by = whole_train_plan(job.plan) if job is not None else None
    try:
        about = json.loads(path.read_bytes())
    except ValueError:
        about = None
    if not isinstance(about, dict) or not isinstance(about.get("columns"), dict):
        raise BaseNotEvaluable(field=name, title=model.title)
    return Candidate(title, recipe, about, version, run, trained_by, _files("", version.files), model.visibility)


def _evaluable(recipe_name: str, title: str, name: str) -> Recipe:
    recipe = catalogue.get(recipe_name)
    if not recipe.evaluates:
        raise NotEvaluable(field=name, title=title, recipe=recipe_name)
    return recipe


def _refuse_unlike(candidates: list[Candidate]) -> None:
    first, other = candidates[0], candidates[-1]
    if first.recipe.name != other.recipe.name or (first.version and first.kind != other.kind):
        raise ModelsUnlike(field="against", title=first.title, other=other.title)


def _plan(session: Session, request: EvaluationRequest, chosen: Chosen, candidates: list[Candidate]) -> EvaluatePlan:
    dataset, version = chosen
    columns = datasets.columns_of(version)
    if request.part != "all" and not any(hints.is_split(column) for column in columns):
        raise PartMissing(field="part", title=dataset.title, part=request.part)
    roles = _roles(candidates[0])
    own = choosing.in_line(candidates[0].recipe, roles, dataset.title, columns, request.columns)
    inputs = [file for file in _files("data", version.files or []) if Path(file.path).name in {"data.parquet", "columns.json"}]
    evaluated = []
    for number, one in enumerate(candidates):
        folder, taught = f"model-{number}", _taught(session, one, dataset.id)
        inputs += [file.model_copy(update={"path": f"{folder}/{file.path}"}) for file in one.inputs]
        inputs += [file.model_copy(update={"path": f"taught-{number}/{file.path}"}) for file in taught]
        name = f"taught-{number}" if taught else None
        evaluated.append(EvaluatedModel(folder=folder, version_id=one.version.id if one.version else "", title=one.title, taught=name))
    data = DatasetInput(
        folder="data", version_id=version.id, title=dataset.title, licence=dataset.licence, columns=own, normaliser=version.normaliser
    )
    return EvaluatePlan(
        job_id="", title=request.title or f"{candidates[0].title} ← {dataset.title}"[:300], recipe=candidates[0].recipe.name, inputs=inputs,
        models=evaluated, dataset=data, part=request.part, slices=_slices(request, columns, own),
        asked=request.model_dump(mode="json", include={"columns", "slices"}, exclude_defaults=True),
    )  # fmt: skip


def _roles(candidate: Candidate) -> dict[str, str | list[str]]:
    """As the model learnt them. A list of one column is that column."""
    told = {role: taken for role, taken in candidate.about["columns"].items() if taken and role != SPLIT.name}
    return {role: taken[0] if isinstance(taken, list) and len(taken) == 1 else taken for role, taken in told.items()}


def _taught(session: Session, candidate: Candidate, dataset_id: str) -> list[InputFile]:
    """All that the model's training was given, where a version of this data set was among it."""
    if candidate.run is None or candidate.trained_by is None:
        return []
    of_dataset = select(DatasetVersion.id).where(DatasetVersion.dataset_id == dataset_id)
    known = select(RunInput.run_id).where(RunInput.run_id == candidate.run.id, RunInput.dataset_version_id.in_(of_dataset))
    if session.scalar(known.limit(1)) is None:
        return []
    folders = tuple(f"{dataset.folder}/" for dataset in candidate.trained_by.datasets)
    return [file for file in candidate.trained_by.inputs if file.path.startswith(folders)]


def _slices(request: EvaluationRequest, columns: list[Column], own: dict[str, str]) -> list[str]:
    """By the names that the columns have once they stand in line with the training's."""
    names = {column.name for column in columns}
    wanted = request.slices if request.slices is not None else [column.name for column in columns if hints.named_exactly(column, "source")]
    for name in wanted:
        if name not in names:
            raise ColumnMissing(field="slices", column=name, known=", ".join(sorted(names)))
    learnt = {present: new for new, present in own.items()}
    return sorted({learnt.get(name, name) for name in wanted})


def _files(folder: str, entries: list[Any]) -> list[InputFile]:
    prefix = f"{folder}/" if folder else ""
    return [InputFile(path=f"{prefix}{entry['path']}", sha256=entry["sha256"], size_bytes=entry["size_bytes"]) for entry in entries]


_MADE, _OTHER = aliased(ModelVersion), aliased(ModelVersion)
_MODEL, _OTHER_MODEL = aliased(Model), aliased(Model)


def _whole() -> Any:
    """(evaluation, job, data set version, data set, title and name of the model, those of the other, title of the run)."""
    return (
        select(Evaluation, Job, DatasetVersion, Dataset, _MODEL.title, _MADE.name, _OTHER_MODEL.title, _OTHER.name, Run.title)
        .join(Job, Job.id == Evaluation.job_id)
        .join(DatasetVersion, DatasetVersion.id == Evaluation.dataset_version_id)
        .join(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .outerjoin(_MADE, _MADE.id == Evaluation.model_version_id)
        .outerjoin(_MODEL, _MODEL.id == _MADE.model_id)
        .outerjoin(_OTHER, _OTHER.id == Evaluation.other_version_id)
        .outerjoin(_OTHER_MODEL, _OTHER_MODEL.id == _OTHER.model_id)
        .outerjoin(Run, Run.id == Evaluation.run_id)
    )


def _visible(actor: Actor) -> tuple[Any, ...]:
    return access.visible_to(actor, Evaluation), access.visible_to(actor, Dataset)


def _summary(
    row: Evaluation, job: Job, version: DatasetVersion, dataset: Dataset, title: str | None, name: str | None, other: str | None,
    other_name: str | None, run_title: str | None,
) -> EvaluationSummary:  # fmt: skip
    result = EvaluateResult.model_validate(row.result) if row.result else None
    metric = result.primary_metric if result else None
    return EvaluationSummary(
        id=row.id, title=row.title, recipe=row.recipe, job=JobOut.model_validate(job), run_id=row.run_id, part=row.part,
        model_version_id=row.model_version_id, model_title=f"{title} · {name}" if title else run_title,
        other_version_id=row.other_version_id,
        other_title=f"{other} · {other_name}" if other else None, dataset_id=dataset.id, dataset_version_id=version.id,
        dataset_title=dataset.title, dataset_number=version.number, primary_metric=metric,
        primary=result.models[0].metrics.get(metric) if result and metric else None,
        verdict=result.paired.verdict if result and result.paired else None,
        owner_id=row.owner_id, created_at=row.created_at, finished_at=job.finished_at,
    )  # fmt: skip
