"""Which columns play which part, as the likeliest recipe would have it."""

from dataclasses import dataclass

from kargah.recipes import catalogue, hints
from kargah.recipes.columns import Column, ColumnKind

TEXTUAL = (ColumnKind.TEXT, ColumnKind.CATEGORY)


@dataclass(frozen=True)
class Roles:
    """``inputs``: what a model is told. ``pair``: two texts of which both should matter. ``split``: the column that says train or test."""

    target: str | None
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    pair: tuple[str, str] | None
    split: str | None

    @classmethod
    def of(cls, columns: list[Column]) -> "Roles":
        guesses = catalogue.guess(columns)
        given = guesses[0][1].columns if guesses else {}
        split = next((column.name for column in columns if hints.is_split(column)), None)
        target = _single(given.get("label") or given.get("target"))
        first, second = _single(given.get("text")), _single(given.get("text_pair"))
        features = given.get("features") or []
        inputs = [name for name in (first, second, *([features] if isinstance(features, str) else features)) if name]
        textual = {column.name for column in columns if column.kind is ColumnKind.TEXT}
        return cls(
            target=target,
            inputs=tuple(name for name in inputs if name not in (target, split)),
            texts=tuple(name for name in inputs if name in textual) or tuple(sorted(textual - {target or ""})),
            pair=(first, second) if first and second else None,
            split=split,
        )


def is_training(part: str | None) -> bool:
    return part is not None and hints.part_of(part) == "train"


def _single(given: str | list[str] | None) -> str | None:
    if isinstance(given, list):
        return given[0] if len(given) == 1 else None
    return given
