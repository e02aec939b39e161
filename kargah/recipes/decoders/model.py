"""Decoders of transformers on packed batches: a small Llama from scratch or a base model, whole or with low-rank adapters of peft."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine.causal import FAMILIES, UnpaddedDecoder
from kargah.engine.dropout import CheapDropout
from kargah.engine.packing import Packed
from kargah.recipes import base_models, new_tokens
from kargah.recipes.decoders.sizes import Size
from kargah.recipes.decoders.spec import DecoderSpec
from kargah.recipes.decoders.tokens import Sample, Tokens, Vocabulary
from kargah.recipes.errors import BaseModelUnusable
from kargah.recipes.runtime import Request

#: Where dropout stands from scratch: after the vectors of tokens and after each sublayer (as in Vaswani et al. 2017). Named by ends.
_DROPPED = ("embed_tokens", "o_proj", "down_proj")
_HEAD_WIDTH = 64


class Decoder(nn.Module):
    """``model``: a ``…ForCausalLM`` of engine.causal.FAMILIES; ``adapted``: the same inside peft's model, where it has adapters."""

    def __init__(self, model: Any, adapted: Any = None) -> None:
        super().__init__()
        self.model = model
        self.packed = UnpaddedDecoder(model)
        self._adapted = [adapted]  # in a list: no second place of the same weights in this module's state

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    @property
    def adapted(self) -> Any:
        return self._adapted[0]

    @property
    def parameters_when_saved(self) -> int:
        """Without what only learning took: adapters, which are merged, and what compared hidden states with a teacher's."""
        counted = (name for name, _ in self.named_parameters() if "lora_" not in name and not name.startswith("likeness."))
        return sum(self.get_parameter(name).numel() for name in counted)

    def recompute(self) -> bool:
        if not self.model.supports_gradient_checkpointing:
            return False
        later, earlier = "activation_checkpointing_enable", "gradient_checkpointing_enable"  # by the version of transformers
        getattr(self.model, later if hasattr(self.model, later) else earlier)({"use_reentrant": False})
        return True

    def save(self, folder: Path, stop: Sequence[int], keep_adapter: bool) -> None:
        """As transformers writes it, adapters merged in; with ``keep_adapter`` they stand by themselves in ``adapter/`` as well."""
        if self.adapted is not None:
            if keep_adapter:
                self.adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
                (folder / "adapter" / "README.md").unlink(missing_ok=True)  # peft's form to fill in; the model's own card stands above
            self.model = self.adapted.merge_and_unload()
            self._adapted = [None]
        self.model.generation_config.eos_token_id = list(stop) or None
        self.model.save_pretrained(folder)


def packed(samples: Sequence[Sample]) -> tuple[Packed, Tensor]:
    """(their sequences one after another, which tokens are learnt)."""
    return together([sequence for sample in samples for sequence in sample.sequences])


def together(sequences: Sequence[Tokens]) -> tuple[Packed, Tensor]:
    learnt = torch.from_numpy(np.concatenate([sequence.learnt for sequence in sequences]))
    return Packed.of([sequence.ids for sequence in sequences]), learnt


def from_scratch(vocabulary: Vocabulary, size: Size, max_length: int, seed: int) -> Decoder:
    """A Llama (Touvron et al. 2023) with one matrix for tokens in and out: small vocabularies are most of a small model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    tokenizer = vocabulary.tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=max(1, size.hidden_size // _HEAD_WIDTH),
        intermediate_size=-(-size.hidden_size * 8 // 3 // 8) * 8,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    drop(model, size.dropout)
    return Decoder(model)


def of_base(folder: Path, vocabulary: Vocabulary, spec: DecoderSpec, adapter: str, request: Request) -> Decoder:
    """Raises what ``base_models.load_model`` does, and BaseModelUnusable for a family whose gradients nobody compared."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(spec.seed)
    model = _in_four_bits(folder) if spec.quantization == "4bit" else base_models.load_model(folder, AutoModelForCausalLM, request.check)
    if model.config.model_type not in FAMILIES:
        raise BaseModelUnusable(field="base_model", reason="family", detail=model.config.model_type)
    if vocabulary.growth is not None:
        new_tokens.add_rows(model, vocabulary.growth)
    rows = len(model.get_input_embeddings().weight)
    if len(vocabulary.tokenizer) > rows:
        raise BaseModelUnusable(field="base_model", reason="shapes", detail=f"tokenizer: {len(vocabulary.tokenizer)}, embeddings: {rows}")
    if spec.dropout:
        drop(model, spec.dropout)
    return Decoder(model) if adapter == "none" else with_adapters(model, spec, adapter)


def _in_four_bits(folder: Path) -> Any:
    """NF4 with double quantisation (Dettmers et al. 2023, QLoRA). Needs a GPU and bitsandbytes, which ``prepare`` has looked for."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    make: Any = BitsAndBytesConfig
    how = make(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    return AutoModelForCausalLM.from_pretrained(folder, quantization_config=how, use_safetensors=True, **base_models.OFFLINE)


def with_adapters(model: Any, spec: DecoderSpec, adapter: str) -> Decoder:
    """Only the adapters learn, on every linear layer but the last (Hu et al. 2021; DoRA: Liu et al. 2024; rsLoRA: Kalajdzievski 2023)."""
    from peft import LoraConfig, get_peft_model

    from kargah.engine.adapters import make_adapters_cheap

    config = LoraConfig(
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha or 2 * spec.lora_rank,  # type: ignore[arg-type]
        lora_dropout=spec.lora_dropout,
        target_modules="all-linear",
        use_dora=adapter == "dora",
        use_rslora=adapter == "rslora",
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    make_adapters_cheap(adapted)
    for described in adapted.peft_config.values():
        described.base_model_name_or_path = None  # a place on this machine, which means nothing elsewhere
    return Decoder(adapted.get_base_model(), adapted)


def drop(model: Any, probability: float) -> None:
    """Drop in training only, from outside: the model that is saved knows nothing of it."""
    if not probability:
        return
    dropout = CheapDropout(probability)

    def dropped(module: nn.Module, _: Any, result: Tensor) -> Tensor:
        if not module.training:
            return result
        kept: Tensor = dropout(result)
        return kept

    for name, module in model.named_modules():
        if name.endswith(_DROPPED):
            module.register_forward_hook(dropped)
