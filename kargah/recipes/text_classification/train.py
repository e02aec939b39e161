"""Train a text classifier: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kargah.recipes.baselines.linear import LinearModel
from kargah.recipes.baselines.majority import Majority
from kargah.recipes.baselines.taught import SoftTargets
from kargah.recipes.distillation import independent_of, softened_rows
from kargah.recipes.measures import FloatArray
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray
from kargah.recipes.text_classification.data import TextData, prepare
from kargah.recipes.text_classification.spec import TextClassificationSpec

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES = ("sklearn.svm", "sklearn.linear_model")


@dataclass
class LinearText:
    """A linear model beside the texts it was fitted on."""

    model: LinearModel
    data: TextData
    check: Callable[[], None]
    name: str = "linear"
    family: str = "linear"
    architecture: str = "tfidf-linear"

    @classmethod
    def taught(cls, data: TextData, request: Request) -> LinearText:
        """By the teacher's shares beside the labels, as networks are."""
        rows = data.train_rows
        targets = soft_targets(data, request)
        model = LinearModel.taught(data.problem, data.texts_of(rows), targets, request.check)
        return cls(model, data, request.check, "linear-student")

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        return self.model.probabilities(self.model.margins(self.data.texts_of(rows), self.check))

    def save(self, folder: Path) -> None:
        self.model.save(folder)


class LinearOnLabels(LinearText):
    """By the labels of the data alone."""

    @classmethod
    def fit(cls, data: TextData, check: Callable[[], None]) -> LinearOnLabels:
        """On all training rows; its probabilities are calibrated on a part of them by a second fit that did not see that part."""
        targets, rows = data.targets[data.train_rows], data.train_rows
        held = np.arange(len(rows)) % 5 == 4
        model = LinearModel.fit(data.problem, data.texts_of(rows), targets, check)
        second = LinearModel.fit(data.problem, data.texts_of(rows[~held]), targets[~held], check, model.strength)
        if held.any():
            second.calibrate(second.margins(data.texts_of(rows[held]), check), targets[held])
        model.scale, model.shift = second.scale, second.shift
        return cls(model, data, check)

    def again(self, rows: IntArray) -> LinearOnLabels:
        return self.fit(replace(self.data, train_rows=rows), self.check)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, TextData)
    data = prepared
    yield lambda: Majority.fit(data.problem, data.targets[data.train_rows])
    yield lambda: LinearOnLabels.fit(data, request.check)
    if data.teacher is not None:
        yield lambda: LinearText.taught(data, request)


def soft_targets(data: TextData, request: Request) -> SoftTargets:
    spec, labels, targets = request.spec, len(data.problem.labels), data.targets[data.train_rows]
    assert isinstance(spec, TextClassificationSpec)
    independent = independent_of(data.problem)
    hard = targets.astype(np.float64) if independent else np.eye(labels)[targets]
    soft = np.array(softened_rows(data, request), dtype=np.float64).reshape(-1, labels)
    return SoftTargets(hard, soft, spec.distillation_temperature, spec.distillation_share, independent)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.text_classification.task import build_task

    assert isinstance(prepared, TextData)
    return build_task(prepared, request)
