"""Masked language models: encoders that fill gaps, from scratch or a base model that gets to know a domain's texts (Devlin 2019)."""

from dataclasses import replace
from typing import Literal

from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, asked_roles, knob
from kargah.recipes.columns import Column
from kargah.recipes.spec_parts import GrowingSpec, TaughtSpec, check_new_tokens
from kargah.recipes.tasks import proposed

METRICS = ("perplexity", "token_accuracy")


class MaskedLMSpec(TaughtSpec, GrowingSpec):
    """Sizes count only when starting from scratch. ``max_length`` counts special tokens."""

    max_length: int | None = knob(None, group="model", ge=8, le=8192)
    vocab_size: int | None = knob(None, group="model", ge=100, le=1_000_000)
    hidden_size: int | None = knob(None, basic=True, group="model", ge=8, le=4096)
    num_layers: int | None = knob(None, basic=True, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    mask_share: float = knob(0.15, gt=0, le=0.9)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    primary_metric: Literal["auto", "perplexity", "token_accuracy"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    """Plain text teaches models that continue it as well: those are proposed first."""
    match = proposed(columns, "language-modeling")
    return replace(match, score=0.6, reasons=(("guess.masked-lm", {"column": match.columns["text"]}),)) if match else None


RECIPE = Recipe(
    name="masked-lm",
    spec=MaskedLMSpec,
    roles=(Role("text"), SPLIT),
    target="",
    runtime="kargah.recipes.masked_lm",
    guess=guess,
    questions=asked_roles("text"),
    pipeline_tags={"": "fill-mask"},
    starts_from=("scratch", "base_model"),
    structures=("language-modeling",),
    learns_from_teachers=True,
    check=check_new_tokens,
)
