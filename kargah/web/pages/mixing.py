"""Several data sets in one training, as the form has them: a weight for each, and columns that are named otherwise than in the first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kargah.contract.plans import DatasetUse
from kargah.datasets.schemas import DatasetOut
from kargah.recipes.columns import Column
from kargah.web.pages.spec_form import Given, Option, number_of
from kargah.web.pages.words import Words

WEIGHT, COLUMN = "weight.", "column."
GREATEST_WEIGHT = 100


@dataclass(frozen=True)
class RoleChoice:
    form_name: str
    label: str
    options: list[Option]


@dataclass(frozen=True)
class MixField:
    """``roles``: empty for the first, whose roles are chosen above."""

    title: str
    form_name: str
    weight: str
    roles: list[RoleChoice]


def fields_of(
    words: Words, chosen: list[DatasetOut], columns: Mapping[str, list[Column]], roles: Mapping[str, list[str]], given: Given
) -> list[MixField]:
    """One for each data set, where there are several."""
    if len(chosen) < 2:
        return []
    single = [role for role, taken in roles.items() if len(taken) == 1]
    return [
        MixField(
            title=dataset.title,
            form_name=f"{WEIGHT}{dataset.id}",
            weight=_typed(given, f"{WEIGHT}{dataset.id}"),
            roles=[_choice(words, dataset.id, role, columns.get(dataset.id, []), given) for role in single] if place else [],
        )
        for place, dataset in enumerate(chosen)
    ]


def _choice(words: Words, dataset_id: str, role: str, columns: list[Column], given: Given) -> RoleChoice:
    name = f"{COLUMN}{dataset_id}.{role}"
    taken = _typed(given, name)
    options = [
        Option("", words.text("choice.auto"), not taken),
        *(Option(column.name, column.name, column.name == taken) for column in columns),
    ]
    return RoleChoice(name, words.text(f"role.{role}"), options)


def uses_of(chosen: list[str], roles: Mapping[str, list[str]], given: Given) -> list[str | DatasetUse]:
    """Plain ids where nothing is set; a weight that is none counts as not set (see ``has_bad_weight``)."""
    return [_use(dataset_id, place, roles, given) for place, dataset_id in enumerate(chosen)] if len(chosen) > 1 else [*chosen]


def _use(dataset_id: str, place: int, roles: Mapping[str, list[str]], given: Given) -> str | DatasetUse:
    weight = _weight(_typed(given, f"{WEIGHT}{dataset_id}"))
    columns = {role: own for role in roles if place and (own := _typed(given, f"{COLUMN}{dataset_id}.{role}"))}
    return DatasetUse(id=dataset_id, weight=weight or 1.0, columns=columns) if weight or columns else dataset_id


def has_bad_weight(chosen: list[str], given: Given) -> bool:
    typed = (_typed(given, f"{WEIGHT}{dataset_id}") for dataset_id in chosen)
    return len(chosen) > 1 and any(text and _weight(text) is None for text in typed)


def _weight(text: str) -> float | None:
    """In the digits of any of the languages; None for what is no weight."""
    number = number_of(text) if text else None
    return float(number) if isinstance(number, int | float) and 0 < number <= GREATEST_WEIGHT else None


def given_of(dataset_id: str, planned: dict[str, Any], roles: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields as they were filled in for an earlier training."""
    own = planned.get("columns") or {}
    filled = {f"{COLUMN}{dataset_id}.{role}": [own[name]] for role, name in roles.items() if isinstance(name, str) and name in own}
    weight = planned.get("weight", 1.0)
    return filled | ({f"{WEIGHT}{dataset_id}": [f"{weight:g}"]} if weight != 1 else {})


def _typed(given: Given, name: str) -> str:
    values = given.get(name) or [""]
    return values[-1].strip()
