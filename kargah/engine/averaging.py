"""The average of weights over training (Polyak 1992), an exponential one: late steps count more than early ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """``decay``: what of the average stays at a step. Of weights that learn only; the others are what they are.

    In the first steps less stays, min(decay, (1 + step) / (10 + step)), so that the beginning is soon forgotten. That is a function of the
    step, so the averages themselves are all there is to keep. ``averages``: to go on with.
    """

    def __init__(self, module: nn.Module, decay: float, averages: Mapping[str, Tensor] | None = None) -> None:
        self._learning = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        self._decay = decay
        began = averages or {}
        self.averages = {
            name: began.get(name, parameter.detach()).to(parameter.device, copy=True) for name, parameter in self._learning.items()
        }

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """``step``: how many were taken before the one that was just taken."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._learning.items():
            self.averages[name].lerp_(parameter, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the module's weights are the averages. Nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._learning.items():
            parameter.data, self.averages[name] = self.averages[name], parameter.data
