"""Answering with a folder that this recipe made: the network, or the majority beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kargah.recipes.baselines.majority import Majority
from kargah.recipes.predictor import Input, about
from kargah.recipes.problem import ColumnProblem
from kargah.recipes.table import normaliser_of
from kargah.recipes.text_inputs import text_of
from kargah_letters import model


class LettersPredictor:
    def __init__(self, folder: Path) -> None:
        self.about = about(folder)
        self._problem, self._normaliser = ColumnProblem.from_dict(self.about), normaliser_of(self.about["normaliser"])
        self._majority = Majority.load(folder) if self.about["family"] == "majority" else None
        self._network = None if self._majority else model.load(folder, self._problem.outputs)

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        texts = [text_of(place, value, "text", [self.about["columns"]["text"]]) for place, value in enumerate(inputs)]
        texts = [self._normaliser.apply(text) if self._normaliser else text for text in texts]
        if self._network is None:
            return [self._problem.answer(scores) for scores in self._majority.scores(texts)]
        items = [model.groups_of(text, self._network.num_embeddings) for text in texts]
        return [self._problem.answer(scores) for scores in model.probabilities(self._network, items)]


def load(folder: Path, threads: int) -> LettersPredictor:  # noqa: ARG001 - one is enough
    return LettersPredictor(folder)
