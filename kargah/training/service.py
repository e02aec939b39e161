"""Starting a training: a request becomes a whole, checked plan, a queued job and its run, in one transaction."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from kargah.contract.plans import BaseModelInput, CheckpointInput, DatasetInput, DatasetUse, InputFile, TrainPlan
from kargah.datasets import bundled
from kargah.datasets import service as datasets
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.recipes import choosing
from kargah.recipes.base import Recipe
from kargah.recipes.columns import Column
from kargah.runs import service as runs
from kargah.runs.tables import checkpoint_key
from kargah.store import access
from kargah.store.access import Actor
from kargah.training.schemas import TrainingRequest, TrainingStarted

Chosen = tuple[Dataset, DatasetVersion]
Mixed = tuple[Dataset, DatasetVersion, float, dict[str, str]]


class DatasetsMissing(BadInput):
    code = "DATASETS_MISSING"


class DatasetNotReady(Conflict):
    code = "DATASET_NOT_READY"


class NotABaseModel(BadInput):
    code = "NOT_A_BASE_MODEL"


class NotATeacher(BadInput):
    code = "NOT_A_TEACHER"


@dataclass(frozen=True)
class Beginning:
    """What a training takes over from another: weights to begin with, among its ``inputs``; into how many passes a batch is cut."""

    start_from: CheckpointInput | None = None
    inputs: list[InputFile] = field(default_factory=list)
    memory_splits: int = 1

    @classmethod
    def of(cls, plan: dict[str, Any]) -> "Beginning":
        """That of a training which is to be done again."""
        begun = TrainPlan.model_validate(plan)
        if begun.start_from is None:
            return cls(memory_splits=begun.memory_splits)
        inputs = [file for file in begun.inputs if file.path.startswith(f"{begun.start_from.folder}/")]
        return cls(begun.start_from, inputs, begun.memory_splits)


FRESH = Beginning()


def start(session: Session, actor: Actor, request: TrainingRequest, beginning: Beginning = FRESH) -> TrainingStarted:
    """Queue a training. Everything that can be refused is refused here, with the field named; nothing is left behind."""
    access.require_creator(actor)
    uses = [DatasetUse.of(given) for given in request.datasets]
    chosen = [ready_version(session, actor, use.id) for use in uses]
    if not chosen:
        raise DatasetsMissing(field="datasets")
    columns = _columns(chosen[0])
    recipe, match = choosing.choose(request.recipe, columns)
    base = _base_model(session, actor, recipe, request.base_model)
    teacher = _teacher(session, actor, recipe, request.teacher_model)
    spec = choosing.complete(recipe, match, request.spec, columns)
    whole = recipe.spec.model_validate(spec)
    recipe.check(whole, base is not None)
    title = request.title or chosen[0][0].title
    plan = _plan(recipe, title, spec, request, _mixed(recipe, spec, uses, chosen), base)
    plan.teacher_model = _model_input(plan.inputs, "teacher", teacher)
    plan.inputs += beginning.inputs
    plan.start_from, plan.memory_splits = beginning.start_from, beginning.memory_splits
    job = jobs.submit(
        session,
        actor,
        "train",
        title,
        plan.model_dump(mode="json"),
        threads_wanted=spec.get("threads"),
        priority=request.priority,
        terms=request.terms.model_copy(update={"gains_by_gpu": recipe.gains_by_gpu(whole, base is not None)}),
    )
    versions = [version.id for _, version in chosen]
    run = runs.create_for_job(
        session, actor, job, recipe.name, dataset_version_ids=versions, sources=sources_of(plan), tags={"dry_run": request.dry_run}
    )
    return TrainingStarted(job=JobOut.model_validate(job), run_id=run.id)


def sources_of(plan: TrainPlan) -> list[str]:
    """What it begins with and learns from besides data."""
    models = [model.version_id for model in (plan.base_model, plan.teacher_model) if model is not None and model.version_id]
    begun = plan.start_from
    return [*models, *([] if begun is None else [checkpoint_key(begun.job_id, begun.step)])]


def start_on_sample(session: Session, actor: Actor, request: TrainingRequest, home: Path) -> TrainingStarted:
    """The documented routes train the bundled x,y table when no data is named."""
    return start(session, actor, request.model_copy(update={"datasets": [bundled.ensure_line(session, actor, home)]}))


def request_like(plan: dict[str, Any]) -> TrainingRequest:
    """The same data and all that was chosen; what was decided from the data is decided again, to the same effect."""
    done = TrainPlan.model_validate(plan)
    return TrainingRequest(
        recipe=done.recipe,
        title=done.title,
        datasets=[_use_like(done, dataset) for dataset in done.datasets if dataset.version_id],
        base_model=done.base_model.version_id if done.base_model else None,
        teacher_model=done.teacher_model.version_id if done.teacher_model else None,
        spec={name: done.spec[name] for name in done.chosen if name in done.spec},
        dry_run=done.dry_run,
    )


def _use_like(done: TrainPlan, dataset: DatasetInput) -> str | DatasetUse:
    """The same data set in the same way."""
    own = {role: dataset.columns[name] for role, name in done.spec["columns"].items() if isinstance(name, str) and name in dataset.columns}
    version_id = dataset.version_id or ""
    return DatasetUse(id=version_id, weight=dataset.weight, columns=own) if own or dataset.weight != 1 else version_id


def ready_version(session: Session, actor: Actor, given: str, field: str = "datasets") -> Chosen:
    """``given`` is a data set (its current version is meant) or a version."""
    version = session.get(DatasetVersion, given)
    dataset = datasets.get_for(session, actor, version.dataset_id if version else given)
    if version is None and dataset.current_version_id:
        version = session.get(DatasetVersion, dataset.current_version_id)
    if version is None or version.state != "READY":
        raise DatasetNotReady(field=field, title=dataset.title)
    row = session.get(Dataset, version.dataset_id)
    if row is None:
        raise NotFound(kind="datasets", id=given)
    return row, version


def dataset_input(session: Session, actor: Actor, given: str, folder: str) -> tuple[DatasetInput, list[InputFile]]:
    """A data set as it is, for ``inputs/<folder>``, with its files. Raises NotFound, DatasetNotReady."""
    dataset, version = ready_version(session, actor, given)
    files = _inputs(folder, version.files or [], {"data.parquet", "columns.json"})
    told = {"title": dataset.title, "licence": dataset.licence, "normaliser": version.normaliser}
    return DatasetInput(folder=folder, version_id=version.id, **told), files


def _columns(chosen: Chosen) -> list[Column]:
    return [Column.model_validate(column) for column in chosen[1].columns or []]


def _mixed(recipe: Recipe, spec: dict[str, Any], uses: list[DatasetUse], chosen: list[Chosen]) -> list[Mixed]:
    """Each data set with its weight and with what its columns are called in the first, whose roles are the training's."""
    mixed: list[Mixed] = []
    for number, (use, (dataset, version)) in enumerate(zip(uses, chosen, strict=True)):
        own = choosing.in_line(recipe, spec["columns"], dataset.title, _columns((dataset, version)), use.columns) if number else {}
        mixed.append((dataset, version, use.weight, own))
    return mixed


