"""Learning from another model's answers: its shares, softened by a temperature, beside the labels of the data (``engine.distilling``).

Any model that tells shares of the same labels may teach, also one that counts words: it is asked once, as everybody asks it. A model of
language is asked at every step, and must be a network of the student's own tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kargah.recipes.errors import SettingUnfit, TeacherTokensUnfit, TeacherUnfit
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import about, load_predictor
from kargah.recipes.problem import ColumnProblem, Problem, ProblemType
from kargah.recipes.runtime import Decision, Request, given
from kargah.recipes.spec_parts import TaughtSpec

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 256
_LEAST_SHARE = 1e-6
_SETTINGS = ("distillation_temperature", "distillation_share", "distillation_hidden_share")


@dataclass(frozen=True)
class Lessons:
    """``soft``: of each training row the teacher's shares at ``temperature``, float32 [labels] or [words, labels]. ``share``: their weight
    beside the labels of the data."""

    soft: "Sequence[Tensor] | Tensor"
    temperature: float
    share: float
    independent: bool

    def loss(self, of_labels: "Tensor", logits: "Tensor", rows: Sequence[int]) -> "Tensor":
        """``of_labels``: the loss by the data's own labels; ``logits``: of all words of ``rows``, or of the rows themselves."""
        import torch

        from kargah.engine.distilling import distilled

        soft = torch.cat([self.soft[row].reshape(-1, logits.shape[1]) for row in rows])
        return distilled(of_labels, logits, soft, self.temperature, self.share, self.independent)


def check_teacher(folder: Path, recipe: str, problem: Problem, roles: Sequence[str]) -> None:
    """By its kargah.json, in a moment. Raises TeacherUnfit (with ``reason``: recipe, problem, labels, columns)."""
    told, own = about(folder), problem.as_dict()
    faults = {
        "recipe": told["recipe"] != recipe,
        "problem": problem.kind == ProblemType.REGRESSION or any(told.get(name) != own.get(name) for name in ("problem_type", "scheme")),
        "labels": set(told.get("labels", [])) != set(problem.labels),
        "columns": set(told.get("columns", {})) != set(roles),
    }
    if reason := next((name for name, wrong in faults.items() if wrong), None):
        raise TeacherUnfit(field="teacher_model", reason=reason, labels=", ".join(told.get("labels", [])[:20]))


def check_language_teacher(request: Request) -> None:
    """Of a model of language, before torch is there. From scratch a student takes its teacher's tokens, so they cannot be set.

    Raises TeacherTokensUnfit (with ``reason``: recipe, family, tokens) and SettingUnfit.
    """
    folder, spec = request.teacher_model, request.spec
    if folder is None:
        return
    for name in ("vocab_size", "new_tokens"):
        if (value := getattr(spec, name, None)) is not None:
            raise SettingUnfit(field=f"spec.{name}", setting=name, value=str(value), problem="")
    told = about(folder)
    fits = {"recipe": told["recipe"] == request.recipe, "family": told["family"] == "network", "tokens": True}
    if request.base_model is not None and all(fits.values()):
        from kargah.recipes.tokenizing import base_tokenizer

        one, other = (base_tokenizer(of, None, pads=False).get_vocab() for of in (request.base_model, folder))
        fits["tokens"] = one == other
    if reason := next((name for name, so in fits.items() if not so), None):
        raise TeacherTokensUnfit(field="teacher_model", reason=reason)


def settled(request: Request) -> list[Decision]:
    """What is told of learning from a teacher; nothing where there is none."""
    if request.teacher_model is None:
        return []
    teacher = Decision("teacher_model", about(request.teacher_model)["architecture"], "chosen", "why.teacher")
    return [teacher, *(given(request, name) for name in _SETTINGS if name in type(request.spec).model_fields)]


def lessons_of(request: Request, problem: ColumnProblem, fields: dict[str, list[str]]) -> Lessons | None:
    """What the teacher says of the training rows: ``fields`` are their texts by role. None without a teacher."""
    import torch

    spec = request.spec
    assert isinstance(spec, TaughtSpec)
    if request.teacher_model is None:
        return None
    teacher = load_predictor(request.teacher_model, request.threads)
    rows: list[Any] = [dict(zip(fields, texts, strict=True)) for texts in zip(*fields.values(), strict=True)]
    shares = _asked(teacher.predict, rows, problem.labels, request.check)
    independent, temperature = problem.type is ProblemType.MULTI_LABEL, spec.distillation_temperature
    return Lessons(torch.from_numpy(softened(shares, temperature, independent)), temperature, spec.distillation_share, independent)


def _asked(
    predict: Callable[[Sequence[Any]], list[dict[str, Any]]], rows: list[Any], labels: tuple[str, ...], check: Callable[[], None]
) -> FloatArray:
    told = []
    for start in range(0, len(rows), AT_ONCE):
        check()
        told += [[answer["scores"][label] for label in labels] for answer in predict(rows[start : start + AT_ONCE])]
    return np.array(told, dtype=np.float64)


def softened(shares: FloatArray, temperature: float, independent: bool) -> FloatArray:
    """Shares as they would be had the logits been divided by ``temperature``: float32, like ``shares`` [rows, labels]."""
    kept = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    if independent:
        return np.asarray(1 / (1 + ((1 - kept) / kept) ** (1 / temperature)), dtype=np.float32)
    logits = np.log(kept) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))  # the greatest is 1, however small the temperature
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
