"""What is asked of a model: one of several labels, any of several, or a number; and how an answer is scored."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from kargah.recipes import measures
from kargah.recipes.errors import MetricUnfit
from kargah.recipes.measures import Evaluation, FloatArray

_LOWER_IS_BETTER = frozenset({"mae", "rmse", "eval_loss"})


class ProblemType(StrEnum):
    SINGLE_LABEL = "single_label"
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"


_METRICS = {
    ProblemType.SINGLE_LABEL: ("accuracy", "macro_f1", "weighted_f1"),
    ProblemType.MULTI_LABEL: ("micro_f1", "macro_f1", "weighted_f1", "accuracy"),
    ProblemType.REGRESSION: ("r2", "mae", "rmse"),
}


@dataclass(frozen=True)
class Problem:
    """``labels`` is empty for regression. ``threshold`` counts for multi-label only.

    The primary metric picks the best checkpoint and the recommended model. Its default is the field's: accuracy for one
    label, micro F1 for many, R² for a number; macro F1 stands beside it always.
    """

    type: ProblemType
    labels: tuple[str, ...] = ()
    primary_metric: str = "accuracy"
    threshold: float = 0.5

    @classmethod
    def of(cls, problem_type: ProblemType, labels: tuple[str, ...], wanted_metric: str) -> "Problem":
        """Raises MetricUnfit when the wanted metric is not one of this kind of problem."""
        metrics = _METRICS[problem_type]
        if wanted_metric not in ("auto", *metrics):
            raise MetricUnfit(field="spec.primary_metric", metric=wanted_metric, known=", ".join(metrics))
        return cls(problem_type, labels, metrics[0] if wanted_metric == "auto" else wanted_metric)

    @property
    def outputs(self) -> int:
        return max(1, len(self.labels))

    @property
    def lower_is_better(self) -> bool:
        return self.primary_metric in _LOWER_IS_BETTER

    def better(self, value: float | None, than: float | None) -> bool:
        if value is None or than is None:
            return than is None and value is not None
        return value < than if self.lower_is_better else value > than

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        """``scores`` are probabilities [rows, labels], or values [rows] for regression. The interval may take a second: ask for it once."""
        primary = self.primary_metric if with_interval else None
        if self.type is ProblemType.REGRESSION:
            return measures.regression(targets, scores, primary)
        if self.type is ProblemType.MULTI_LABEL:
            return measures.multi_label(targets, scores, self.labels, self.threshold, primary)
        return measures.single_label(targets, scores, self.labels, primary)

    def answer(self, scores: FloatArray) -> dict[str, Any]:
        """One row of scores as the answer that people get."""
        if self.type is ProblemType.REGRESSION:
            return {"value": float(scores)}
        named = {label: float(score) for label, score in zip(self.labels, scores, strict=True)}
        if self.type is ProblemType.MULTI_LABEL:
            return {"labels": [label for label, score in named.items() if score >= self.threshold], "scores": named}
        best = int(np.argmax(scores))
        return {"label": self.labels[best], "score": float(scores[best]), "scores": named}

    def as_dict(self) -> dict[str, Any]:
        kind, labels = self.type.value, list(self.labels)
        return {"problem_type": kind, "labels": labels, "primary_metric": self.primary_metric, "threshold": self.threshold}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Problem":
        kind = ProblemType(stored["problem_type"])
        return cls(kind, tuple(stored["labels"]), stored["primary_metric"], stored["threshold"])
