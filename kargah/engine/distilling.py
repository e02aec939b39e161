"""What a student learns from a teacher (Hinton et al. 2015): the teacher's shares, softened by a temperature, beside the right answers;
and, of transformers, its hidden states (Romero et al. 2015).

The teacher's part is scaled by T², so that its gradients keep their size whatever the temperature.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kargah.engine import products
from kargah.engine.losses import CHUNK_ROWS


def distilled(right: Tensor, logits: Tensor, soft: Tensor, temperature: float, share: float, independent: bool = False) -> Tensor:
    """``right``: the loss by the right answers; ``soft``: the teacher's shares at ``temperature``, shaped like ``logits`` [rows, outputs];
    ``independent``: each output is a yes or no of its own."""
    told = nn.functional.binary_cross_entropy_with_logits if independent else nn.functional.cross_entropy
    return (1 - share) * right + share * temperature**2 * told(logits / temperature, soft)


def shares_at(logits: Tensor, temperature: float, outputs: int) -> Tensor:
    """A teacher's shares [rows, outputs]. Outputs behind its last token, which fill up a matrix and mean nothing, get nothing."""
    known = min(outputs, logits.shape[1])
    soft = logits.new_zeros(len(logits), outputs)
    soft[:, :known] = (logits[:, :known] / temperature).softmax(dim=1)
    return soft


class Likeness(nn.Module):
    """How far the student's hidden states [rows, width], brought to the teacher's width by a map that learns with it and is left behind,
    are from the teacher's: the mean square, times ``share``. ``weights`` [rows], of sum 1: where rows do not all count as much."""

    def __init__(self, width: int, width_of_teacher: int, share: float) -> None:
        super().__init__()
        self.map = nn.Linear(width, width_of_teacher, bias=False)
        self._share = share

    def forward(self, own: Tensor, told: Tensor, weights: Tensor | None = None) -> Tensor:
        brought: Tensor = self.map(own).float()
        if weights is None:
            return self._share * nn.functional.mse_loss(brought, told.float())
        unlike = (brought - told.float()).square().mean(dim=1)
        return self._share * (weights * unlike).sum()


def distilled_cross_entropy(
    hidden: Tensor, output: Tensor, targets: Tensor, told: tuple[Tensor, Tensor], temperature: float, share: float,
    chunk_rows: int = CHUNK_ROWS,
) -> Tensor:  # fmt: skip
    """``distilled`` of the mean cross-entropy, over a large vocabulary: hidden [rows, width], output [vocabulary, width], targets int64
    [rows]; ``told``: the teacher's hidden and output, which get no gradient. A part of the rows at a time, as ``losses.cross_entropy``."""
    loss: Tensor = _ChunkedDistillation.apply(hidden, output, targets, *told, temperature, share, chunk_rows)  # type: ignore[no-untyped-call]
    return loss


class _ChunkedDistillation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, output: Tensor, targets: Tensor, told: Tensor, told_output: Tensor, temperature: float, share: float,
        chunk_rows: int,
    ) -> Tensor:  # fmt: skip
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_output = torch.zeros_like(output) if ctx.needs_input_grad[1] else None
        total = hidden.new_zeros((), dtype=torch.float64)
        for start in range(0, len(targets), chunk_rows):
            part = slice(start, start + chunk_rows)
            logits = products.linear(hidden[part], output).float()
            soft = shares_at(products.linear(told[part], told_output).float(), temperature, len(output))
            loss, d_logits = _with_gradient(logits, soft, targets[part, None], temperature, share)
            total += loss
            if d_hidden is not None:
                d_hidden[part] = products.linear(d_logits, output.T)
            if d_output is not None:
                d_output.addmm_(d_logits.T, hidden[part].float())
        ctx.save_for_backward(d_hidden, d_output)
        ctx.rows = max(1, len(targets))
        mean: Tensor = (total / ctx.rows).float()
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        scale = gradients[0] / ctx.rows
        return *(None if tensor is None else tensor.mul_(scale) for tensor in ctx.saved_tensors), None, None, None, None, None, None


def _with_gradient(logits: Tensor, soft: Tensor, wanted: Tensor, temperature: float, share: float) -> tuple[Tensor, Tensor]:
    """(the summed loss of these rows, its gradient by their logits)."""
    right, own = logits.log_softmax(dim=1), (logits / temperature).log_softmax(dim=1)
    loss = -(1 - share) * right.gather(1, wanted).sum() - share * temperature**2 * (soft * own).sum()
    d_right = right.exp_()
    d_right.scatter_add_(1, wanted, d_right.new_full(wanted.shape, -1.0))
    return loss, d_right.mul_(1 - share).add_(own.exp_().sub_(soft), alpha=share * temperature)
