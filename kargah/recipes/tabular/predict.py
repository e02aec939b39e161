"""Answer questions with a table model's folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.recipes.baselines.majority import Majority
from kargah.recipes.baselines.trees import TreesModel
from kargah.recipes.errors import InputMissing, InputNotNumber, InputNotRow
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import Input, about
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.table import normaliser_of
from kargah.recipes.tabular.data import Encoded, Feature, encode


@dataclass
class TablePredictor:
    """An input is a row: ``{column: value}``. A column that is null counts as a gap; one that is absent is an error."""

    about: dict[str, Any]
    problem: ColumnProblem
    features: list[Feature]
    score: Callable[[Encoded], FloatArray]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        if not inputs:
            return []
        rows = [self._row(index, value) for index, value in enumerate(inputs)]
        columns = {feature.name: [row[feature.name] for row in rows] for feature in self.features}
        return [self.problem.answer(scores) for scores in self.score(encode(self.features, columns, len(rows)))]

    def _row(self, index: int, value: Input) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InputNotRow(field=f"inputs[{index}]", index=index)
        return {feature.name: self._value(index, value, feature) for feature in self.features}

    def _value(self, index: int, row: dict[str, Any], feature: Feature) -> Any:
        if feature.name not in row:
            raise InputMissing(field=f"inputs[{index}].{feature.name}", index=index, missing=feature.name)
        value = row[feature.name]
        if feature.kind == "number" and value not in (None, "") and feature.number_of(value) is None:
            raise InputNotNumber(field=f"inputs[{index}].{feature.name}", index=index, column=feature.name, value=str(value)[:80])
        normaliser = normaliser_of(self.about["normaliser"])
        return normaliser.apply(value) if normaliser and isinstance(value, str) else value


def load(folder: Path, threads: int) -> TablePredictor:
    """Read any model of this recipe: network, trees or majority."""
    told = about(folder)
    problem, features = ColumnProblem.from_dict(told), [Feature(**feature) for feature in told["features"]]
    score = _scorer(folder, told, problem, features, threads)
    if told["family"] != "majority" and problem.type is ProblemType.REGRESSION and told["log_target"]:
        return TablePredictor(told, problem, features, lambda encoded: np.exp(np.clip(score(encoded), -700, 700)))
    return TablePredictor(told, problem, features, score)


def _scorer(
    folder: Path, told: dict[str, Any], problem: ColumnProblem, features: list[Feature], threads: int
) -> Callable[[Encoded], FloatArray]:
    if told["family"] == "majority":
        majority = Majority.load(folder)
        return lambda encoded: majority.scores(np.arange(len(encoded.numbers)))
    if told["family"] == "trees":
        trees = TreesModel.load(folder, problem)
        return lambda encoded: trees.scores(encoded.for_trees())
    import torch

    from kargah.recipes.tabular.task import TableModel

    torch.set_num_threads(threads)
    model = TableModel.load(folder, problem, features)
    return lambda encoded: model.scores(*model.tensors(encoded))
