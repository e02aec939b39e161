"""A training without a server: read the data, choose the recipe, train, put the model where it was asked for."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kargah.cli import attempts, screen
from kargah.cli.errors import FileUnreadable, OutputExists
from kargah.cli.plan_file import PlanFile
from kargah.cli.progress import JobProgress
from kargah.cli.words import t
from kargah.contract.plans import BaseModelInput, DatasetInput, DatasetUse, IngestPlan, TrainPlan
from kargah.contract.results import IngestResult, TrainResult
from kargah.hardware.profile import usable_cores
from kargah.kit import files
from kargah.recipes import choosing
from kargah.recipes.base import Recipe
from kargah.recipes.columns import Column

_COLUMNS = TypeAdapter(list[Column])


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
        directory = attempts.new_attempt(folder, "train")
        with attempts.ahead("train", directory, _threads(plan.spec), _imports(plan.base_model)) as worker:
            datasets = [_ingest(folder, number, Path(DatasetUse.of(given).id)) for number, given in enumerate(plan.datasets, 1)]
            worker_plan = _worker_plan(plan, datasets, directory.inputs, target)
            with JobProgress(t("cli.train.training", title=worker_plan.title), screen.console()) as progress:
                finished = attempts.run("train", directory, worker_plan.model_dump(mode="json"), progress.on_event, worker)
        result = TrainResult.model_validate(finished)
        return result, _keep(result, directory.outputs, output)


def _threads(spec: dict[str, Any]) -> int:
    wanted = spec.get("threads")
    return wanted if isinstance(wanted, int) else usable_cores()


def _imports(base_model: str | None) -> list[str]:
    """What the training will surely need, and takes seconds to import: that is done while the data are read."""
    if base_model is None:
        return ["torch"]
    try:
        family = str(files.read_json(Path(base_model) / "config.json")["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return ["torch"]  # the worker says what is wrong with it
    return ["torch", f"transformers.models.{family.replace('-', '_')}.modeling_{family.replace('-', '_')}", "safetensors.torch"]


def _worker_plan(plan: PlanFile, datasets: Sequence[Ingested], inputs: Path, target: str | None) -> TrainPlan:
    columns = datasets[0].columns
    recipe, match = choosing.choose(plan.recipe, columns, target)
    spec = choosing.complete(recipe, match, plan.spec, columns, target)
    return TrainPlan(
        job_id="local",
        threads=_threads(spec),
        title=plan.title or datasets[0].title,
        recipe=recipe.name,
        spec=spec,
        chosen=sorted(plan.spec),
        datasets=_mixed(plan, datasets, inputs, recipe, spec),
        base_model=_model(plan.base_model, inputs, "base"),
        teacher_model=_model(plan.teacher_model, inputs, "teacher"),
        dry_run=plan.dry_run,
    )


def _free_output(plan: PlanFile) -> Path:
    output = plan.output or Path(f"{Path(DatasetUse.of(plan.datasets[0]).id).stem}-model")
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


def _mixed(plan: PlanFile, datasets: Sequence[Ingested], inputs: Path, recipe: Recipe, spec: dict[str, Any]) -> list[DatasetInput]:
    """Each with its weight and with what its columns are called in the first."""
    mixed = []
    for number, (given, dataset) in enumerate(zip(plan.datasets, datasets, strict=True), 1):
        use, laid_out = DatasetUse.of(given), _lay_out(dataset, inputs, number)
        own = choosing.in_line(recipe, spec["columns"], dataset.title, dataset.columns, use.columns) if number > 1 else {}
        mixed.append(laid_out.model_copy(update={"weight": use.weight, "columns": own}))
    return mixed


def _lay_out(dataset: Ingested, inputs: Path, number: int) -> DatasetInput:
    name = f"dataset-{number}"
    for path in ("data.parquet", "columns.json"):
        files.link_or_copy(dataset.folder / path, inputs / name / path)
    return DatasetInput(folder=name, title=dataset.title, normaliser=dataset.result.normaliser)


def _model(name: str | None, inputs: Path, folder: str) -> BaseModelInput | None:
    if name is None:
        return None
    source = Path(name)
    if not source.is_dir():
        raise FileUnreadable(path=name, reason=t("cli.reason.no_folder"))
    for path in sorted(source.rglob("*")):
        if path.is_file():
            files.link_or_copy(path.resolve(), inputs / folder / path.relative_to(source))
    return BaseModelInput(folder=folder, title=source.name)


def others_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-others")


def _keep(result: TrainResult, outputs: Path, target: Path) -> Path | None:
    """The recommended model at ``target``; the others beside it (``others_of``), so that a comparison stays possible."""
    if result.recommended is None:
        return None
    _move(outputs / result.recommended, target)
    for model in result.models:
        if model.name != result.recommended:
            _move(outputs / model.name, others_of(target) / model.name)
    return target


def _move(source: Path, target: Path) -> None:
    """What is in one folder into the other, which may be there; copied only where they are on different disks."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if (there := target / path.name).is_dir():
            shutil.rmtree(there)
        shutil.move(path, there)
