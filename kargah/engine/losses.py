"""Cross-entropy over a large vocabulary, a part of the rows at a time: the logits of a whole batch are never in memory at once.

The gradient is made in the forward pass, while a part's logits are at hand (as in Hsu et al. 2024, Liger Kernel): each logit
is computed once, and only for the tokens that are learnt from. Under autocast products are taken in its precision, and what is
made of logits in fp32.
"""

from typing import Any

import torch
from torch import Tensor

from kargah.engine import products

#: Rows at a time: their logits of 16,000 words are 16 MB.
CHUNK_ROWS = 256


def cross_entropy(hidden: Tensor, output: Tensor, targets: Tensor, chunk_rows: int = CHUNK_ROWS) -> Tensor:
    """Mean of -log softmax(hidden @ output.T)[targets]: hidden [rows, width], output [vocabulary, width], targets int64 [rows].

    Equal to ``torch.nn.functional.cross_entropy`` up to rounding. No rows give zero, without a gradient worth anything.
    """
    loss: Tensor = _ChunkedCrossEntropy.apply(hidden, output, targets, chunk_rows)  # type: ignore[no-untyped-call]
    return loss


def log_likelihoods(hidden: Tensor, output: Tensor, targets: Tensor, chunk_rows: int = CHUNK_ROWS) -> Tensor:
    """log softmax(hidden @ output.T)[targets] of each row, [rows]; for losses that weigh tokens only after they have seen them all.

    Each logit is computed twice: what a row's gradient is worth is known on the way back.
    """
    found: Tensor = _ChunkedLogLikelihoods.apply(hidden, output, targets, chunk_rows)  # type: ignore[no-untyped-call]
    return found


def read(hidden: Tensor, output: Tensor, targets: Tensor, chunk_rows: int = CHUNK_ROWS) -> tuple[Tensor, Tensor]:
    """(log-likelihood of each target, whether it is the likeliest), [rows] each; without gradients."""
    likelihoods, hits = hidden.new_empty(len(targets)), torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    for start in range(0, len(targets), chunk_rows):
        wanted = targets[start : start + chunk_rows, None]
        logits = products.linear(hidden[start : start + chunk_rows], output)
        chosen = logits.gather(1, wanted)[:, 0]
        likelihoods[start : start + chunk_rows] = chosen - torch.logsumexp(logits, dim=1)
        hits[start : start + chunk_rows] = logits.argmax(dim=1) == wanted[:, 0]
    return likelihoods, hits


def _logits(hidden: Tensor, output: Tensor) -> Tensor:
    return _at_least_fp32(products.linear(hidden, output))


def _at_least_fp32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _ChunkedLogLikelihoods(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, output: Tensor, targets: Tensor, chunk_rows: int) -> Tensor:
        log_sums = _at_least_fp32(hidden.new_empty(len(targets)))
        found = torch.empty_like(log_sums)
        for start in range(0, len(targets), chunk_rows):
            part = slice(start, start + chunk_rows)
            logits = _logits(hidden[part], output)
            log_sums[part] = torch.logsumexp(logits, dim=1)
            found[part] = logits.gather(1, targets[part, None])[:, 0] - log_sums[part]
        ctx.save_for_backward(hidden, output, targets, log_sums)
        ctx.chunk_rows, ctx.half = chunk_rows, torch.is_autocast_enabled(hidden.device.type)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, output, targets, log_sums = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_output = torch.zeros_like(output) if ctx.needs_input_grad[1] else None
        for start in range(0, len(targets), ctx.chunk_rows):
            part = slice(start, start + ctx.chunk_rows)
            worth = gradients[0][part, None]
            with torch.autocast(hidden.device.type, torch.bfloat16, enabled=ctx.half):
                d_logits = _logits(hidden[part], output).sub_(log_sums[part, None]).exp_().mul_(-worth)
                d_logits.scatter_add_(1, targets[part, None], worth)
                if d_hidden is not None:
                    d_hidden[part] = products.linear(d_logits, output.T)
            if d_output is not None:
                d_output.addmm_(d_logits.T, _at_least_fp32(hidden[part]))
        return d_hidden, d_output, None, None


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, output: Tensor, targets: Tensor, chunk_rows: int) -> Tensor:
        rows = max(1, len(targets))
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_output = torch.zeros_like(output) if ctx.needs_input_grad[1] else None
        total = hidden.new_zeros((), dtype=torch.float64 if hidden.device.type == "cpu" else torch.float32)
        for start in range(0, len(targets), chunk_rows):
            part, wanted = hidden[start : start + chunk_rows], targets[start : start + chunk_rows, None]
            logits = _logits(part, output)
            log_sums = torch.logsumexp(logits, dim=1, keepdim=True)
            total += (log_sums - logits.gather(1, wanted)).sum()
            if d_hidden is None and d_output is None:
                continue
            d_logits = logits.sub_(log_sums).exp_()
            d_logits.scatter_add_(1, wanted, d_logits.new_full(wanted.shape, -1.0))
            if d_hidden is not None:
                d_hidden[start : start + chunk_rows] = products.linear(d_logits, output.T)
            if d_output is not None:
                d_output.addmm_(d_logits.T, _at_least_fp32(part))
        ctx.save_for_backward(d_hidden, d_output)
        ctx.rows = rows
        return (total / rows).to(torch.promote_types(hidden.dtype, torch.float32))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        d_hidden, d_output = ctx.saved_tensors
        scale = gradients[0] / ctx.rows
        return (
            None if d_hidden is None else d_hidden.mul_(scale),
            None if d_output is None else d_output.mul_(scale),
            None,
            None,
        )
