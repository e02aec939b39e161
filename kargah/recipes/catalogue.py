"""The recipes there are, by name. Importing this reaches no training code."""

from kargah.kit.errors import BadInput
from kargah.recipes.base import Match, Recipe
from kargah.recipes.columns import Column
from kargah.recipes.tabular import spec as tabular
from kargah.recipes.text_classification import spec as text_classification

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (text_classification.RECIPE, tabular.RECIPE)}


class UnknownRecipe(BadInput):
    code = "UNKNOWN_RECIPE"


def get(name: str) -> Recipe:
    try:
        return RECIPES[name]
    except KeyError:
        raise UnknownRecipe(field="recipe", name=name, known=", ".join(RECIPES)) from None


def guess(columns: list[Column]) -> list[tuple[Recipe, Match]]:
    """Recipes that could learn from these columns, the most likely first."""
    matches = [(recipe, match) for recipe in RECIPES.values() if (match := recipe.guess(columns)) is not None]
    return sorted(matches, key=lambda pair: pair[1].score, reverse=True)
