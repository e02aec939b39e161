"""From what was asked and what the columns are to a recipe and its whole spec: chosen here for the server and the terminal alike."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.base import SPLIT, Match, Recipe
from kargah.recipes.columns import Column
from kargah.recipes.errors import ColumnMissing, ColumnsDiffer, NoTaskFits, RoleMissing

Roles = dict[str, str | list[str]]


def choose(name: str | None, columns: Sequence[Column], target: str | None = None) -> tuple[Recipe, Match | None]:
    """The named recipe, else the one that knows these columns best (and, with ``target``, can learn that column)."""
    known = list(columns)
    if target is not None:
        _check_column("target", target, {column.name for column in known})
    if name is not None:
        recipe = catalogue.get(name)
        return recipe, catalogue.match_of(recipe, known)
    for recipe, match in catalogue.guess(known, aimed=target is not None):
        inputs = {taken for role, taken in match.columns.items() if isinstance(taken, str) and role != recipe.target}
        if target not in inputs:
            return recipe, match
    raise NoTaskFits(field="recipe", known=", ".join(catalogue.RECIPES))


def complete(
    recipe: Recipe, match: Match | None, given: dict[str, Any], columns: Sequence[Column], target: str | None = None
) -> dict[str, Any]:
    """The recipe's whole spec: what was set, over what was guessed, over the defaults; every column checked by name."""
    asked = _roles_given(given) | ({recipe.target: target} if target is not None else {})
    guessed = match.spec if match and not asked else {}
    roles = _aimed(recipe, dict(match.columns) if match else {}, asked)
    try:
        spec = recipe.spec.model_validate({**guessed, **given, "columns": {role: taken for role, taken in roles.items() if taken}})
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False)[0]
        raise BadInput(field=".".join(("spec", *map(str, first["loc"]))), reason=first["msg"]) from None
    _check_roles(recipe, spec.columns, {column.name for column in columns})
    return spec.model_dump(mode="json")


def in_line(recipe: Recipe, roles: Roles, title: str, columns: Sequence[Column], wanted: dict[str, str]) -> dict[str, str]:
    """How the columns of a further data set stand for those of the first: the first's name → its own, where they differ.

    ``roles``: of the first; ``wanted``: role → own column, where a person says so. Else it is the column of the same name, else the one
    that is proposed for that role. Raises ColumnsDiffer, ColumnMissing.
    """
    names = {column.name for column in columns}
    match = catalogue.match_of(recipe, list(columns))
    found: dict[str, str] = {}
    for role, column in wanted.items():
        if role not in roles or not isinstance(roles[role], str):
            raise BadInput(field=f"datasets.columns.{role}", reason=f"one of {', '.join(sorted(roles))}")
        _check_column(f"datasets.columns.{role}", column, names)
    for role, taken in roles.items():
        proposed = wanted.get(role) or (match.columns.get(role) if match and isinstance(taken, str) and taken not in names else None)
        for name in [taken] if isinstance(taken, str) else taken:
            own = proposed if isinstance(proposed, str) else name
            if own in names:
                found[name] = own
            elif role != SPLIT.name:
                raise ColumnsDiffer(field="datasets", title=title, columns=name)
    return {name: own for name, own in found.items() if name != own}


def _roles_given(given: dict[str, Any]) -> Roles:
    roles = given.get("columns") or {}
    if not isinstance(roles, dict):
        raise BadInput(field="spec.columns", reason="object")
    return roles


def _aimed(recipe: Recipe, guessed: Roles, asked: Roles) -> Roles:
    """A column that becomes the target is no feature any more, and the target that was guessed becomes one."""
    roles = guessed | asked
    features, former, target = guessed.get("features"), guessed.get(recipe.target), roles.get(recipe.target)
    if isinstance(features, list) and "features" not in asked and isinstance(former, str) and former != target:
        roles["features"] = [*(name for name in features if name != target), former]
    return roles


def _check_roles(recipe: Recipe, roles: Roles, names: set[str]) -> None:
    for role in recipe.roles:
        if role.required and not roles.get(role.name):
            raise RoleMissing(field=f"spec.columns.{role.name}", role=role.name, recipe=recipe.name)
    known = {role.name for role in recipe.roles}
    for name, taken in roles.items():
        if name not in known:
            raise BadInput(field=f"spec.columns.{name}", reason=f"one of {', '.join(sorted(known))}")
        for column in [taken] if isinstance(taken, str) else taken:
            _check_column(f"spec.columns.{name}", column, names)


def _check_column(field: str, column: str, names: set[str]) -> None:
    if column not in names:
        raise ColumnMissing(field=field, column=column, known=", ".join(sorted(names)))
