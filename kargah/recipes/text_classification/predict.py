"""Answer questions with a text classifier's folder: the same normaliser, the same encoding, the same network as in training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.baselines.linear import LinearModel
from kargah.recipes.baselines.majority import Majority
from kargah.recipes.errors import InputMissing, InputNotText
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import Input, about
from kargah.recipes.problem import ColumnProblem
from kargah.recipes.table import normaliser_of

Fields = list[list[str]]


@dataclass
class TextPredictor:
    """``score``: fields (normalised texts, one list a field) → scores as ColumnProblem.answer takes them."""

    about: dict[str, Any]
    problem: ColumnProblem
    score: Callable[[Fields], FloatArray]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        if not inputs:
            return []
        normaliser = normaliser_of(self.about["normaliser"])
        rows = [self._texts(index, value) for index, value in enumerate(inputs)]
        fields = [[normaliser.apply(text) if normaliser else text for text in texts] for texts in zip(*rows, strict=True)]
        return [self.problem.answer(scores) for scores in self.score(fields)]

    def _texts(self, index: int, value: Input) -> list[str]:
        """The texts of one input, by role or by the name of the column that was learnt from."""
        columns: dict[str, str] = {role: column for role, column in self.about["columns"].items() if role != "label"}
        if isinstance(value, str):
            value = {"text": value}
        if not isinstance(value, dict):
            raise InputNotText(field=f"inputs[{index}]", index=index)
        return [self._text(index, value, role, column) for role, column in columns.items()]

    def _text(self, index: int, value: dict[str, Any], role: str, column: str) -> str:
        text = value.get(role, value.get(column))
        if text is None:
            raise InputMissing(field=f"inputs[{index}].{role}", index=index, missing=role)
        if not isinstance(text, str):
            raise InputNotText(field=f"inputs[{index}].{role}", index=index)
        return text


def load(folder: Path, threads: int) -> TextPredictor:
    """Read any model of this recipe: network, linear or majority."""
    told = about(folder)
    problem = ColumnProblem.from_dict(told)
    return TextPredictor(told, problem, _scorer(folder, told, problem, threads))


def _scorer(folder: Path, told: dict[str, Any], problem: ColumnProblem, threads: int) -> Callable[[Fields], FloatArray]:
    if told["family"] == "majority":
        import numpy as np

        majority = Majority.load(folder)
        return lambda fields: majority.scores(np.arange(len(fields[0])))
    if told["family"] == "linear":
        linear = LinearModel.load(folder, problem)
        return lambda fields: linear.probabilities(linear.margins(fields))
    return _network(folder, problem, threads)


def _network(folder: Path, problem: ColumnProblem, threads: int) -> Callable[[Fields], FloatArray]:
    import torch

    from kargah.recipes.text_classification import loading

    torch.set_num_threads(threads)
    model = loading.load_model(folder, problem, files.read_json(folder / "config.json"))
    return lambda fields: model.scores(model.encoding.encode(fields, lambda: None))
