"""Find the answer to a question in a text, or that it has none (SQuAD 2.0's task)."""

from typing import Literal

from kargah.recipes import tasks
from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, Spec, asked_roles, knob
from kargah.recipes.columns import Column


class QuestionAnsweringSpec(Spec):
    """Sizes count only when starting from scratch. ``stride``: tokens that two windows of a long text share; ``longest_answer``: in
    tokens."""

    max_length: int | None = knob(None, group="model", ge=16, le=8192)
    stride: int | None = knob(None, group="model", ge=0, le=4096)
    longest_answer: int = knob(30, group="model", ge=1, le=512)
    vocab_size: int | None = knob(None, group="model", ge=100, le=1_000_000)
    hidden_size: int | None = knob(None, group="model", ge=8, le=4096)
    num_layers: int | None = knob(None, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    primary_metric: Literal["auto", "f1", "exact_match"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return tasks.proposed(columns, "question-answering")


RECIPE = Recipe(
    name="question-answering",
    spec=QuestionAnsweringSpec,
    roles=(Role("context"), Role("question"), Role("answers"), SPLIT),
    target="answers",
    runtime="kargah.recipes.question_answering",
    guess=guess,
    questions=asked_roles("context", "question"),
    pipeline_tags={"": "question-answering"},
    starts_from=("scratch", "base_model"),
    structures=("question-answering",),
    evaluates=True,
)
