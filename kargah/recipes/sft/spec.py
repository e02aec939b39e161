"""Learn to answer: instructions with their answers, or whole conversations; only what the assistant says is learnt."""

from typing import Literal

from kargah.recipes import tasks
from kargah.recipes.base import AUTO, SPLIT, Match, Question, Recipe, Role, knob
from kargah.recipes.columns import Column
from kargah.recipes.decoders.spec import DecoderSpec, writing_questions
from kargah.recipes.spec_parts import GrowingSpec, TaughtSpec, check_new_tokens


class SftSpec(DecoderSpec, TaughtSpec, GrowingSpec):
    primary_metric: Literal["auto", "perplexity", "bits_per_byte", "token_accuracy"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return tasks.proposed(columns, "sft")


#: Each set of roles is enough by itself.
WAYS = (("messages",), ("instruction", "output"), ("prompt", "completion"))
RECIPE = Recipe(
    name="sft",
    spec=SftSpec,
    roles=(
        *(Role(name, required=False) for name in ("messages", "instruction", "input", "output", "prompt", "completion", "system")),
        SPLIT,
    ),
    target="",
    runtime="kargah.recipes.sft",
    guess=guess,
    questions=writing_questions(Question("prompt"), Question("system", required=False)),
    pipeline_tags={"": "text-generation"},
    starts_from=("scratch", "base_model"),
    structures=("sft",),
    learns_from_teachers=True,
    check=check_new_tokens,
)
