"""Gradient clipping by the total norm (Pascanu et al. 2013) that does not rewrite gradients which are short enough."""

import math
from collections.abc import Iterable

import torch
from torch import nn


def clip(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Scale gradients to a total L2 norm of at most ``max_norm`` (0: no limit). Return the norm before."""
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
    length = float(norm)
    if length > (max_norm or math.inf):
        torch.nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    return length
