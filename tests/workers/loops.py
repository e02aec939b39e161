"""Small trainings of any recipe in this process, to be stepped by hand."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from attempts import write_dataset
from test_resuming import SMALL, sample_of

from kargah.contract.wire import EventWriter
from kargah.recipes.base import Recipe
from kargah.recipes.runtime import Request, Task
from kargah.recipes.table import read
from kargah.recipes.token_rows import KeptTokens
from kargah.text.normalise import NormaliserSettings
from kargah.workers.checkpoint import Keeping, TrainState
from kargah.workers.keeper import Keeper
from kargah.workers.loop import Loop
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants


def small_loop(
    folder: Path,
    recipe: Recipe,
    preset: str | None,
    wants: Wants,
    fits: Callable[[Task], bool],
    state: TrainState,
    kept: KeptTokens | None = None,
    **spec: Any,
) -> Loop | None:
    """Of the recipe's own sample, with ``spec`` where the recipe has such settings. None for a network that does not ``fit``."""
    write_dataset(folder / "set", sample_of(recipe))
    known = recipe.spec.model_fields
    chosen = {name: value for name, value in {**SMALL, "batch_size": 8, "checkpoint_seconds": 3600, **spec}.items() if name in known}
    whole = recipe.spec.model_validate({**chosen, **({"preset": preset} if preset else {})})
    table = read(folder / "set", NormaliserSettings().model_dump(mode="json"))
    runtime = import_module(f"{recipe.runtime}.train")
    request = Request(
        recipe.name, whole, frozenset(chosen), [table], None, folder, 1, log=lambda *_, **__: None, check=lambda: None, kept=kept
    )  # fmt: skip
    prepared = runtime.prepare(request)
    task = runtime.build(prepared, request)
    if not fits(task):
        return None
    tell = Teller(EventWriter(folder / "events.jsonl"))
    return Loop(task, prepared, state, tell, wants, Keeper(folder, Keeping(), tell), whole)
