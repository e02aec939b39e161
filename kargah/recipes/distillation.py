"""Learning from another model's answers (Hinton 2015): its shares, softened by a temperature, beside the labels of the data.

Any model that tells shares of the same labels may teach, also one that counts words: it is asked as everybody asks it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kargah.recipes.errors import TeacherUnfit
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import about, load_predictor
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Request

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 256
_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Lessons:
    """``soft``: float32 [training rows, labels], the teacher's shares at ``temperature``. ``share``: their weight beside the labels."""

    soft: "Tensor"
    temperature: float
    share: float
    independent: bool

    def loss(self, of_labels: "Tensor", logits: "Tensor", rows: Sequence[int]) -> "Tensor":
        """``of_labels``: the loss by the data's own labels. The teacher's part is scaled by T², so that its gradients keep their size."""
        from torch.nn import functional

        own, soft = logits / self.temperature, self.soft[list(rows)]
        told = functional.binary_cross_entropy_with_logits if self.independent else functional.cross_entropy
        return (1 - self.share) * of_labels + self.share * self.temperature**2 * told(own, soft)


def check_teacher(folder: Path, recipe: str, problem: ColumnProblem, roles: Sequence[str]) -> None:
    """By its kargah.json, in a moment. Raises TeacherUnfit (with ``reason``: recipe, problem, labels, columns)."""
    told = about(folder)
    found = {role for role in told.get("columns", {}) if role != "label"}
    faults = {
        "recipe": told["recipe"] != recipe,
        "problem": problem.type is ProblemType.REGRESSION or told.get("problem_type") != problem.type.value,
        "labels": set(told.get("labels", [])) != set(problem.labels),
        "columns": found != set(roles),
    }
    if reason := next((name for name, wrong in faults.items() if wrong), None):
        raise TeacherUnfit(field="teacher_model", reason=reason, labels=", ".join(told.get("labels", [])[:20]))


def lessons_of(request: Request, problem: ColumnProblem, fields: dict[str, list[str]], temperature: float, share: float) -> Lessons:
    """What the teacher says of the training rows: ``fields`` are their texts by role."""
    import torch

    assert request.teacher_model is not None
    teacher = load_predictor(request.teacher_model, request.threads)
    rows: list[Any] = [dict(zip(fields, texts, strict=True)) for texts in zip(*fields.values(), strict=True)]
    shares = _asked(teacher.predict, rows, problem.labels, request.check)
    independent = problem.type is ProblemType.MULTI_LABEL
    return Lessons(torch.from_numpy(softened(shares, temperature, independent)), temperature, share, independent)


def _asked(
    predict: Callable[[Sequence[Any]], list[dict[str, Any]]], rows: list[Any], labels: tuple[str, ...], check: Callable[[], None]
) -> FloatArray:
    told = []
    for start in range(0, len(rows), _AT_ONCE):
        check()
        told += [[answer["scores"][label] for label in labels] for answer in predict(rows[start : start + _AT_ONCE])]
    return np.array(told, dtype=np.float64)


def softened(shares: FloatArray, temperature: float, independent: bool) -> FloatArray:
    """Shares as they would be had the logits been divided by ``temperature``: float32, like ``shares`` [rows, labels]."""
    kept = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    if independent:
        return np.asarray(1 / (1 + ((1 - kept) / kept) ** (1 / temperature)), dtype=np.float32)
    powers = kept ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
