"""Answering with a model folder, whatever made it: ``load_predictor(folder).predict(["…"])``.

A folder is read by its ``kargah.json``. Baselines answer with numpy alone; torch is imported only for a network.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from kargah.kit import files
from kargah.recipes import catalogue
from kargah.recipes.errors import UnknownModelFolder

Input = str | dict[str, Any]


class Predictor(Protocol):
    """``predict`` answers in the order of ``inputs``, each in one of these forms (``forms.py`` of the pages and the CLI show them):

    - a column's value: ``{"label", "score", "scores"}``, ``{"labels", "scores"}`` or ``{"value"}``;
    - parts of the asked text: ``{"text", "entities": [{"start", "end", "label", "text", "score"}]}``, places in characters;
    - a piece of a text: ``{"answer", "score", "start", "end"}``, the answer "" where the text has none;
    - words for a gap: ``{"fills": [{"text", "score"}]}``;
    - a text that was written: ``{"text"}``;
    - a vector: ``{"vector": [numbers]}``.

    Raises a BadInput that names the index and the field of an input that cannot be answered; then none is answered.
    """

    about: dict[str, Any]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]: ...


class PredictModule(Protocol):
    """The shape of a recipe's ``predict`` module."""

    def load(self, folder: Path, threads: int) -> Predictor: ...


def load_predictor(folder: Path, threads: int = 1) -> Predictor:
    """Raises UnknownModelFolder for a folder without kargah.json."""
    recipe = catalogue.get(about(folder)["recipe"])
    module = cast("PredictModule", importlib.import_module(f"{recipe.runtime}.predict"))
    return module.load(folder, threads)


def about(folder: Path) -> dict[str, Any]:
    """What kargah.json says of a model: recipe, family, architecture, labels, columns, normaliser …"""
    try:
        stored: dict[str, Any] = files.read_json(folder / "kargah.json")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UnknownModelFolder(field="folder", folder=folder.name) from None
    return stored
