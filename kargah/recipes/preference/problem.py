"""How often, and by how much, the answer that people chose is the one that the model prefers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.measures import Evaluation, FloatArray, wilson
from kargah.recipes.problem import Problem, known_metric

METRICS = ("preference_accuracy", "reward_margin")


@dataclass(frozen=True)
class PreferenceProblem(Problem):
    """Scores: (loss, reward of the chosen answer, reward of the rejected one), [rows, 3]. Equal rewards are half right."""

    primary_metric: str = "preference_accuracy"
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted_metric: str) -> "PreferenceProblem":
        """Raises MetricUnfit."""
        return cls(known_metric(wanted_metric, METRICS))

    @property
    def kind(self) -> str:
        return "preferences"

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        margins = scores[:, 1] - scores[:, 2]
        right = float((margins > 0).sum() + 0.5 * (margins == 0).sum())
        metrics: dict[str, float | None] = {
            "eval_loss": float(scores[:, 0].mean()),
            "preference_accuracy": right / len(margins),
            "reward_margin": float(margins.mean()),
        }
        if not with_interval or len(margins) < 2:
            return Evaluation(metrics)
        if self.primary_metric == "preference_accuracy":
            return Evaluation(metrics, wilson(right, len(margins)))
        half = 1.959964 * float(margins.std(ddof=1)) / np.sqrt(len(margins))
        return Evaluation(metrics, (float(margins.mean() - half), float(margins.mean() + half)))

    def as_dict(self) -> dict[str, Any]:
        return {"problem_type": "preferences", "labels": [], "primary_metric": self.primary_metric}
