"""Columns of text as a recipe reads them: which take which role, normalised once, all data sets one after another."""

from kargah.recipes import catalogue
from kargah.recipes.base import Recipe
from kargah.recipes.errors import NormalisersDiffer, RoleMissing
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.table import normaliser_of

Roles = dict[str, list[str]]


def roles_of(request: Request, recipe: Recipe) -> tuple[Roles, Decision]:
    """The columns of each role that has any, as they were named or, where none was, as the recipe proposes.

    Raises RoleMissing, and NormalisersDiffer for data sets that a model could not take in the same way.
    """
    if any(table.normaliser != request.tables[0].normaliser for table in request.tables):
        raise NormalisersDiffer(field="datasets")
    columns = request.spec.columns
    if not columns:
        match = catalogue.match_of(recipe, list(request.tables[0].columns.values()))
        columns = match.columns if match else {}
    roles = {role: [taken] if isinstance(taken, str) else list(taken) for role, taken in columns.items() if taken}
    for role in recipe.roles:
        if role.required and role.name not in roles:
            raise RoleMissing(field=f"spec.columns.{role.name}", role=role.name, recipe=recipe.name)
    source, why = ("chosen", "why.chosen") if "columns" in request.chosen else ("adapted", "why.columns_guessed")
    return roles, Decision("columns", columns, source, why)


def texts_of(request: Request, role: str, column: str) -> list[str]:
    """What the model learns from is what the same function makes of a question later. "" where a cell is empty."""
    texts = []
    for table in request.tables:
        normaliser = normaliser_of(table.normaliser)
        for number, value in enumerate(table.column(column, role)):
            if number % 1000 == 0:
                request.check()
            raw = "" if value is None else str(value)
            texts.append(normaliser.apply(raw) if normaliser else raw)
    return texts
