"""The answer that needs no question: the most frequent label, each label's share, or the mean. Anything worth having beats it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.splits import IntArray


@dataclass
class Majority:
    """``scores_of_all``: float64 [labels], or [] for regression: the same for every question."""

    scores_of_all: FloatArray
    name: str = "majority"
    family: str = "majority"

    @classmethod
    def fit(cls, problem: ColumnProblem, targets: FloatArray) -> "Majority":
        if problem.type is ProblemType.SINGLE_LABEL:
            return cls(np.bincount(targets.astype(np.int64), minlength=problem.outputs) / len(targets))
        return cls(np.asarray(targets.mean(axis=0), dtype=np.float64))

    @property
    def architecture(self) -> str:
        return "mean" if self.scores_of_all.ndim == 0 else "majority"

    @property
    def parameters(self) -> int:
        return int(self.scores_of_all.size)

    def scores(self, rows: IntArray) -> FloatArray:
        return np.broadcast_to(self.scores_of_all, (len(rows), *self.scores_of_all.shape))

    def save(self, folder: Path) -> None:
        files.write_json(folder / "majority.json", {"scores": self.scores_of_all.tolist()})

    @classmethod
    def load(cls, folder: Path) -> "Majority":
        return cls(np.array(files.read_json(folder / "majority.json")["scores"], dtype=np.float64))
