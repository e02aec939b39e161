"""Train a reader: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kargah.recipes.baselines.fitted import Fitted
from kargah.recipes.measures import FloatArray
from kargah.recipes.question_answering.baselines import LinearReader, NoAnswer
from kargah.recipes.question_answering.data import AnswerData, prepare
from kargah.recipes.question_answering.reading import found, learnt_threshold
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES = ("sklearn.linear_model",)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, AnswerData)
    data, check = prepared, request.check
    yield lambda: _fitted(NoAnswer(), data, check)
    yield lambda: _fitted(LinearReader.fit(data.asked_of(data.train_rows), check), data, check)


def _fitted(model: NoAnswer | LinearReader, data: AnswerData, check: Callable[[], None]) -> Fitted:
    """The threshold is learnt on the validation rows."""
    held = data.asked_of(data.validation_rows)
    if isinstance(model, LinearReader):
        model.threshold = learnt_threshold(held, model.best(held, check))

    def scores(rows: IntArray) -> FloatArray:
        asked = data.asked_of(rows)
        return found(asked, model.best(asked, check), model.threshold)

    return Fitted(model, scores)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.question_answering.task import build_task

    assert isinstance(prepared, AnswerData)
    return build_task(prepared, request)
