"""A training without a server: read the data, choose the recipe, train, put the model where it was asked for."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kargah.cli import attempts, screen
from kargah.cli.errors import ColumnUnknown, FileUnreadable, NoRecipeFits, OutputExists
from kargah.cli.plan_file import PlanFile
from kargah.cli.progress import JobProgress
from kargah.cli.words import t
from kargah.contract.plans import BaseModelInput, DatasetInput, IngestPlan, TrainPlan
from kargah.contract.results import IngestResult, TrainResult
from kargah.kit import files
from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.base import Recipe
from kargah.recipes.columns import Column

_COLUMNS = TypeAdapter(list[Column])
_ROLE_OF_TARGET = {"text-classification": "label", "tabular": "target"}


@dataclass(frozen=True)
class Ingested:
    """A data set ready to train on: ``folder`` holds data.parquet and columns.json."""

    folder: Path
    title: str
    columns: list[Column]
    result: IngestResult


def train(plan: PlanFile, *, target: str | None = None) -> tuple[TrainResult, Path | None]:
    """Train as ``plan`` says. Returns the result and the folder of the recommended model (none after a dry run)."""
    output = _free_output(plan)
    with attempts.workspace() as folder:
        datasets = [_ingest(folder, number, Path(name)) for number, name in enumerate(plan.datasets, 1)]
        directory = attempts.new_attempt(folder, "train")
        worker_plan = _worker_plan(plan, datasets, directory.inputs, target)
        with JobProgress(t("cli.train.training", title=worker_plan.title), screen.console()) as progress:
            finished = attempts.run("train", directory, worker_plan.model_dump(mode="json"), progress.on_event)
        result = TrainResult.model_validate(finished)
        return result, _keep(result, directory.outputs, output)


def _worker_plan(plan: PlanFile, datasets: Sequence[Ingested], inputs: Path, target: str | None) -> TrainPlan:
    columns = datasets[0].columns
    recipe, guessed = _choose(plan.recipe, columns, target)
    roles = guessed["columns"] | dict(plan.spec.get("columns", {}))
    spec = _spec(recipe, guessed | plan.spec | {"columns": roles}, columns)
    return TrainPlan(
        job_id="local",
        threads=spec.get("threads") or attempts.usable_cores(),
        title=plan.title or datasets[0].title,
        recipe=recipe.name,
        spec=spec,
        chosen=sorted(plan.spec),
        datasets=[_lay_out(dataset, inputs, number) for number, dataset in enumerate(datasets, 1)],
        base_model=_base_model(plan.base_model, inputs),
        dry_run=plan.dry_run,
    )


def _free_output(plan: PlanFile) -> Path:
    output = plan.output or Path(f"{Path(plan.datasets[0]).stem}-model")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputExists(field="output", path=str(output))
    return output


def _ingest(folder: Path, number: int, source: Path) -> Ingested:
    if not source.is_file():
        raise FileUnreadable(path=str(source), reason=t("cli.reason.no_file"))
    directory = attempts.new_attempt(folder, f"ingest-{number}")
    name = f"data{''.join(source.suffixes[-2:])}"
    files.link_or_copy(source.resolve(), directory.inputs / name)
    plan = IngestPlan(job_id="local", threads=1, file=name, filename=source.name)
    with JobProgress(t("cli.train.reading", name=source.name), screen.console()) as progress:
        finished = attempts.run("ingest", directory, plan.model_dump(mode="json"), progress.on_event)
    result = IngestResult.model_validate(finished)
    return Ingested(directory.outputs / "dataset", source.stem, _COLUMNS.validate_python(result.columns), result)


def _lay_out(dataset: Ingested, inputs: Path, number: int) -> DatasetInput:
    name = f"dataset-{number}"
    for path in ("data.parquet", "columns.json"):
        files.link_or_copy(dataset.folder / path, inputs / name / path)
    return DatasetInput(folder=name, title=dataset.title, normaliser=dataset.result.normaliser)


def _base_model(name: str | None, inputs: Path) -> BaseModelInput | None:
    if name is None:
        return None
    source = Path(name)
    if not source.is_dir():
        raise FileUnreadable(path=name, reason=t("cli.reason.no_folder"))
    for path in sorted(source.rglob("*")):
        if path.is_file():
            files.link_or_copy(path.resolve(), inputs / "base" / path.relative_to(source))
    return BaseModelInput(folder="base", title=source.name)


def _choose(name: str | None, columns: Sequence[Column], target: str | None) -> tuple[Recipe, dict[str, Any]]:
    """The recipe, and what it proposes for these columns. A target that a person names becomes the one column to learn."""
    known = list(columns)
    if target is not None and target not in {column.name for column in known}:
        raise ColumnUnknown(field="target", column=target, known=_names(known))
    recipes = [catalogue.get(name)] if name else [recipe for recipe, _ in catalogue.guess(known)]
    for recipe in recipes:
        match = recipe.guess(known)
        if match is None:
            continue
        roles = dict(match.columns)
        role = _ROLE_OF_TARGET.get(recipe.name)
        if target is None or role is None or roles.get(role) == target:
            return recipe, match.spec | {"columns": roles}
        if target not in (roles.get("text"), roles.get("text_pair")):
            return recipe, {"columns": _aimed_at(target, role, roles)}
    raise NoRecipeFits(field="columns", columns=_names(known))


def _aimed_at(target: str, role: str, roles: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    features = roles.get("features")
    if isinstance(features, list):
        former = roles[role]
        others = [name for name in features if name != target]
        roles["features"] = [*others, *([former] if isinstance(former, str) else former)]
    return roles | {role: target}


def _spec(recipe: Recipe, values: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """The recipe's whole spec. Raises BadInput naming the field, ColumnUnknown for a column that the data does not have."""
    try:
        spec = recipe.spec.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(field=".".join(["spec", *(str(part) for part in first["loc"])]), reason=first["msg"]) from error
    known = {column.name for column in columns}
    for role, chosen in spec.columns.items():
        for name in [chosen] if isinstance(chosen, str) else chosen:
            if name not in known:
                raise ColumnUnknown(field=f"spec.columns.{role}", column=name, known=_names(columns))
    return spec.model_dump(mode="json")


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)


def others_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-others")


def _keep(result: TrainResult, outputs: Path, target: Path) -> Path | None:
    """The recommended model at ``target``; the others beside it (``others_of``), so that a comparison stays possible."""
    if result.recommended is None:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(outputs / result.recommended, target, dirs_exist_ok=True)
    for model in result.models:
        if model.name != result.recommended:
            shutil.copytree(outputs / model.name, others_of(target) / model.name, dirs_exist_ok=True)
    return target
