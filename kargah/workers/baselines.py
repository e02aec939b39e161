"""The simple models beside a training: fitted once a job, kept over attempts, told of like any other model."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kargah.contract.plans import TrainPlan
from kargah.contract.results import ModelOutput
from kargah.kit import files
from kargah.recipes.base import Recipe
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.runtime import Baseline, LearnsAgain, Prepared, RecipeRuntime, Request
from kargah.workers import keeper
from kargah.workers.edge import Attempt
from kargah.workers.outputs import Made, describe


def all_of(
    plan: TrainPlan, recipe: Recipe, runtime: RecipeRuntime, prepared: Prepared, request: Request, attempt: Attempt
) -> list[ModelOutput]:
    fits = list(runtime.baselines(prepared, request))
    models = []
    for number, fit in enumerate(fits):
        request.check()
        attempt.tell("Progress", done=number, total=len(fits), unit="models", code="train.baselines")
        models.append(_kept(number, attempt) or _fitted(number, fit, plan, recipe, prepared, attempt))
    attempt.tell("Progress", done=len(fits), total=len(fits), unit="models", code="train.baselines")
    return models


def _fitted(number: int, fit: Callable[[], Baseline], plan: TrainPlan, recipe: Recipe, prepared: Prepared, attempt: Attempt) -> ModelOutput:
    started = time.monotonic()
    model = fit()
    seconds = time.monotonic() - started
    scores = model.scores(prepared.validation_rows)
    chosen_by, error = prepared.evaluate(VALIDATION, scores), None
    if isinstance(model, LearnsAgain) and len(prepared.test_rows):
        error = _standard_error(prepared, scores)
        model = model.again(np.union1d(prepared.train_rows, prepared.validation_rows))
        seconds = time.monotonic() - started
    reported = prepared.report(model.scores(prepared.rows_of(prepared.reported)))
    value = chosen_by.metrics[prepared.problem.primary_metric]
    made = Made(model.name, model.family, model.architecture, model.parameters, reported, value, seconds, error)

    def write() -> ModelOutput:
        temporary = _place(attempt, number).with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        (temporary / "model").mkdir(parents=True)
        model.save(temporary / "model")
        output = describe(temporary / "model", made, prepared, plan, recipe.version, {})
        files.write_json(temporary / "output.json", output.model_dump(mode="json"))
        files.rename(temporary, _place(attempt, number))
        return output

    path = attempt.directory.job_path
    output = keeper.when_there_is_room(write, path, 8 * model.parameters, attempt.tell, attempt.wants.check_while_waiting)
    attempt.tell("Evaluated", step=0, epoch=0.0, model=model.name, metrics=chosen_by.metrics, detail=chosen_by.detail)
    return _laid_out(number, output, attempt)


def _standard_error(prepared: Prepared, scores: FloatArray) -> float | None:
    """Of the primary metric on the validation rows, by its 95 % interval."""
    measured = prepared.problem.evaluate(prepared.targets[prepared.validation_rows], scores, with_interval=True)
    return None if measured.interval is None else (measured.interval[1] - measured.interval[0]) / (2 * 1.96)


def _kept(number: int, attempt: Attempt) -> ModelOutput | None:
    """The model of an earlier attempt of this job, if it was finished."""
    try:
        output = ModelOutput.model_validate(files.read_json(_place(attempt, number) / "output.json"))
    except FileNotFoundError:
        return None
    return _laid_out(number, output, attempt)


def _laid_out(number: int, output: ModelOutput, attempt: Attempt) -> ModelOutput:
    source, target = _place(attempt, number) / "model", attempt.directory.outputs / output.name
    for file in output.files:
        files.link_or_copy(source / file.path, target / file.path)
    return output


def _place(attempt: Attempt, number: int) -> Path:
    return attempt.directory.checkpoints / f"baseline-{number}"
