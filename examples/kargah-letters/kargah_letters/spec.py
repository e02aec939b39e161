"""What people may set, which columns it takes, and when it is proposed. The server imports this: no torch, no numpy."""

from kargah.recipes import hints
from kargah.recipes.base import SPLIT, Match, Recipe, Role, Spec, asked_roles, knob
from kargah.recipes.columns import Column


class LettersSpec(Spec):
    buckets: int = knob(2048, basic=True, group="model", ge=16, le=1_000_000)


def guess(columns: list[Column]) -> Match | None:
    """Never the first choice: it shows how a recipe is made."""
    text = next((column for column in columns if hints.holds_text(column)), None)
    label = next((column for column in columns if column is not text and hints.holds_classes(column)), None)
    return Match(0.01, {"text": text.name, "label": label.name}, (), {}) if text and label else None


RECIPE = Recipe(
    name="letters",
    spec=LettersSpec,
    roles=(Role("text"), Role("label"), SPLIT),
    target="label",
    runtime="kargah_letters",
    guess=guess,
    questions=asked_roles("text"),
    pipeline_tags={"": "text-classification"},
)
