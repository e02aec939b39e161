"""Attention inside each sequence of a packed batch, for every architecture of transformers that takes an attention function.

``use_packed_attention(model)`` makes a model call it; ``sequence_lengths`` in the model's arguments says where sequences end.
Softmax attention as in Vaswani et al. 2017, computed exactly; tokens of different sequences never meet. On a graphics card by torch's
own kernels: in bf16 those for sequences of any length (FlashAttention, Dao 2023), else sequences of like length together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from kargah.engine.devices import CPU
from kargah.engine.dropout import Chance, kept, masked

NAME = "kargah_packed"
_Grads = tuple[Tensor, Tensor, Tensor, None, None, None]


def use_packed_attention(model: Any) -> None:
    """Make ``model``, a PreTrainedModel, attend by this module; to be undone by ``model.set_attn_implementation``."""
    from transformers.masking_utils import AttentionMaskInterface

    register(packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)


def register(function: Callable[..., Any]) -> None:
    """``function``: what models that attend by this module call, ``packed_attention`` or what stands in for it."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, function)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sequence_lengths: Iterable[int],
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
    lengths = tuple(sequence_lengths)
    if sliding_window is not None and max(lengths) > sliding_window:
        raise ValueError("a sequence is longer than the attention window")
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    if query.device != CPU:
        return _on_a_card(query, key, value, lengths, dropout, bool(causal), scale), None
    if not causal:
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        chance = Chance.of(dropout)
        result: Tensor = _Together.apply(query, key, value, lengths, scale, chance)  # type: ignore[no-untyped-call]
        return result, None
    grouped = key.shape[1] != query.shape[1]
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            dropout_p=dropout, is_causal=bool(causal), scale=scale, enable_gqa=grouped,
        )
        for start, end in _spans(lengths)
    ]  # fmt: skip
    behind = query.shape[2] - sum(lengths)
    parts += [query.new_zeros(1, query.shape[1], behind, query.shape[3])] if behind else []
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1), None


_WIDEST_HEAD = 256


def _on_a_card(
    query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], dropout: float, causal: bool, scale: float
) -> Tensor:  # fmt: skip
    heads, tokens, width = query.shape[1:]
    if _flashes(query, dropout):
        found = _flash(query, key, value, lengths, causal, scale)
    else:
        found = side_by_side(query, key, value, lengths, dropout, causal, scale)
    behind = tokens - sum(lengths)
    return torch.cat([found, found.new_zeros(behind, heads, width)])[None] if behind else found[None]


def _flashes(query: Tensor, dropout: float) -> bool:
    """Whether the kernels for sequences of any length take it: half precision, no dropout, FlashAttention 2's cards and widths."""
    if dropout or query.device.type != "cuda" or query.shape[-1] % 8 or query.shape[-1] > _WIDEST_HEAD:
        return False
    return _half(query) is not None and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _half(query: Tensor) -> torch.dtype | None:
    """Under autocast what positions were turned into is fp32 again; its products are to be half as exact all the same."""
    if query.dtype in (torch.bfloat16, torch.float16):
        return query.dtype
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def _flash(query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], causal: bool, scale: float) -> Tensor:
    """[tokens of the sequences, heads, width]."""
    from torch.nn.attention.varlen import varlen_attn

    ends, longest = _ends(lengths, query.device), max(lengths)
    queries, keys, values = (tensor[0].transpose(0, 1)[: sum(lengths)].to(_half(query)) for tensor in (query, key, value))
    window = (-1, 0) if causal else (-1, -1)
    found = varlen_attn(queries, keys, values, ends, ends, longest, longest, scale=scale, window_size=window, enable_gqa=True)
    assert isinstance(found, Tensor)
    return found


