"""Train a writer from text to text: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.seq2seq.baseline import Lead
from kargah.recipes.seq2seq.data import Seq2SeqData, prepare

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES: tuple[str, ...] = ()


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    del request
    assert isinstance(prepared, Seq2SeqData)
    data = prepared
    yield lambda: Lead.fit(data)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.seq2seq.task import build_task

    assert isinstance(prepared, Seq2SeqData)
    return build_task(prepared, request)
