"""Learn to go on with a text: from scratch, or further from a base model."""

from typing import Literal

from kargah.recipes import tasks
from kargah.recipes.base import AUTO, SPLIT, Match, Question, Recipe, Role, knob
from kargah.recipes.columns import Column
from kargah.recipes.decoders.spec import DecoderSpec, writing_questions
from kargah.recipes.spec_parts import GrowingSpec, TaughtSpec, check_new_tokens


class CausalLMSpec(DecoderSpec, TaughtSpec, GrowingSpec):
    """``sample_prompt``: what the model goes on from at each evaluation, to show what it writes by then."""

    sample_prompt: str | None = knob(None, group="evaluation", max_length=500)
    primary_metric: Literal["auto", "perplexity", "bits_per_byte", "token_accuracy"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return tasks.proposed(columns, "language-modeling")


RECIPE = Recipe(
    name="causal-lm",
    spec=CausalLMSpec,
    roles=(Role("text"), SPLIT),
    target="",
    runtime="kargah.recipes.causal_lm",
    guess=guess,
    questions=writing_questions(Question("text")),
    pipeline_tags={"": "text-generation"},
    starts_from=("scratch", "base_model"),
    structures=("language-modeling",),
    learns_from_teachers=True,
    check=check_new_tokens,
)
