"""Decoders of transformers on packed batches: every real token once, and logits only where a token is learnt."""

from typing import Any

import torch
from torch import Tensor

from kargah.engine.attention import use_packed_attention
from kargah.engine.losses import cross_entropy
from kargah.engine.packing import Packed

#: Families whose logits are one matrix product of the last hidden state, and whose decoder takes an attention function.
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "olmo2", "smollm3"})


class UnpaddedDecoder:
    """``model``: a ``…ForCausalLM`` of one of FAMILIES, with or without adapters inside; changed to attend within packed sequences."""

    def __init__(self, model: Any) -> None:
        self._model = model
        use_packed_attention(model)

    def loss(self, packed: Packed, learnt: Tensor) -> Tensor:
        """Mean negative log-likelihood of the tokens marked in ``learnt``, bool [tokens]; first tokens have nothing before them."""
        hidden = self._model.base_model(**packed.arguments(), use_cache=False).last_hidden_state[0]
        wanted = learnt.clone()
        wanted[packed.starts] = False
        places = wanted.nonzero()[:, 0]
        head = self._model.get_output_embeddings()
        return cross_entropy(hidden[places - 1], head.weight, packed.input_ids[0, places])


def learnt_after(prompts: list[int], packed: Packed) -> Tensor:
    """Mark what comes after the first ``prompts[i]`` tokens of each sequence: bool [tokens]."""
    marks = [torch.arange(length) >= prompt for length, prompt in zip(packed.lengths, prompts, strict=True)]
    return torch.cat(marks)
