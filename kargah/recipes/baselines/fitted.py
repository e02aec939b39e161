"""A simple model beside the data that it was fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kargah.recipes.measures import FloatArray
from kargah.recipes.runtime import SimpleModel
from kargah.recipes.splits import IntArray


@dataclass
class Fitted:
    """A baseline of a run (recipes.runtime.Baseline): ``reads`` gives the scores of rows, all else is the model's own."""

    model: SimpleModel
    reads: Callable[[IntArray], FloatArray]

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
        return self.reads(rows)

    def save(self, folder: Path) -> None:
        self.model.save(folder)


@dataclass
class Repeatable(Fitted):
    """One that can be fitted to other rows (recipes.runtime.LearnsAgain)."""

    fits: Callable[[IntArray], Fitted]

    def again(self, rows: IntArray) -> Fitted:
        return self.fits(rows)
