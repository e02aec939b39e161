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
from torch import distributed, nn

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

        What has a gradient nowhere is left without one: an optimizer passes it by, as it would in one process. Raises MemoryError, or what
        torch does, in all of them where one lacks memory for it.
        """
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        present = torch.tensor([float(parameter.grad is not None) for parameter in trained] + [loss], dtype=torch.float64)
        with _together():
            distributed.all_reduce(present)
        summed = [parameter for parameter, count in zip(trained, present[:-1].tolist(), strict=True) if count]
        for one in self._joined_in_all(summed):
            with _together():
                distributed.all_reduce(one.flat)
            one.take_apart()
        return float(present[-1])

    def _joined_in_all(self, parameters: list[nn.Parameter]) -> list["_Joined"]:
        """By kind of number. Whether there was room for it is told to all before anybody waits for the others' gradients."""
        joined, failure = list[_Joined](), None
        try:
            for kind in sorted({parameter.dtype for parameter in parameters}, key=str):
                joined.append(_Joined([parameter for parameter in parameters if parameter.dtype == kind]))
        except RuntimeError as error:
            failure = error
        if self.worst(int(failure is not None)):
            raise failure or MemoryError("another process had too little memory for its gradients")
        return joined


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


class _Joined:
    """Gradients as one message: many small ones wait for each other."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters
        self._parts = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
        self.flat = torch.cat([part.reshape(-1) for part in self._parts])

    def take_apart(self) -> None:
        offset = 0
        for parameter, part in zip(self._parameters, self._parts, strict=True):
            parameter.grad = self.flat[offset : offset + part.numel()].view_as(part)
            offset += part.numel()
