"""A base model whose encoder stays as it is: texts go through it once, and only what stands upon it learns.

What is left is an ordinary model of transformers: the head is its own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kargah.engine.classifiers import HEADS
from kargah.recipes.encoders import Transformer
from kargah.recipes.errors import SettingUnfit
from kargah.recipes.text_classification.encoding import TransformerEncoding

_AT_ONCE = 64
Check = Callable[[], None]


class FrozenHead(nn.Module):
    """``forward`` takes the vectors of first tokens [texts, width], returns logits [texts, outputs].

    Its parameters are those of ``transformer`` beyond the encoder, and of a BERT the layer over its first token, which many base models
    bring untrained; the encoder's are in no checkpoint. Raises SettingUnfit for a family whose head is not known.
    """

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        model = transformer.model
        if model.config.model_type not in HEADS or transformer.first_position is None:
            raise SettingUnfit(field="spec.frozen_encoder", setting="frozen_encoder", value="true", problem=transformer.architecture)
        encoder = model.base_model
        encoder.requires_grad_(False)
        self._whole = [transformer]  # in a list, so that its parameters are not this module's
        for name, child in model.named_children():
            if child is not encoder:
                self.add_module(name, child)
        if (pooler := getattr(encoder, "pooler", None)) is not None:
            self.add_module("pooler", pooler.requires_grad_(True))

    @property
    def transformer(self) -> Transformer:
        return self._whole[0]

    def forward(self, firsts: Tensor) -> Tensor:
        model = self.transformer.model
        return HEADS[model.config.model_type](model, firsts)


class FrozenEncoding:
    """An item: the encoder's vector of a text's first token, float32 [width]."""

    #: Items are never padded.
    first_position = 0

    def __init__(self, encoding: TransformerEncoding, head: FrozenHead) -> None:
        self._encoding, self._head = encoding, head

    def encode(self, fields: Sequence[Sequence[str]], check: Check) -> list[Tensor]:
        return self.vectors(self._encoding.encode(fields, check), check)

    @torch.no_grad()
    def vectors(self, items: Sequence[Any], check: Check) -> list[Tensor]:
        """Of what ``encoding`` has read, in its order; computed in batches of like length."""
        whole = self._head.transformer
        whole.model.base_model.eval()
        order = sorted(range(len(items)), key=lambda row: self._encoding.cost(items[row]))
        found: dict[int, Tensor] = {}
        for start in range(0, len(order), _AT_ONCE):
            check()
            rows = order[start : start + _AT_ONCE]
            firsts = whole.firsts(self._encoding.collate([items[row] for row in rows]))
            found.update(zip(rows, firsts, strict=True))
        return [found[row] for row in range(len(items))]

    def cost(self, item: Tensor) -> int:
        del item
        return 1

    def collate(self, items: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(items))

    def save(self, folder: Path) -> None:
        self._encoding.save(folder)


def freeze(network: Transformer, encoding: TransformerEncoding) -> tuple[FrozenHead, FrozenEncoding]:
    """What trains instead of the whole, and what its texts become."""
    head = FrozenHead(network)
    return head, FrozenEncoding(encoding, head)
