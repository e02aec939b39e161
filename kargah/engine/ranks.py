"""Data parallel training: processes with equal weights, each with its share of every update; their gradients are summed.

Losses are weighed by the whole update before they are summed, so that the sum is the gradient of one process that has it all,
however unequal the shares (Li et al. 2020 average instead, which is the same for equal shares only).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

#: They wait for each other as long as an evaluation, or a disk without room, takes; one that died is seen at once.
_PATIENCE = timedelta(days=365)
_LOOPBACK = "lo"


class Parted(ConnectionError):
    """Another process of the group is gone, or cannot be reached."""


@dataclass(frozen=True)
class Ranks:
    """This process among ``count``; more than one need to ``meet`` first. All methods are to be called by all of them at once.

    They raise Parted.
    """

    rank: int = 0
    count: int = 1

    def told(self, order: Any = None) -> Any:
        """What rank 0 gives; the others give nothing."""
        orders = [order]
        with _together():
            distributed.broadcast_object_list(orders, src=0, device=torch.device("cpu"))
        return orders[0]

    def worst(self, outcome: int) -> int:
        """The greatest of what they give."""
        outcomes = torch.tensor(outcome)
        with _together():
            distributed.all_reduce(outcomes, op=distributed.ReduceOp.MAX)
        return int(outcomes)

    def take_state(self, module: nn.Module) -> None:
        """All have the weights and buffers of rank 0 from here on. (As bytes: not every kind of number can be sent.)"""
        for tensor in module.state_dict().values():
            sent = tensor.detach().reshape(-1).view(torch.uint8)
            with _together():
                distributed.broadcast(sent, src=0)
            tensor.copy_(sent.view(tensor.dtype).view_as(tensor))

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Give all processes the sum of their gradients; return the sum of their losses.

        What has a gradient nowhere is left without one: an optimizer passes it by, as it would in one process.
        """
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        present = torch.tensor([float(parameter.grad is not None) for parameter in trained] + [loss], dtype=torch.float64)
        with _together():
            distributed.all_reduce(present)
            summed = [parameter for parameter, count in zip(trained, present[:-1].tolist(), strict=True) if count]
            for kind in sorted({parameter.dtype for parameter in summed}, key=str):
                _sum([parameter for parameter in summed if parameter.dtype == kind])
        return float(present[-1])


ALONE = Ranks()


def meet(path: Path, rank: int, count: int) -> Ranks:
    """Wait until all ``count`` processes of this machine are there. ``path`` is a file of theirs that none of them has made before.

    Tensors of the processor go by gloo, those of graphics cards by NCCL. Raises Parted.
    """
    if Path("/sys/class/net", _LOOPBACK).exists():
        os.environ["GLOO_SOCKET_IFNAME"] = _LOOPBACK  # a machine's own name need not lead back to it
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _together():
        distributed.init_process_group(backend, init_method=f"file://{path}", rank=rank, world_size=count, timeout=_PATIENCE)
    return Ranks(rank, count)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise Parted(str(error)) from error


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
