"""Train a reader: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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


@dataclass
class Fitted:
    """A simple reader beside the data that it was fitted on; its threshold is learnt on the validation rows."""

    model: NoAnswer | LinearReader
    data: AnswerData
    check: Callable[[], None]

    @classmethod
    def of(cls, model: NoAnswer | LinearReader, data: AnswerData, check: Callable[[], None]) -> Fitted:
        held = data.asked_of(data.validation_rows)
        if isinstance(model, LinearReader):
            model.threshold = learnt_threshold(held, model.best(held, check))
        return cls(model, data, check)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def family(self) -> str:
        return self.model.family

    @property
    def architecture(self) -> str:
        return self.model.architecture

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        asked = self.data.asked_of(rows)
        return found(asked, self.model.best(asked, self.check), self.model.threshold)

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, AnswerData)
    data, check = prepared, request.check
    yield lambda: Fitted.of(NoAnswer(), data, check)
    yield lambda: Fitted.of(LinearReader.fit(data.asked_of(data.train_rows), check), data, check)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.question_answering.task import build_task

    assert isinstance(prepared, AnswerData)
    return build_task(prepared, request)
