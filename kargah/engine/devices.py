"""Where a network computes: on the processor, or on the graphics card that was granted.

Batches are made on the processor and sent to where the network is; what it says of them, a few numbers each, comes back. So nothing
but the network, its optimizer and losses over a vocabulary need know of any device.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

CPU = torch.device("cpu")
#: Names of what ``random_state`` tells.
RANDOM_STATE, RANDOM_STATE_OF_DEVICE = "random_state", "random_state_of_device"


def granted() -> torch.device:
    """The first graphics card that this process may see (``CUDA_VISIBLE_DEVICES``), else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else CPU


def of(module: nn.Module) -> torch.device:
    """Where all of its parameters are."""
    return next(module.parameters()).device


def sent(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors that are there already are not copied."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def products_in(precision: str, module: nn.Module) -> AbstractContextManager[Any]:
    """Within, products of ``module`` are taken in ``precision``: fp32 as it is, or bf16 by torch.autocast."""
    return torch.autocast(of(module).type, torch.bfloat16, enabled=precision == "bf16")


def wait(device: torch.device) -> None:
    """Until all is computed that was asked of it."""
    if device != CPU:
        torch.get_device_module(device).synchronize(device)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Of the processor, and of ``device`` where that is another."""
    state = {RANDOM_STATE: torch.get_rng_state()}
    if device != CPU:
        state[RANDOM_STATE_OF_DEVICE] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """A state without that of ``device``, of a training that began on the processor, leaves the device's as it is."""
    torch.set_rng_state(state[RANDOM_STATE])
    if device != CPU and RANDOM_STATE_OF_DEVICE in state:
        torch.get_device_module(device).set_rng_state(state[RANDOM_STATE_OF_DEVICE], device)
