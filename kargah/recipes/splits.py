"""Which rows are held out: seeded, stratified, and never two copies of the same row on both sides."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def stratified_split(groups: Sequence[Hashable], strata: Sequence[Hashable], share: float, seed: int) -> tuple[IntArray, IntArray]:
    """Return (train rows, validation rows), each sorted.

    Rows of one group (the same normalised input) go to the same side together, so that a copy of a training row cannot
    flatter the evaluation. Every stratum keeps at least one group in training, and gives at least one to validation when
    it has three or more. Both sides have a row whenever there are two groups. A group's stratum is that of its first row.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    by_stratum: dict[Hashable, list[list[int]]] = {}
    for rows in members.values():
        by_stratum.setdefault(strata[rows[0]], []).append(rows)
    generator = np.random.default_rng(seed)
    train: list[list[int]] = []
    validation: list[list[int]] = []
    for bunches in by_stratum.values():
        order = [bunches[index] for index in generator.permutation(len(bunches))]
        held = _held_out(len(order), share)
        validation += order[:held]
        train += order[held:]
    if not validation and len(train) > 1:
        validation.append(train.pop(int(generator.integers(len(train)))))
    _return_lost_strata(train, validation, strata)
    return _sorted(train), _sorted(validation)


def _return_lost_strata(train: list[list[int]], validation: list[list[int]], strata: Sequence[Hashable]) -> None:
    """A group of copies may hide a stratum that only its later rows have: such a group goes back to training."""
    known = {strata[row] for rows in train for row in rows}
    for rows in [rows for rows in validation if any(strata[row] not in known for row in rows)]:
        if len(validation) > 1:
            validation.remove(rows)
            train.append(rows)


def _held_out(count: int, share: float) -> int:
    least = 1 if count >= 3 else 0
    return min(count - 1, max(least, round(count * share)))


def _sorted(groups: list[list[int]]) -> IntArray:
    return np.array(sorted(row for rows in groups for row in rows), dtype=np.int64)


def strata_of_numbers(values: NDArray[np.float64], bins: int = 10) -> list[int]:
    """Quantile bins of a regression target, so that both sides see its whole range."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, min(bins, max(1, len(values) // 5)) + 1)[1:-1]))
    return [int(index) for index in np.searchsorted(edges, values, side="right")]
