"""Data parallel training: processes with equal weights, each with its share of every batch; their gradients are summed.

Losses are weighed by the whole batch before they are summed, so that the sum is the gradient of one process with the whole batch,
however unequal the shares (Li et al. 2020 average instead, which is the same for equal shares only).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

Row = TypeVar("Row")


@dataclass(frozen=True)
class Ranks:
    """This process among ``count``; more than one need an initialised process group of ``torch.distributed``."""

    rank: int = 0
    count: int = 1

    def share(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Every ``count``-th row; together the shares are the rows, each once."""
        return rows if self.count == 1 else rows[self.rank :: self.count]

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Give all processes the sum of their gradients; return the sum of their losses. To be called by all of them at once.

        What has a gradient nowhere is left without one: an optimizer passes it by, as it would in one process.
        """
        if self.count == 1:
            return loss
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        present = torch.tensor([float(parameter.grad is not None) for parameter in trained] + [loss], dtype=torch.float64)
        distributed.all_reduce(present)
        summed = [parameter for parameter, count in zip(trained, present[:-1].tolist(), strict=True) if count]
        for kind in {parameter.dtype for parameter in summed}:
            _sum([parameter for parameter in summed if parameter.dtype == kind])
        return float(present[-1])


ALONE = Ranks()


def _sum(parameters: list[nn.Parameter]) -> None:
    """One message for all of them: many small ones wait for each other."""
    parts = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
    flat = torch.cat([part.reshape(-1) for part in parts])
    distributed.all_reduce(flat)
    offset = 0
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = _view(flat, offset, part)
        offset += part.numel()


def _view(flat: Tensor, offset: int, like: Tensor) -> Tensor:
    return flat[offset : offset + like.numel()].view_as(like)
