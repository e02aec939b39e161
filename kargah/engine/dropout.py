"""Dropout that costs little on a processor: sixteen random bits an element, from torch's own generator.

Drawing a Bernoulli number each takes about an eighth of a small encoder's step. The distribution is the same, with the probability
rounded to 1/65,536; what is kept is scaled by the rounded probability, so the expectation is exact.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16
_LOWEST = -(1 << 63)


@dataclass(frozen=True)
class Chance:
    """Of being dropped, in 1/65,536. ``threshold``: sixteen signed bits below it mean dropped."""

    dropped: int

    @classmethod
    def of(cls, probability: float) -> "Chance":
        """Raises ValueError outside [0, 1)."""
        dropped = round(probability * _LEVELS)
        if not 0 <= dropped < _LEVELS:
            raise ValueError(f"dropout probability {probability} is not in [0, 1)")
        return cls(dropped)

    @property
    def threshold(self) -> int:
        return self.dropped - _LEVELS // 2

    @property
    def scale(self) -> float:
        return _LEVELS / (_LEVELS - self.dropped)


def kept(values: Tensor, chance: Chance) -> Tensor:
    """Like ``values``: 1 where an element is kept, else 0. Uses torch's default generator and nothing else.

    Not a boolean mask, which would have to become such numbers again wherever it is used.
    """
    count = values.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(_LOWEST, None)
    mask = torch.empty(values.shape, dtype=values.dtype)
    return torch.ge(bits.view(torch.int16)[:count].view(values.shape), chance.threshold, out=mask)


def masked(values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """``values · mask · scale``; not scaled in the mask, whose numbers may have eight bits."""
    return torch.mul(values, mask).mul_(scale)


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, chance: Chance) -> Tensor:
        mask = kept(values, chance)
        ctx.save_for_backward(mask)
        ctx.scale = chance.scale
        return masked(values, mask, chance.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return masked(gradients[0], mask, ctx.scale), None


def dropped(values: Tensor, chance: Chance) -> Tensor:
    result: Tensor = _Dropped.apply(values, chance)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class CheapDropout(nn.Dropout):
    """In the place of ``nn.Dropout``; the same on any device but a processor."""

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return values
        if values.device.type != "cpu" or self.p >= 1.0:
            return super().forward(values)
        return dropped(values, Chance.of(self.p))


def make_dropout_cheap(model: nn.Module) -> None:
    """Replace every ``nn.Dropout`` of ``model``."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, CheapDropout(child.p))
