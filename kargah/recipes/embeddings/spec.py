"""Texts as vectors whose nearness is nearness of meaning, learnt from pairs that belong together."""

from typing import Literal

from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, Spec, asked_roles, knob
from kargah.recipes.columns import Column
from kargah.recipes.tasks import proposed

Preset = Literal["auto", "bag", "transformer"]
METRICS = {
    "retrieval": ("ndcg_at_10", "mrr", "recall_at_1", "recall_at_10"),
    "similarity": ("spearman",),
}


class SentenceEmbeddingsSpec(Spec):
    """``hidden_size`` is the length of the vectors. ``temperature``: how sharply near is told from far."""

    preset: Preset = knob(AUTO, basic=True, group="model")
    temperature: float = knob(0.05, ge=0.001, le=10)
    max_length: int | None = knob(None, group="model", ge=4, le=8192)
    vocab_size: int | None = knob(None, group="model", ge=100, le=1_000_000)
    hidden_size: int | None = knob(None, group="model", ge=8, le=8192)
    num_layers: int | None = knob(None, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    primary_metric: Literal["auto", "ndcg_at_10", "mrr", "recall_at_1", "recall_at_10", "spearman"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return proposed(columns, "sentence-similarity")


RECIPE = Recipe(
    name="sentence-embeddings",
    spec=SentenceEmbeddingsSpec,
    roles=(Role("anchor"), Role("positive"), Role("negative", required=False, many=True), Role("similarity", required=False), SPLIT),
    target="positive",
    runtime="kargah.recipes.embeddings",
    guess=guess,
    questions=asked_roles("text"),
    pipeline_tags={"": "sentence-similarity"},
    starts_from=("scratch", "base_model"),
    structures=("sentence-similarity",),
    evaluates=True,
    compares=lambda _: True,
)
