"""Learn which of two answers people prefer, beginning with a model that answers already."""

from typing import Literal

from kargah.recipes import tasks
from kargah.recipes.base import AUTO, SPLIT, Match, Question, Recipe, Role, knob
from kargah.recipes.columns import Column
from kargah.recipes.decoders.spec import DecoderSpec, writing_questions


class PreferenceSpec(DecoderSpec):
    """``beta`` left open: what the paper of the loss takes. ``simpo_gamma``: as a share of beta."""

    loss: Literal["auto", "dpo", "ipo", "orpo", "kto", "simpo"] = knob(AUTO, basic=True, group="training")
    beta: float | None = knob(None, group="training", gt=0, le=100)
    simpo_gamma: float = knob(0.5, group="training", ge=0, le=10)
    primary_metric: Literal["auto", "preference_accuracy", "reward_margin"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    return tasks.proposed(columns, "dpo")


RECIPE = Recipe(
    name="preference",
    spec=PreferenceSpec,
    roles=(Role("prompt", required=False), Role("chosen"), Role("rejected"), Role("system", required=False), SPLIT),
    target="",
    runtime="kargah.recipes.preference",
    guess=guess,
    questions=writing_questions(Question("prompt"), Question("system", required=False)),
    pipeline_tags={"": "text-generation"},
    starts_from=("base_model", "scratch"),
    structures=("dpo",),
    compares=lambda spec: spec.loss == "kto",
)
