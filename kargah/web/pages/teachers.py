"""The models that could teach a training: those of the same recipe that know the labels of the data."""

from collections.abc import Iterable, Mapping

from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.recipes.base import Recipe
from kargah.recipes.columns import Column
from kargah.web.pages.spec_form import Option
from kargah.web.pages.words import Words

#: Says the commonest label whatever it is asked.
_TEACHES_NOTHING = "majority"


def options_of(
    words: Words, recipe: Recipe, trained: Iterable[ModelOut], columns: Iterable[Column], roles: Mapping[str, list[str]], chosen: str
) -> list[Option]:
    """One that was chosen stays among them, so that what is wrong with it can be said. Empty for a recipe that nobody teaches."""
    if not recipe.learns_from_teachers:
        return []
    labels = labels_of(columns, roles.get(recipe.target, [])) if recipe.target == "label" else None
    found = [(model, version) for model in trained for version in model.versions if version.id == chosen or fits(version, recipe, labels)]
    return [Option(version.id, _text(words, model, version), version.id == chosen) for model, version in found]


def labels_of(columns: Iterable[Column], names: list[str]) -> set[str] | None:
    """The labels of the data, where they are known: of several columns, of lists and of very many labels they are not."""
    column = next((column for column in columns if names == [column.name]), None)
    if column is None or not column.top or len(column.top) < column.distinct:
        return None
    return {label.value.strip() for label in column.top}


def fits(version: ModelVersionOut, recipe: Recipe, labels: set[str] | None) -> bool:
    if version.recipe != recipe.name or version.family == _TEACHES_NOTHING:
        return False
    if not recipe.target:  # where the text itself is learnt, what teaches must tell the shares of all tokens
        return version.family == "network"
    known = {str(entry["label"]) for entry in version.detail.get("classes", [])}
    return bool(known) and labels in (None, known)


def _text(words: Words, model: ModelOut, version: ModelVersionOut) -> str:
    """``Comments · linear · accuracy 0.87``"""
    value = version.metrics.get(version.primary_metric) if version.primary_metric else None
    measured = [f"{words.first(f'metric.{version.primary_metric}', str(version.primary_metric))} {words.number(value, 3)}"]
    return " · ".join([model.title, version.name, *(measured if value is not None else [])])
