"""Attention inside each sequence of a packed batch, for every architecture of transformers that takes an attention function.

``use_packed_attention(model)`` makes a model call it; ``sequence_lengths`` in the model's arguments says where sequences end.
Softmax attention as in Vaswani et al. 2017, computed exactly; tokens of different sequences never meet.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from kargah.engine.dropout import Chance, kept, masked

NAME = "kargah_packed"
_Grads = tuple[Tensor, Tensor, Tensor, None, None, None]


def use_packed_attention(model: Any) -> None:
    """Make ``model``, a PreTrainedModel, attend by this module; to be undone by ``model.set_attn_implementation``."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sequence_lengths: Sequence[int],
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, heads, tokens, width], key and value [1, groups, tokens, width] → [1, tokens, heads, width].

    Raises ValueError for what it does not compute: a mask, a cap on the scores, a window that a sequence exceeds.
    """
    if attention_mask is not None or softcap is not None or query.shape[0] != 1:
        raise ValueError("packed attention takes one packed row, without mask and without softcap")
    if sliding_window is not None and max(sequence_lengths) > sliding_window:
        raise ValueError("a sequence is longer than the attention window")
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if dropout > 0.0 and query.device.type == "cpu" and not causal:
        heads = query.shape[1]
        groups = heads // key.shape[1]
        if groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        result: Tensor = _WithDropout.apply(query, key, value, tuple(sequence_lengths), scale, Chance.of(dropout))  # type: ignore[no-untyped-call]
        return result, None
    grouped = key.shape[1] != query.shape[1]
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            dropout_p=dropout, is_causal=bool(causal), scale=scale, enable_gqa=grouped,
        )
        for start, end in _spans(sequence_lengths)
    ]  # fmt: skip
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1), None


class _WithDropout(torch.autograd.Function):
    """Written out forward and backward: one node a layer, each sequence by plain matrix products over its heads."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float, chance: Chance) -> Tensor:
        result = query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])
        kept_for_backward: list[Tensor] = []
        for start, end in _spans(lengths):
            weights = _weights(query[0, :, start:end], key[0, :, start:end], scale)
            mask = kept(weights.shape, chance)
            dropped = masked(weights, mask, chance.scale)
            result[0, start:end] = torch.bmm(dropped, value[0, :, start:end]).transpose(0, 1)
            kept_for_backward += (weights, mask)
        ctx.save_for_backward(query, key, value, *kept_for_backward)
        ctx.lengths, ctx.scale, ctx.kept_scale = lengths, scale, chance.scale
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> _Grads:
        query, key, value, *saved = ctx.saved_tensors
        d_result = gradients[0]
        d_query, d_key, d_value = (torch.empty_like(tensor) for tensor in (query, key, value))
        for place, (start, end) in enumerate(_spans(ctx.lengths)):
            weights, mask = saved[2 * place : 2 * place + 2]
            d_out = d_result[0, start:end].transpose(0, 1)
            dropped = masked(weights, mask, ctx.kept_scale)
            d_value[0, :, start:end] = torch.bmm(dropped.transpose(1, 2), d_out)
            d_dropped = torch.bmm(d_out, value[0, :, start:end].transpose(1, 2))
            d_weights = masked(d_dropped, mask, ctx.kept_scale)
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(ctx.scale)
            d_query[0, :, start:end] = torch.bmm(d_scores, key[0, :, start:end])
            d_key[0, :, start:end] = torch.bmm(d_scores.transpose(1, 2), query[0, :, start:end])
        return d_query, d_key, d_value, None, None, None


def _weights(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """[heads, length, width] twice → attention weights [heads, length, length]."""
    scores = torch.baddbmm(query.new_empty(()), query, key.transpose(1, 2), beta=0, alpha=scale)
    return scores.softmax(dim=-1)


def _spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return list(pairwise(ends))


def _no_mask(*_: Any, **__: Any) -> None:
    """Sequences are kept apart by their lengths."""
