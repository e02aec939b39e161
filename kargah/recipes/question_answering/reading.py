"""What every reader has in common: a best piece of the passage, how far it is ahead of "no answer", and the threshold between."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import rows_of
from kargah.recipes.question_answering.measuring import Found, threshold_of
from kargah.recipes.question_answering.texts import Asked

_SHARPEST = 30.0


@dataclass(frozen=True)
class Best:
    """Places in the read passage; ``margin`` over "no answer"."""

    start: int
    end: int
    margin: float


def learnt_threshold(asked: Sequence[Asked], best: Sequence[Best]) -> float:
    texts = [_shown(one, own)[0] for one, own in zip(asked, best, strict=True)]
    return threshold_of([own.margin for own in best], texts, [tuple(text for text, _, _ in one.answers) for one in asked])


def found(asked: Sequence[Asked], best: Sequence[Best], threshold: float) -> FloatArray:
    """``Found`` a row."""
    return rows_of([_found(one, own, own.margin - threshold) for one, own in zip(asked, best, strict=True)])


def _found(asked: Asked, best: Best, ahead: float) -> Found:
    sure = 1 / (1 + math.exp(-max(-_SHARPEST, min(_SHARPEST, abs(ahead)))))
    text, start, end = _shown(asked, best)
    return Found(text, sure, start, end) if ahead >= 0 and text else Found("", sure)


def _shown(asked: Asked, best: Best) -> tuple[str, int, int]:
    start, end = asked.passage.shown(best.start, best.end)
    return asked.passage.given[start:end], start, end
