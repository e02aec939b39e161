"""What a training can mend by itself in the middle of a step: too little memory, compiled layers that fail, and, where it may, a row that
is no good."""

from typing import TYPE_CHECKING

import torch

from kargah.engine.ranks import Parted
from kargah.kit.errors import KargahError
from kargah.recipes import planning
from kargah.recipes.errors import BadRow
from kargah.workers import compiling, failures

if TYPE_CHECKING:
    from kargah.workers.loop import Loop


def mended(loop: "Loop", batches: list[list[int]], error: Exception) -> bool:
    """Whether the step can be tried again now. Raises BadRow when one row alone makes it fail and may not be left out."""
    if isinstance(error, KargahError | Parted):
        return False
    if failures.is_out_of_memory(error):
        return halve(loop, batches)
    row = _bad_row(loop, batches, error)
    if row is None:
        return compiling.given_up(loop, error)
    number, reason = int(loop.prepared.train_rows[row]) + 1, f"{type(error).__name__}: {str(error)[:200]}"
    if not loop.spec.skip_bad_rows:
        raise BadRow(row=number, reason=reason) from error
    loop.skipped.add(row)
    loop.tell.log("train.row_skipped", "warning", row=number, reason=reason)
    return True


def halve(loop: "Loop", batches: list[list[int]]) -> bool:
    """Half as many tokens a pass as this step's largest had: what a step learns from stays the same. False where each row has its own."""
    parted = [rows for rows in loop.passes(batches) if len(rows) > 1]
    if not parted:
        return False
    limit_tokens(loop, max(1, max(planning.tokens_of(rows, loop.costs, loop.task.pads) for rows in parted) // 2))
    return True


def limit_tokens(loop: "Loop", tokens: int) -> None:
    """At most ``tokens`` a pass from now on, and said."""
    loop.state.micro_batch_tokens = tokens
    loop.tell.log("train.fewer_compared" if loop.compares else "train.passes_shortened", "warning", tokens=tokens)


def _bad_row(loop: "Loop", batches: list[list[int]], error: Exception) -> int | None:
    """The first row that fails by itself in the same way."""
    for row in (row for batch in batches for row in batch if row not in loop.skipped):
        try:
            with torch.no_grad():
                loop.task.loss([row])
        except Exception as alone:  # noqa: BLE001 - only asked whether it is the same
            if type(alone) is type(error):
                return row
    return None
