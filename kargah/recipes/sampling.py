"""In which order samples are seen: a pure function of (seed, epoch), so that a position is all that resuming needs."""

from collections.abc import Sequence

import numpy as np

_BATCHES_SORTED_TOGETHER = 32


def epoch_batches(costs: Sequence[int], batch_size: int, seed: int, epoch: int, by_length: bool = True) -> list[list[int]]:
    """All rows of one epoch in batches of ``batch_size`` (the last may be smaller).

    Rows are shuffled; ``by_length``: then sorted by length inside stretches of 32 batches, and the batches shuffled: little
    padding, and still another company for each row in each epoch.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(costs))
    if not by_length:
        return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
    stretch = batch_size * _BATCHES_SORTED_TOGETHER
    lengths = np.asarray(costs)
    stretches = [order[start : start + stretch] for start in range(0, len(order), stretch)]
    ordered = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in stretches])
    batches = [ordered[start : start + batch_size].tolist() for start in range(0, len(ordered), batch_size)]
    return [batches[index] for index in generator.permutation(len(batches))]
