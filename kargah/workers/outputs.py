"""The folder of a finished model: ``outputs/<name>/``, complete in itself, every file hashed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.contract.plans import TrainPlan
from kargah.contract.results import Interval, ModelOutput, OutputFile
from kargah.kit import files
from kargah.recipes.measures import Evaluation
from kargah.recipes.runtime import Prepared
from kargah.workers import cards
from kargah.workers.edge import environment


@dataclass(frozen=True)
class Made:
    """A model that was just made, whatever its kind. ``evaluation`` is what is told of it, ``validation_value`` what it is chosen by,
    with its standard error where the model has learnt again since."""

    name: str
    family: str
    architecture: str
    parameters: int
    evaluation: Evaluation
    validation_value: float | None
    train_seconds: float
    validation_error: float | None = None


def describe(folder: Path, made: Made, prepared: Prepared, plan: TrainPlan, recipe_version: int, settings: dict[str, Any]) -> ModelOutput:
    """Write all that stands beside the weights, hash everything, and return the record of it."""
    problem = prepared.problem
    about = {"recipe": plan.recipe, "recipe_version": recipe_version, "name": made.name, "family": made.family}
    about |= {
        "architecture": made.architecture,
        "preset": settings.get("preset"),
        **prepared.describe,
        "spec": plan.spec,
        "settings": settings,
    }
    evaluation = made.evaluation
    interval = Interval(low=evaluation.interval[0], high=evaluation.interval[1]) if evaluation.interval else None
    measured: dict[str, Any] = {"split": prepared.reported, "rows": len(prepared.rows_of(prepared.reported))}
    measured |= {"primary_metric": problem.primary_metric, "validation_value": made.validation_value}
    measured |= {"validation_error": made.validation_error} if made.validation_error is not None else {}
    measured |= {"metrics": evaluation.metrics, "interval": interval.model_dump() if interval else None, "detail": evaluation.detail}
    _write_json(folder / "kargah.json", about)
    _write_json(folder / "metrics.json", measured)
    _write_json(folder / "plan.json", plan.model_dump(mode="json"))
    _write_json(folder / "environment.json", environment())
    cards.write(folder, plan, made, prepared, interval)
    listed = [_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return ModelOutput(
        name=made.name,
        family=made.family,
        recipe=plan.recipe,
        architecture=made.architecture,
        parameters=made.parameters,
        base_version_id=plan.base_model.version_id if plan.base_model and made.family == "network" else None,
        split=prepared.reported,
        primary_metric=problem.primary_metric,
        metrics=evaluation.metrics,
        validation_value=made.validation_value,
        validation_error=made.validation_error,
        interval=interval,
        detail=evaluation.detail,
        train_seconds=round(made.train_seconds, 3),
        files=listed,
        size_bytes=sum(file.size_bytes for file in listed),
    )


def _write_json(path: Path, value: Any) -> None:
    """Indented: these files are read by people. Numbers that JSON has not become null."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    files.write_bytes(path, text.encode() + b"\n")


def _file(folder: Path, path: Path) -> OutputFile:
    digest = files.digest_of(path)
    return OutputFile(path=str(path.relative_to(folder)), sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
