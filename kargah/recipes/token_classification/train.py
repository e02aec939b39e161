"""Train a tagger: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kargah.recipes.baselines.fitted import Fitted, Repeatable
from kargah.recipes.distillation import softened_rows
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray
from kargah.recipes.token_classification.baselines import LinearTagger, TagOfWord
from kargah.recipes.token_classification.data import TagData, prepare
from kargah.recipes.token_classification.spec import TokenClassificationSpec

if TYPE_CHECKING:
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES = ("sklearn.linear_model",)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, TagData)
    data, rows = prepared, prepared.train_rows
    words, tags, labels = data.words_of(rows), data.tags_of(rows), len(data.problem.labels)
    yield lambda: _fitted(TagOfWord.fit(words, tags, labels), data)
    yield lambda: _repeatable(LinearTagger.fit(words, tags, labels, request.check), data, request.check)
    if data.teacher is not None:
        yield lambda: _fitted(_student(data, request), data)


def _student(data: TagData, request: Request) -> LinearTagger:
    """By the teacher's shares beside the tags, as networks are."""
    spec, rows = request.spec, data.train_rows
    assert isinstance(spec, TokenClassificationSpec)
    soft = softened_rows(data, request)
    return LinearTagger.taught(
        data.words_of(rows), data.tags_of(rows), soft, spec.distillation_temperature, spec.distillation_share, request.check
    )


def _fitted(model: TagOfWord | LinearTagger, data: TagData) -> Fitted:
    return Fitted(model, lambda rows: rows_of(model.scores_of(data.words_of(rows))))


def _repeatable(model: LinearTagger, data: TagData, check: Callable[[], None]) -> Repeatable:
    def fits(rows: IntArray) -> Fitted:
        return _fitted(model.again(data.words_of(rows), data.tags_of(rows), check), data)

    once = _fitted(model, data)
    return Repeatable(once.model, once.reads, fits)


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.token_classification.task import build_task

    assert isinstance(prepared, TagData)
    return build_task(prepared, request)
