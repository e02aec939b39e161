"""In which order samples are seen: a pure function of (seed, epoch), so that a position is all that resuming needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BATCHES_SORTED_TOGETHER = 32


@dataclass(frozen=True)
class Draw:
    """Of the rows at ``places``, ``rows`` are seen in an epoch: each equally often, give or take one."""

    places: NDArray[np.int64]
    rows: int


def epoch_batches(
    costs: Sequence[int], batch_size: int, seed: int, epoch: int, by_length: bool = True, draws: Sequence[Draw] = ()
) -> list[list[int]]:
    """All rows of one epoch in batches of ``batch_size`` (the last may be smaller). ``draws``: not each row once, but so many of each kind.

    Rows are shuffled; ``by_length``: then sorted by length inside stretches of 32 batches, and the batches shuffled: little
    padding, and still another company for each row in each epoch.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(_drawn(draws, generator) if draws else len(costs))
    if not by_length:
        return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
    stretch = batch_size * _BATCHES_SORTED_TOGETHER
    lengths = np.asarray(costs)
    stretches = [order[start : start + stretch] for start in range(0, len(order), stretch)]
    ordered = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in stretches])
    batches = [ordered[start : start + batch_size].tolist() for start in range(0, len(ordered), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]


def _drawn(draws: Sequence[Draw], generator: np.random.Generator) -> NDArray[np.int64]:
    parts: list[NDArray[np.int64]] = []
    for draw in draws:
        whole, rest = divmod(draw.rows, len(draw.places))
        parts += [draw.places] * whole + [generator.permutation(draw.places)[:rest]]
    return np.concatenate(parts)
