"""Tag each word of a text: names of people and places, dates, parts of speech."""

from typing import Literal

from kargah.recipes import tasks
from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, asked_roles, knob
from kargah.recipes.columns import Column
from kargah.recipes.spec_parts import GrowingSpec, TaughtSpec, check_new_tokens


class TokenClassificationSpec(TaughtSpec, GrowingSpec):
    """``preset`` counts only when starting from scratch. ``tag_scheme``: how the model itself writes entities down; the data's own is
    found out."""

    preset: Literal["auto", "bilstm", "transformer"] = knob(AUTO, basic=True, group="model")
    tag_scheme: Literal["auto", "iob2", "bilou"] = knob(AUTO, group="data")
    max_length: int | None = knob(None, group="model", ge=8, le=8192)
    vocab_size: int | None = knob(None, group="model", ge=100, le=1_000_000)
    hidden_size: int | None = knob(None, group="model", ge=8, le=4096)
    num_layers: int | None = knob(None, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    primary_metric: Literal["auto", "f1", "macro_f1", "token_accuracy"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return tasks.proposed(columns, "token-classification")


RECIPE = Recipe(
    name="token-classification",
    spec=TokenClassificationSpec,
    roles=(Role("tokens"), Role("tags"), SPLIT),
    target="tags",
    runtime="kargah.recipes.token_classification",
    guess=guess,
    questions=asked_roles("text"),
    pipeline_tags={"": "token-classification"},
    starts_from=("scratch", "base_model"),
    structures=("token-classification",),
    learns_from_teachers=True,
    evaluates=True,
    check=check_new_tokens,
)
