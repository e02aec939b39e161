"""Train sentence embeddings: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kargah.recipes.embeddings.baseline import TfidfVectors
from kargah.recipes.embeddings.data import EmbeddingData, prepare, scores_by
from kargah.recipes.measures import FloatArray
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES: tuple[str, ...] = ()


@dataclass
class TfidfSearch:
    """The vectors beside the texts they are measured on."""

    model: TfidfVectors
    data: EmbeddingData
    check: Callable[[], None]
    name: str = "tfidf"
    family: str = "tfidf"
    architecture: str = "tfidf-hashed"

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        vectors = {}
        for text in self.data.used_by(rows):
            self.check()
            vectors[text] = self.model.vector(self.data.texts[text])
        return scores_by(self.data, rows, vectors, self.check)

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, EmbeddingData)
    data = prepared
    yield lambda: TfidfSearch(TfidfVectors.fit(data, request.check), data, request.check)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.embeddings.task import build_task

    assert isinstance(prepared, EmbeddingData)
    return build_task(prepared, request)
