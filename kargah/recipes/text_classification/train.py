"""Train a text classifier: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kargah.recipes.baselines.linear import LinearModel
from kargah.recipes.baselines.majority import Majority
from kargah.recipes.measures import FloatArray
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray
from kargah.recipes.text_classification.data import TextData, prepare

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES = ("sklearn.svm", "sklearn.linear_model")


@dataclass
class LinearText:
    """The linear model beside the texts it was fitted on."""

    model: LinearModel
    data: TextData
    check: Callable[[], None]
    name: str = "linear"
    family: str = "linear"
    architecture: str = "tfidf-linear"

    @classmethod
    def fit(cls, data: TextData, check: Callable[[], None]) -> LinearText:
        """Probabilities are calibrated on a part of the training rows that a first fit did not see; then all are used."""
        targets, rows = data.targets[data.train_rows], data.train_rows
        held = np.arange(len(rows)) % 5 == 4
        first = LinearModel.fit(data.problem, data.texts_of(rows[~held]), targets[~held], check)
        if held.any():
            first.calibrate(first.margins(data.texts_of(rows[held]), check), targets[held])
        model = LinearModel.fit(data.problem, data.texts_of(rows), targets, check)
        model.scale, model.shift = first.scale, first.shift
        return cls(model, data, check)

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        return self.model.probabilities(self.model.margins(self.data.texts_of(rows), self.check))

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, TextData)
    data = prepared
    yield lambda: Majority.fit(data.problem, data.targets[data.train_rows])
    yield lambda: LinearText.fit(data, request.check)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.text_classification.task import build_task

    assert isinstance(prepared, TextData)
    return build_task(prepared, request)
