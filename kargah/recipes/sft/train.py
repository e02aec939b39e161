"""Learn to answer: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kargah.recipes.decoders.data import TokenData
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.sft.data import prepare

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES: tuple[str, ...] = ()


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    from kargah.recipes.decoders.ngrams import NgramBaseline

    assert isinstance(prepared, TokenData)
    data = prepared
    yield lambda: NgramBaseline.fit(data, request.check)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before."""
    from kargah.recipes.sft.task import build_task

    assert isinstance(prepared, TokenData)
    return build_task(prepared, request)
