"""What is asked of a model and how its answers are scored. Recipes whose answer is a column's value share ``ColumnProblem``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from kargah.recipes import measures
from kargah.recipes.errors import MetricUnfit
from kargah.recipes.measures import Evaluation, FloatArray
from kargah.recipes.metrics import LOWER_IS_BETTER


class Problem(ABC):
    """``labels``: what the answers are made of, where that is a list. The primary metric picks the best checkpoint and the model to use.

    Targets and scores are arrays with one entry a row, of whatever kind the recipe needs: numbers, or objects (``rows_of``).
    """

    primary_metric: str
    labels: tuple[str, ...]

    @property
    @abstractmethod
    def kind(self) -> str:
        """Its name in texts: ``card.problem.<kind>``."""

    @abstractmethod
    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        """The interval of the primary metric may take a second: ask for it once."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """What kargah.json keeps of it, with at least ``labels`` and ``primary_metric``."""

    @property
    def learns_limits(self) -> bool:
        """Whether it is learnt on the validation rows from which score on a label is said."""
        return False

    def with_limits(self, targets: FloatArray, scores: FloatArray) -> "Problem":
        """The same with the limits that suit these scores best."""
        raise NotImplementedError

    @property
    def lower_is_better(self) -> bool:
        return self.primary_metric in LOWER_IS_BETTER

    def better(self, value: float | None, than: float | None) -> bool:
        if value is None or than is None:
            return than is None and value is not None
        return value < than if self.lower_is_better else value > than


def rows_of(values: Sequence[Any]) -> FloatArray:
    """One object a row, so that rows can be picked as from any array: lists of tags, of answers, of token losses."""
    rows = np.empty(len(values), dtype=object)
    rows[:] = values
    return rows


def known_metric(wanted: str, metrics: Sequence[str]) -> str:
    """The first of ``metrics`` for "auto". Raises MetricUnfit when the wanted one is not among them."""
    if wanted not in ("auto", *metrics):
        raise MetricUnfit(field="spec.primary_metric", metric=wanted, known=", ".join(metrics))
    return metrics[0] if wanted == "auto" else wanted


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
class ColumnProblem(Problem):
    """One of several labels, any of several, or a number. ``labels`` is empty for regression; ``threshold`` counts for multi-label only,
    and ``thresholds``, of each label its own, before it.

    The primary metric's default is the field's: accuracy for one label, micro F1 for many, R² for a number; macro F1 stands
    beside it always.
    """

    type: ProblemType
    labels: tuple[str, ...] = ()
    primary_metric: str = "accuracy"
    threshold: float = 0.5
    thresholds: tuple[float, ...] = ()
    thresholds_are_learnt: bool = False

    @classmethod
    def of(
        cls, problem_type: ProblemType, labels: tuple[str, ...], wanted_metric: str, *, thresholds_are_learnt: bool = False
    ) -> "ColumnProblem":
        """Raises MetricUnfit when the wanted metric is not one of this kind of problem."""
        metric = known_metric(wanted_metric, _METRICS[problem_type])
        return cls(problem_type, labels, metric, thresholds_are_learnt=thresholds_are_learnt)

    @property
    def learns_limits(self) -> bool:
        return self.thresholds_are_learnt

    def with_limits(self, targets: FloatArray, scores: FloatArray) -> "ColumnProblem":
        return replace(self, thresholds=measures.best_thresholds(targets, scores, self.threshold))

    @property
    def kind(self) -> str:
        return self.type.value

    @property
    def outputs(self) -> int:
        return max(1, len(self.labels))

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        """``scores`` are probabilities [rows, labels], or values [rows] for regression."""
        primary = self.primary_metric if with_interval else None
        if self.type is ProblemType.REGRESSION:
            return measures.regression(targets, scores, primary)
        if self.type is ProblemType.MULTI_LABEL:
            return measures.multi_label(targets, scores, self.labels, self._limits, primary)
        return measures.single_label(targets, scores, self.labels, primary)

    def answer(self, scores: FloatArray) -> dict[str, Any]:
        """One row of scores as the answer that people get."""
        if self.type is ProblemType.REGRESSION:
            return {"value": float(scores)}
        named = {label: float(score) for label, score in zip(self.labels, scores, strict=True)}
        if self.type is ProblemType.MULTI_LABEL:
            said = np.asarray(scores) >= self._limits
            return {"labels": [label for label, is_said in zip(self.labels, said, strict=True) if is_said], "scores": named}
        best = int(np.argmax(scores))
        return {"label": self.labels[best], "score": float(scores[best]), "scores": named}

    def as_dict(self) -> dict[str, Any]:
        kind, labels = self.type.value, list(self.labels)
        told = {"problem_type": kind, "labels": labels, "primary_metric": self.primary_metric, "threshold": self.threshold}
        return told | ({"thresholds": list(self.thresholds)} if self.thresholds else {})

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "ColumnProblem":
        kind = ProblemType(stored["problem_type"])
        return cls(kind, tuple(stored["labels"]), stored["primary_metric"], stored["threshold"], tuple(stored.get("thresholds", ())))

    @property
    def _limits(self) -> float | FloatArray:
        return np.array(self.thresholds) if self.thresholds else self.threshold
