"""Learn preferences: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kargah.recipes.decoders.data import TokenData
from kargah.recipes.preference.data import prepare
from kargah.recipes.runtime import Baseline, Request, Task

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES: tuple[str, ...] = ()


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    """None: what there is without training is the base model, whose preferences are told at the start."""
    del prepared, request
    yield from ()


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before."""
    from kargah.recipes.preference.task import build_task

    assert isinstance(prepared, TokenData)
    return build_task(prepared, request)