@lru_cache(maxsize=4)
def _ends(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each sequence begins and the last one ends, int32 [sequences + 1]."""
    return torch.tensor([0, *(end for _, end in _spans(lengths))], dtype=torch.int32).to(device)


def side_by_side(
    query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], dropout: float, causal: bool, scale: float
) -> Tensor:  # fmt: skip
    """[tokens of the sequences, heads, width]. What lengthens a sequence stands behind it: where nobody looks ahead, nobody sees it."""
    heads, groups, width = query.shape[1], key.shape[1], query.shape[3]
    layout, shared, results = _layout(lengths, heads, query.device), _layout(lengths, groups, query.device), list[Tensor]()
    for own, others in zip(layout.groups, shared.groups, strict=True):
        mask = None if own.real is None or causal else own.real.view(-1, heads, 1, own.length)
        taken = [each.taken(tensor) for each, tensor in ((own, query), (others, key), (others, value))]
        queries, keys, values = (
            part.view(-1, count, own.length, width) for part, count in zip(taken, (heads, groups, groups), strict=True)
        )
        part = scaled_dot_product_attention(
            queries, keys, values, mask, dropout_p=dropout, is_causal=causal, scale=scale, enable_gqa=heads != groups
        )
        results.append(part.reshape(-1, width))
    return torch.cat(results).index_select(0, layout.places).view(-1, heads, width)


class _Together(torch.autograd.Function):
    """Written out forward and backward: one node a layer; sequences of like length by one product over all their heads."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...], scale: float, chance: Chance) -> Tensor:
        heads, tokens, width = query.shape[1:]
        layout = _layout(lengths, heads, query.device)
        results, kept_for_backward = [], list[Tensor]()
        for group in layout.groups:
            queries, keys, values = (group.taken(tensor) for tensor in (query, key, value))
            weights = _weights(queries, keys, scale, group.blind)
            mask = kept(weights, chance) if chance.dropped else None
            results.append(torch.bmm(_masked(weights, mask, chance), values).view(-1, width))
            kept_for_backward += (queries, keys, values, weights, *([] if mask is None else [mask]))
        ctx.save_for_backward(*kept_for_backward)
        ctx.layout, ctx.scale, ctx.chance = layout, scale, chance
        return layout.put_back(results, (tokens, heads, width))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> _Grads:
        saved, each = ctx.saved_tensors, 5 if ctx.chance.dropped else 4
        d_result = gradients[0].transpose(1, 2)
        found: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for place, group in enumerate(ctx.layout.groups):
            queries, keys, values, weights, *mask = saved[each * place : each * (place + 1)]
            dropping = mask[0] if mask else None
            d_out = group.taken(d_result)
            if group.real is not None:
                d_out.mul_(group.real)
            d_weights = _masked(torch.bmm(d_out, values.transpose(1, 2)), dropping, ctx.chance)
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(ctx.scale)
            found[0].append(torch.bmm(d_scores, keys))
            found[1].append(torch.bmm(d_scores.transpose(1, 2), queries))
            found[2].append(torch.bmm(_masked(weights, dropping, ctx.chance).transpose(1, 2), d_out))
        heads, tokens, width = d_result.shape[1:]
        d_query, d_key, d_value = (
            ctx.layout.put_back([part.view(-1, width) for part in parts], (tokens, heads, width)).transpose(1, 2) for parts in found
        )
        return d_query, d_key, d_value, None, None, None


#: Sequences whose lengths are the same after division by this, rounded up, are computed together; of long ones each by itself.
_LIKE, _LONG = 32, 128


@dataclass(frozen=True)
class _Group:
    """Sequences side by side, the shorter ones lengthened by their last token.

    ``rows``, [sequences · heads · length]: where each vector lies. ``blind``, [sequences · heads, 1, length], hides what was added from
    the others; ``real``, [sequences · heads, length, 1], takes its gradient away. Both are None where nothing was added.
    """

    rows: Tensor
    length: int
    blind: Tensor | None
    real: Tensor | None

    def to(self, device: torch.device) -> "_Group":
        blind, real = (None if tensor is None else tensor.to(device) for tensor in (self.blind, self.real))
        return _Group(self.rows.to(device), self.length, blind, real)

    def taken(self, tensor: Tensor) -> Tensor:
        """[1, heads, tokens, width] → [sequences · heads, length, width]."""
        flat = tensor[0].transpose(0, 1).reshape(-1, tensor.shape[3])
        return flat.index_select(0, self.rows).view(-1, self.length, tensor.shape[3])


@dataclass(frozen=True)
class _Layout:
    """``places``: of each vector, in what the groups make one after another; [tokens · heads]."""

    groups: tuple[_Group, ...]
    places: Tensor

    def put_back(self, parts: list[Tensor], shape: tuple[int, int, int]) -> Tensor:
        """What each group made, [its rows, width] → [1, tokens, heads, width], zero behind the last sequence."""
        tokens, heads, width = shape
        result = parts[0].new_empty(tokens * heads, width)
        torch.index_select(parts[0] if len(parts) == 1 else torch.cat(parts), 0, self.places, out=result[: len(self.places)])
        result[len(self.places) :] = 0.0
        return result.view(1, tokens, heads, width)


@lru_cache(maxsize=4)
def _layout(lengths: tuple[int, ...], heads: int, device: torch.device) -> _Layout:
    """The same for all layers, forward and backward."""
    alike: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, end in _spans(lengths):
        length = end - start
        alike.setdefault((-(-length // _LIKE), start if length > _LONG else -1), []).append((start, length))
    groups, places, before = list[_Group](), torch.empty(sum(lengths) * heads, dtype=torch.int64), 0
    for sequences in alike.values():
        group, is_real = _group(sequences, heads)
        places[group.rows[is_real]] = before + is_real.nonzero()[:, 0]
        groups.append(group)
        before += len(group.rows)
    return _Layout(tuple(group.to(device) for group in groups), places.to(device))


def _group(sequences: list[tuple[int, int]], heads: int) -> tuple[_Group, Tensor]:
    """Of (start, length) each; and which of its rows are no additions, bool [rows]."""
    starts, lengths = torch.tensor(sequences)[:, :, None].unbind(1)
    longest = int(lengths.max())
    offsets = torch.arange(longest)
    tokens = starts + torch.minimum(offsets, lengths - 1)
    rows = tokens[:, None] * heads + torch.arange(heads)[:, None]
    real = (offsets < lengths)[:, None].expand(rows.shape).reshape(-1, longest)
    blind = None if bool(real.all()) else torch.zeros(real.shape).masked_fill_(~real, -torch.inf)[:, None]
    return _Group(rows.flatten(), longest, blind, None if blind is None else real[:, :, None]), real.flatten()


def _masked(weights: Tensor, mask: Tensor | None, chance: Chance) -> Tensor:
    return weights if mask is None else masked(weights, mask, chance.scale)


def _weights(query: Tensor, key: Tensor, scale: float, blind: Tensor | None) -> Tensor:
    """[heads, length, width] twice → attention weights [heads, length, length]."""
    added = query.new_empty(()) if blind is None else blind.to(query.dtype)
    return torch.baddbmm(added, query, key.transpose(1, 2), beta=0 if blind is None else 1, alpha=scale).softmax(dim=-1)


def _spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return list(pairwise(ends))


def _no_mask(*_: Any, **__: Any) -> None:
    """Sequences are kept apart by their lengths."""
