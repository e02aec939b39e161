"""The form of a recipe's settings."""

import re

import pytest

from kargah.recipes.base import Recipe
from kargah.recipes.catalogue import RECIPES
from kargah.web.pages.spec_form import groups_of
from kargah.web.pages.words import Words


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_numbers_are_shown_as_one_would_type_them(recipe: Recipe) -> None:
    fields = [field for group in groups_of(Words("fa"), recipe, {}, {}) for field in group.fields]
    shown = [field.placeholder for field in fields] + [text for field in fields for _, text in field.facts]
    assert "30" in shown  # seconds between checkpoints
    assert not [text for text in shown if re.search(r"\d\.0+\b", text)]
