"""Transformers for texts: a small one from scratch, or a base model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kargah.recipes import base_models, new_tokens
from kargah.recipes.encoders import TEXTS, Transformer, named_labels, small_config
from kargah.recipes.presets import Preset
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Decision, Request

_PROBLEM_NAMES = {
    ProblemType.SINGLE_LABEL: "single_label_classification",
    ProblemType.MULTI_LABEL: "multi_label_classification",
    ProblemType.REGRESSION: "regression",
}


def label_settings(problem: ColumnProblem) -> dict[str, Any]:
    """What a transformers configuration must say about the task."""
    return {"problem_type": _PROBLEM_NAMES[problem.type], **named_labels(problem.labels or ("value",))}


def small_transformer(tokenizer: Any, problem: ColumnProblem, preset: Preset, max_length: int) -> Transformer:
    from transformers import BertForSequenceClassification

    sizes = (preset.hidden_size, preset.num_layers, preset.dropout, max_length)
    return Transformer(BertForSequenceClassification(small_config(tokenizer, *sizes, **label_settings(problem))), TEXTS)


def load(
    folder: Path, problem: ColumnProblem, normaliser: dict[str, Any] | None, request: Request, texts: Sequence[str]
) -> tuple[Transformer, Any, list[Decision]]:
    """Return (model, tokenizer, what was decided) of a base model's folder, the head fresh; ``texts``: those that new tokens are learnt
    from. Raises what ``base_models.load`` does."""
    from transformers import AutoModelForSequenceClassification

    settings = label_settings(problem)
    model, tokenizer = base_models.load(folder, AutoModelForSequenceClassification, normaliser, request.check, **settings)
    tokenizer, decisions = new_tokens.added(request, model, tokenizer, texts)
    return Transformer(model, TEXTS), tokenizer, decisions
