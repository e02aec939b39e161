"""Tiny trainings of models that write, in this process: tables, requests and tasks as the worker makes them."""

from importlib import import_module
from pathlib import Path
from typing import Any

from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.runtime import Request
from kargah.recipes.table import Table
from kargah.text.normalise import NormaliserSettings

SENTENCES = [f"باغ شماره {number} سبز است و می\u200cماند؛ كتاب {number % 7} را می\u200cخوانیم.\nخط دوم {number}." for number in range(60)]
SMALL: dict[str, Any] = {"hidden_size": 32, "num_layers": 2, "vocab_size": 400, "max_length": 64, "dropout": 0.0, "batch_size": 4}


def request_of(
    recipe: str, columns: dict[str, list[Any]], base: Path | None = None, log: Any = None, roles: Any = None, **spec: Any
) -> Request:
    described = {
        name: Column(
            name=name, kind=ColumnKind.MESSAGES if isinstance(values[0], list) else ColumnKind.TEXT, rows=len(values), distinct=len(values)
        )
        for name, values in columns.items()
    }
    table = Table(described, columns, len(next(iter(columns.values()))), NormaliserSettings().model_dump(), "نمونه")
    made = catalogue.get(recipe).spec.model_validate({"columns": roles or {name: name for name in columns}, **spec})
    return Request(
        recipe, made, frozenset(spec), [table], base, Path(), 1, log or (lambda *_, **__: None), lambda: None
    )  # fmt: skip


def task_of(recipe: str, columns: dict[str, list[Any]], base: Path | None = None, **spec: Any) -> Any:
    train = import_module(f"{catalogue.get(recipe).runtime}.train")
    request = request_of(recipe, columns, base, **spec)
    return train.build(train.prepare(request), request)
