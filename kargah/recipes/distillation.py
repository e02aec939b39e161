"""Learning from another model's answers: its shares, softened by a temperature, beside the labels of the data (``engine.distilling``).

Any model that tells shares of the same labels may teach, also one that counts words: it is asked once, as everybody asks it. A model of
language is asked at every step, and must be a network of the student's own tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kargah.kit import files
from kargah.recipes.errors import SettingUnfit, TeacherHiddenUnfit, TeacherTokensUnfit, TeacherUnfit
from kargah.recipes.measures import FloatArray
from kargah.recipes.predictor import about, load_predictor
from kargah.recipes.problem import Problem, ProblemType
from kargah.recipes.runtime import Decision, Prepared, Request, given
from kargah.recipes.spec_parts import TaughtSpec
from kargah.recipes.splits import IntArray

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
        fits["tokens"] = _same_tokens(request.base_model, folder, pads=False)
    if reason := next((name for name, so in fits.items() if not so), None):
        raise TeacherTokensUnfit(field="teacher_model", reason=reason)


def compares_hidden(request: Request) -> bool:
    """Whether a teacher's hidden states are learnt from."""
    return request.teacher_model is not None and getattr(request.spec, "distillation_hidden_share", 0) > 0


def check_hidden_states(request: Request) -> None:
    """Of a classifier or tagger, before torch is there: both must be transformers of the same tokens. From scratch a student takes its
    teacher's, so they cannot be set.

    Raises SettingUnfit, and TeacherHiddenUnfit (with ``reason``: family, tokens).
    """
    folder, spec, base = request.teacher_model, request.spec, request.base_model
    if folder is None or not compares_hidden(request):
        return
    unfit = {name: getattr(spec, name, None) is not None for name in ("vocab_size", "new_tokens")}
    unfit["frozen_encoder"] = getattr(spec, "frozen_encoder", False)
    unfit["preset"] = base is None and getattr(spec, "preset", "auto") not in ("auto", "transformer")
    if wrong := next((name for name, is_unfit in unfit.items() if is_unfit), None):
        raise SettingUnfit(field=f"spec.{wrong}", setting=wrong, value=str(getattr(spec, wrong)), problem="")
    if about(folder)["family"] != "network" or "model_type" not in files.read_json(folder / "config.json"):
        raise TeacherHiddenUnfit(field="teacher_model", reason="family")
    if base is not None and not _same_tokens(base, folder, pads=True):
        raise TeacherHiddenUnfit(field="teacher_model", reason="tokens")


def _same_tokens(one: Path, other: Path, pads: bool) -> bool:
    from kargah.recipes.tokenizing import base_tokenizer

    first, second = (base_tokenizer(folder, None, pads=pads).get_vocab() for folder in (one, other))
    return bool(first == second)


def settled(request: Request) -> list[Decision]:
    """What is told of learning from a teacher; nothing where there is none."""
    if request.teacher_model is None:
        return []
    teacher = Decision("teacher_model", about(request.teacher_model)["architecture"], "chosen", "why.teacher")
    return [teacher, *(given(request, name) for name in _SETTINGS if name in type(request.spec).model_fields)]


@dataclass
class AskedTeacher:
    """What a teacher says of rows. ``ask``: of a predictor and the numbers of rows, one answer a row; ``joined``: such answers as
    ``Problem`` takes scores. Each row is asked about once, and between two askings the model takes no memory."""

    folder: Path
    request: Request
    ask: Callable[[Any, list[int]], Sequence[Any]]
    joined: Callable[[list[Any]], FloatArray]
    _told: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, rows: IntArray) -> FloatArray:
        if unasked := [row for row in rows.tolist() if row not in self._told]:
            predictor = load_predictor(self.folder, self.request.threads)
            for start in range(0, len(unasked), AT_ONCE):
                self.request.check()
                asked = unasked[start : start + AT_ONCE]
                self._told.update(zip(asked, self.ask(predictor, asked), strict=True))
        return self.joined([self._told[row] for row in rows.tolist()])


def lessons_of(data: Prepared, request: Request) -> Lessons | None:
    """What the teacher says of the training rows. None without a teacher."""
    import torch

    if data.teacher is None:
        return None
    soft, spec = softened_rows(data, request), request.spec
    assert isinstance(spec, TaughtSpec)
    shares = [torch.from_numpy(row) for row in soft]
    return Lessons(shares, spec.distillation_temperature, spec.distillation_share, independent_of(data.problem))


def softened_rows(data: Prepared, request: Request) -> list[FloatArray]:
    """The teacher's shares of each training row at the temperature that is set: float32 [labels], or [words, labels]."""
    spec, independent = request.spec, independent_of(data.problem)
    assert data.teacher is not None and isinstance(spec, TaughtSpec)
    shares = data.teacher(data.train_rows)
    if shares.dtype != object:
        return list(softened(shares, spec.distillation_temperature, independent))
    return [softened(row, spec.distillation_temperature, independent) for row in shares]


def independent_of(problem: Problem) -> bool:
    """Whether each label is a yes or no of its own."""
    return problem.kind == ProblemType.MULTI_LABEL


def softened(shares: FloatArray, temperature: float, independent: bool) -> FloatArray:
    """Shares as they would be had the logits been divided by ``temperature``: float32, like ``shares`` [rows, labels]."""
    kept = np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
    if independent:
        return np.asarray(1 / (1 + ((1 - kept) / kept) ** (1 / temperature)), dtype=np.float32)
    logits = np.log(kept) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))  # the greatest is 1, however small the temperature
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
