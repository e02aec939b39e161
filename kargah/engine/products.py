"""Products of fp32 matrices by oneDNN where the library that torch asks by itself leaves much of the processor unused.

That library is MKL on x86. It keeps to 256 bits on processors that are not Intel's, whatever they have: on an AMD EPYC with AVX-512 oneDNN
is 2.2 times as fast (benchmarks/README.md). Both compute in fp32; the order of sums differs. Which one is used follows from the processor
alone, never from a measurement, so that a training that goes on has the bits that it would have had.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

#: oneDNN makes a kernel for each count of rows, which takes memory and longer than the product: zeros fill them up to a multiple of
#: this, or of the last power of two by the other, which wastes little of many rows.
_FEWEST_ROWS, _PARTS = 16, 32
_CPUINFO = Path("/proc/cpuinfo")
_MKLS_OWN = "GenuineIntel"

#: Numbers of rows that a graphics card is to know by heart: at most so many between a power of two and the next.
_PARTS_OF_GRAPHS = 8
#: Null until it is asked for.
_used: bool | None = None
_for_graphs = False


def use_onednn(wanted: bool | None) -> None:
    """Of this process from now on, whatever the processor is; None: by the processor."""
    global _used
    _used = _is_left_behind_by_mkl() if wanted is None else wanted


def uses_onednn() -> bool:
    if _used is None:
        use_onednn(None)
    return bool(_used)


def round_for_graphs(wanted: bool) -> None:
    """From now on rows are filled up to few numbers, each of which is recorded once (engine.compiling)."""
    global _for_graphs
    _for_graphs = wanted


@cache
def _is_left_behind_by_mkl() -> bool:
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":  # type: ignore[no-untyped-call]
        return False
    try:
        return _MKLS_OWN not in _CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def rows_missing(count: int) -> int:
    """How many more make ``count`` rows a number that needs no filling up."""
    if _for_graphs:
        return _missing(count, _PARTS_OF_GRAPHS)
    return _missing(count) if uses_onednn() else 0


def _missing(count: int, parts: int = _PARTS) -> int:
    return -count % max(_FEWEST_ROWS, (1 << count.bit_length() - 1) // parts)


def make_products_quick(model: nn.Module) -> None:
    """Have every plain ``nn.Linear`` of ``model`` ask this module; parameters and their names stay."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = QuickLinear


class QuickLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x weightᵀ + bias`` as ``torch.nn.functional.linear``: x [..., inner], weight [columns, inner] → [..., columns]."""
    if not uses_onednn() or not _is_plain(x, weight):
        return functional.linear(x, weight, bias)
    return by_onednn(x, weight, bias)


def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    result: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return result.view(*x.shape[:-1], -1)


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0 and not torch.is_autocast_enabled("cpu")


class _Linear(torch.autograd.Function):
    """x [rows, inner], weight [columns, inner], bias [columns] → [rows, columns]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rounded = _rounded(x)
        ctx.save_for_backward(rounded, weight)
        return _product(rounded, weight, bias)[: len(x)]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        d_result = gradients[0]
        rounded = _rounded(d_result)
        return (
            _product(rounded, weight.T)[: len(d_result)] if of_x else None,
            _product(rounded.T, x.T) if of_weight else None,
            d_result.sum(0) if of_bias else None,
        )


def _rounded(rows: Tensor) -> Tensor:
    missing = _missing(len(rows))
    if not missing:
        return rows
    rounded = rows.new_empty(len(rows) + missing, rows.shape[1])
    rounded[: len(rows)] = rows
    rounded[len(rows) :] = 0.0
    return rounded


def _product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """left [rows, inner], right [columns, inner] → [rows, columns]."""
    result: Tensor = _onednn()(left, right, bias, "none", [], "")
    return result


@cache
def _onednn() -> Any:
    """What torch's compiler uses for layers of frozen weights; looked up once, which takes as long as a small product."""
    return torch.ops.mkldnn._linear_pointwise.default
