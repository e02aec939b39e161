"""Decoders of transformers on packed batches: every real token once, and logits only where a token is learnt."""

from typing import Any

import torch
from torch import Tensor

from kargah.engine import devices
from kargah.engine.attention import use_packed_attention
from kargah.engine.losses import cross_entropy, log_likelihoods, read
from kargah.engine.packing import Packed
from kargah.engine.products import make_products_quick

#: Families whose logits are one matrix product of the last hidden state, and whose decoder takes an attention function.
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "olmo2", "smollm3"})


class UnpaddedDecoder:
    """``model``: a ``…ForCausalLM`` of one of FAMILIES, with or without adapters inside; changed to attend within packed sequences."""

    def __init__(self, model: Any) -> None:
        self._model = model
        use_packed_attention(model)
        make_products_quick(model)

    def loss(self, packed: Packed, learnt: Tensor) -> Tensor:
        """Mean negative log-likelihood of the tokens marked in ``learnt``, bool [tokens]; first tokens have nothing before them."""
        hidden, targets, _ = self.known(packed, learnt)
        return cross_entropy(hidden, self.output, targets)

    def likelihoods(self, packed: Packed, learnt: Tensor) -> Tensor:
        """Summed log-likelihood of the tokens marked in ``learnt`` by sequence, [sequences], with gradients; on the processor."""
        hidden, targets, places = self.known(packed, learnt)
        likelihoods = log_likelihoods(hidden, self.output, targets).to(devices.CPU)
        return likelihoods.new_zeros(len(packed.lengths)).index_add(0, sequence_of(packed)[places], likelihoods)

    @torch.inference_mode()
    def read(self, packed: Packed, learnt: Tensor) -> Tensor:
        """By sequence: negative log-likelihood, tokens, and how many of those were the likeliest; float64 [sequences, 3]."""
        hidden, targets, places = self.known(packed, learnt)
        likelihoods, hits = (told.to(devices.CPU) for told in read(hidden, self.output, targets))
        told = torch.stack([-likelihoods.double(), torch.ones(len(targets), dtype=torch.float64), hits.double()], dim=1)
        return told.new_zeros(len(packed.lengths), 3).index_add(0, sequence_of(packed)[places], told)

    @property
    def output(self) -> Tensor:
        """[vocabulary, width]."""
        weight: Tensor = self._model.get_output_embeddings().weight
        return weight

    def known(self, packed: Packed, learnt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(what is known before each learnt token [learnt, width], the token, its place); the place on the processor, as the arguments."""
        device, wanted = devices.of(self._model), learnt.clone()
        wanted[packed.starts] = False
        places = wanted.nonzero()[:, 0]
        hidden = self._model.base_model(**packed.to(device).arguments(), use_cache=False).last_hidden_state[0]
        return hidden[(places - 1).to(device)], packed.input_ids[0, places].to(device), places


def sequence_of(packed: Packed) -> Tensor:
    """The number of each token's sequence, int64 [tokens]."""
    lengths = torch.tensor(packed.lengths)
    return torch.repeat_interleave(torch.arange(len(lengths)), lengths)


def learnt_after(prompts: list[int], packed: Packed) -> Tensor:
    """Mark what comes after the first ``prompts[i]`` tokens of each sequence: bool [tokens]."""
    marks = [torch.arange(length) >= prompt for length, prompt in zip(packed.lengths, prompts, strict=True)]
    return torch.cat(marks)
