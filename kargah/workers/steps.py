"""What every process of a training does in an optimizer step: the gradients of its share, and then the same update as the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kargah.engine.clipping import clip
from kargah.engine.ranks import ALONE, Ranks
from kargah.recipes.errors import RankFailed
from kargah.recipes.runtime import Settings, Task
from kargah.workers import failures

_FINE, _NO_MEMORY, _FAILED = 0, 1, 2


@dataclass(frozen=True)
class Update:
    """An optimizer step. ``shares``: the passes of each process, rows by their place among the training rows. ``step``: done before it."""

    shares: list[list[list[int]]]
    step: int
    learning_rate: float

    @property
    def passes(self) -> list[list[int]]:
        return [rows for share in self.shares for rows in share]


@dataclass(frozen=True)
class Start:
    """What the first process has decided, for all: ``checkpoint`` to go on from, products in ``precision``, activations ``recomputed``."""

    precision: str
    recomputed: bool
    checkpoint: Path | None


class Group:
    """The processes that share each step: this one alone."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.ranks = ranks

    @property
    def count(self) -> int:
        return self.ranks.count

    def begin(self, task: Task, start: Start) -> None:
        """To be called once the network is as the first step is to find it."""

    def learn(self, task: Task, update: Update) -> float:
        """Put the gradients of the whole update into the module; return its mean loss."""
        return gradients(task, update, self.ranks)

    def close(self) -> None:
        """Nothing is learnt any more."""


def optimizer_of(module: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW, fused. Weight decay for matrices only: not for biases and norms."""
    matrices = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim >= 2]
    vectors = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def gradients(task: Task, update: Update, ranks: Ranks = ALONE) -> float:
    """The mean loss of all samples (or learnt tokens) of the update, its gradients being in the module, however it is cut and shared.

    What fails in one process fails in all of them: MemoryError or RankFailed where it was another.
    """
    whole = sum(task.weight(rows) for rows in update.passes)
    if ranks.count == 1:
        return passed(task, update.shares[0], whole)
    failure, total = None, 0.0
    try:
        total = passed(task, update.shares[ranks.rank], whole)
    except Exception as error:  # noqa: BLE001 - raised as soon as the others, who wait for this process, know
        failure = error
    worst = ranks.worst(_FINE if failure is None else _NO_MEMORY if failures.is_out_of_memory(failure) else _FAILED)
    if failure is not None:
        raise failure
    if worst == _NO_MEMORY:
        raise MemoryError("another process had too little memory")
    if worst == _FAILED:
        raise RankFailed
    return ranks.sum_gradients(task.module.parameters(), total)


def passed(task: Task, passes: Sequence[list[int]], whole: float) -> float:
    """Forward and back through ``passes``, each counting for its part of ``whole``; return the part of the mean loss."""
    total = 0.0
    for rows in passes:
        loss = task.loss(rows) * (task.weight(rows) / whole)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def apply(task: Task, optimizer: torch.optim.Optimizer, learning_rate: float) -> float:
    """Take the step that the gradients say; return their norm before it was clipped."""
    norm = clip(task.module.parameters(), task.settings.max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    task.stepped(learning_rate)
    return norm