def _base_model(session: Session, actor: Actor, recipe: Recipe, version_id: str | None) -> ModelVersionOut | None:
    if version_id is None:
        return None
    version = models.get_version_for(session, actor, version_id)
    if "base_model" not in recipe.starts_from or version.family not in {"base", "network"}:
        raise NotABaseModel(field="base_model", recipe=recipe.name, id=version_id)
    return version


def _teacher(session: Session, actor: Actor, recipe: Recipe, version_id: str | None) -> ModelVersionOut | None:
    """Any model of the same recipe; whether its labels are those of the data is seen when the data is read."""
    if not version_id:
        return None
    version = models.get_version_for(session, actor, version_id)
    if not recipe.learns_from_teachers or version.recipe != recipe.name:
        raise NotATeacher(field="teacher_model", recipe=recipe.name, id=version_id)
    return version


def _plan(
    recipe: Recipe, title: str, spec: dict[str, Any], request: TrainingRequest, mixed: list[Mixed], base: ModelVersionOut | None
) -> TrainPlan:
    inputs: list[InputFile] = []
    dataset_inputs = []
    for number, (dataset, version, weight, columns) in enumerate(mixed):
        folder = f"data-{number}"
        inputs += _inputs(folder, version.files or [], {"data.parquet", "columns.json"})
        dataset_inputs.append(
            DatasetInput(
                folder=folder,
                version_id=version.id,
                title=dataset.title,
                licence=dataset.licence,
                weight=weight,
                columns=columns,
                normaliser=version.normaliser,
            )
        )
    base_input = _model_input(inputs, "base", base)
    return TrainPlan(
        job_id="",
        title=title,
        recipe=recipe.name,
        spec=spec,
        chosen=sorted(request.spec),
        inputs=inputs,
        datasets=dataset_inputs,
        base_model=base_input,
        dry_run=request.dry_run,
    )


def _model_input(inputs: list[InputFile], folder: str, version: ModelVersionOut | None) -> BaseModelInput | None:
    """Its files go to ``inputs`` as well."""
    if version is None:
        return None
    inputs += _inputs(folder, [file.model_dump() for file in version.files], None)
    return BaseModelInput(folder=folder, version_id=version.id, title=version.architecture, licence=version.licence)


def _inputs(folder: str, entries: list[Any], wanted: set[str] | None) -> list[InputFile]:
    return [
        InputFile(path=f"{folder}/{entry['path']}", sha256=entry["sha256"], size_bytes=entry["size_bytes"])
        for entry in entries
        if wanted is None or entry["path"] in wanted
    ]
