"""Text to text by an encoder with a decoder (T5, Raffel 2020): summaries, questions, rewriting, translation."""

from typing import Literal

from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, Spec, asked_roles, knob
from kargah.recipes.columns import Column
from kargah.recipes.tasks import proposed

METRICS = ("chrf", "rougeL", "rouge1", "rouge2")


class Seq2SeqSpec(Spec):
    """Sizes count only when starting from scratch; ``num_layers`` are those of the encoder, and as many of the decoder."""

    max_length: int | None = knob(None, group="model", ge=4, le=8192)
    max_target_length: int | None = knob(None, group="model", ge=2, le=4096)
    vocab_size: int | None = knob(None, group="model", ge=300, le=1_000_000)
    hidden_size: int | None = knob(None, basic=True, group="model", ge=16, le=4096)
    num_layers: int | None = knob(None, basic=True, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    num_beams: int = knob(1, group="evaluation", ge=1, le=16)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    primary_metric: Literal["auto", "chrf", "rougeL", "rouge1", "rouge2"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return proposed(columns, "seq2seq")


RECIPE = Recipe(
    name="seq2seq",
    spec=Seq2SeqSpec,
    roles=(Role("source"), Role("target"), SPLIT),
    target="target",
    runtime="kargah.recipes.seq2seq",
    guess=guess,
    questions=asked_roles("source"),
    pipeline_tags={"": "text2text-generation"},
    starts_from=("scratch", "base_model"),
    structures=("seq2seq",),
    evaluates=True,
)
