"""The likeliest sequence of tags that a scheme allows (Viterbi 1967), of many rows at once. numpy only."""

from collections.abc import Sequence

import numpy as np

from kargah.recipes.measures import FloatArray
from kargah.recipes.token_classification.schemes import Moves

_NEVER = -1e9
_LEAST = 1e-12
_ROWS_AT_ONCE = 256


def decoded(scores: Sequence[FloatArray], moves: Moves) -> list[FloatArray]:
    """``scores``: probabilities [words, tags] a row → int64 [words] a row. The words' tags are taken as independent but for ``moves``."""
    if all(map(all, moves.follows)):
        return [row.argmax(axis=1) for row in scores]
    order = sorted(range(len(scores)), key=lambda row: len(scores[row]))
    found: dict[int, FloatArray] = {}
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE]
        found.update(zip(rows, _together([scores[row] for row in rows], moves), strict=True))
    return [found[row] for row in range(len(scores))]


def _together(scores: Sequence[FloatArray], moves: Moves) -> list[FloatArray]:
    """Rows are filled up at the end with words that leave everything as it is: the way goes on from where it was."""
    lengths = np.array([len(row) for row in scores])
    longest, tags = int(lengths.max(initial=0)), len(moves.begins)
    forbidden = np.where(np.array(moves.follows), 0.0, _NEVER)
    ways = np.zeros((longest, len(scores), tags), dtype=np.int64)
    filled = np.zeros((len(scores), longest, tags))
    for place, row in enumerate(scores):
        filled[place, : len(row)] = np.log(np.maximum(row, _LEAST))
        if len(row):
            filled[place, 0] += np.where(moves.begins, 0.0, _NEVER)
            filled[place, len(row) - 1] += np.where(moves.ends, 0.0, _NEVER)
    best = filled[:, 0].copy() if longest else np.zeros((len(scores), tags))
    for word in range(1, longest):
        reached = best[:, :, None] + forbidden[None]
        ways[word] = reached.argmax(axis=1)
        alive = (word < lengths)[:, None]
        best = np.where(alive, reached.max(axis=1) + filled[:, word], best)
    return [_back(ways[:, place], int(lengths[place]), int(best[place].argmax())) for place in range(len(scores))]


def _back(ways: FloatArray, length: int, last: int) -> FloatArray:
    found = np.zeros(length, dtype=np.int64)
    for word in range(length - 1, -1, -1):
        found[word] = last
        last = int(ways[word, last])
    return found
