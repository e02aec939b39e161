"""Train a tagger: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray
from kargah.recipes.token_classification.baselines import LinearTagger, TagOfWord
from kargah.recipes.token_classification.data import TagData, prepare

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES = ("sklearn.linear_model",)


@dataclass
class Fitted:
    """A simple tagger beside the data that it was fitted on."""

    model: TagOfWord | LinearTagger
    data: TagData

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
        return rows_of(self.model.scores_of(self.data.words_of(rows)))

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, TagData)
    data, rows = prepared, prepared.train_rows
    words, tags, labels = data.words_of(rows), data.tags_of(rows), len(data.problem.labels)
    yield lambda: Fitted(TagOfWord.fit(words, tags, labels), data)
    yield lambda: Fitted(LinearTagger.fit(words, tags, labels, request.check), data)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.token_classification.task import build_task

    assert isinstance(prepared, TagData)
    return build_task(prepared, request)
