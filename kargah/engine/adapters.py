"""Low-rank adapters (LoRA, Hu et al. 2021) of peft with their two products folded into the layer's own.

``y = x Wᵀ + s (x Aᵀ) Bᵀ`` as peft computes it, forward and backward written out: the low-rank parts are added in place, the
frozen weight gets no gradient, and the input is kept once.
"""

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn

from kargah.engine import products

_Grads = tuple[Tensor | None, None, None, Tensor, Tensor, None]


def make_adapters_cheap(model: nn.Module) -> int:
    """Give plain LoRA layers of ``model`` the quick forward; how many got it. Others (dropout, DoRA, trained base) stay as they are."""
    fit = [module for module in model.modules() if type(module) is Linear and _is_plain(module)]
    for module in fit:
        module.__class__ = QuickLoraLinear
    return len(fit)


class QuickLoraLinear(Linear):
    """peft's layer; what it does beside plain training (merging, switching off, several adapters) is left to peft."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        cast = torch.is_autocast_enabled(x.device.type)  # which casts nothing inside of what is written out
        if cast or args or kwargs or self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            plain: Tensor = super().forward(x, *args, **kwargs)
            return plain
        name = self.active_adapters[0]
        base = self.get_base_layer()
        down, up = self.lora_A[name].weight, self.lora_B[name].weight
        return adapted(x, base.weight, base.bias, down, up, float(self.scaling[name]))


def adapted(*operands: Any) -> Tensor:
    """Those of ``_Adapted``."""
    result: Tensor = _Adapted.apply(*operands)  # type: ignore[no-untyped-call]
    return result


class _Adapted(torch.autograd.Function):
    """x [..., in], weight [out, in], down [rank, in], up [out, rank] → [..., out]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ down.T
        result = products.linear(rows, weight, bias)
        result.addmm_(low, up.T, alpha=scale)
        ctx.save_for_backward(x, low, weight, down, up)
        ctx.scale = scale
        return result.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> _Grads:
        x, low, weight, down, up = ctx.saved_tensors
        rows, d_result = x.reshape(-1, x.shape[-1]), gradients[0].reshape(-1, gradients[0].shape[-1])
        d_low = (d_result @ up).mul_(ctx.scale)
        d_up = (d_result.T @ low).mul_(ctx.scale)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = products.linear(d_result, weight.T).addmm_(d_low, down).reshape(x.shape)
        return d_x, None, None, d_low.T @ rows, d_up, None


def _is_plain(module: Linear) -> bool:
    """Whether the layer is what QuickLoraLinear computes: a frozen nn.Linear with one adapter without dropout, bias or variant."""
    base = module.get_base_layer()
    names = list(module.lora_A)
    return (
        type(base) in (nn.Linear, products.QuickLinear)
        and not any(parameter.requires_grad for parameter in base.parameters())
        and len(names) == 1
        and isinstance(module.lora_dropout[names[0]], nn.Identity)
        and names[0] not in module.lora_variant
        and not module.lora_bias[names[0]]
        and not module.fan_in_fan_out
    )
