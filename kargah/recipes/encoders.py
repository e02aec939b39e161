"""Encoders of the ``transformers`` library under any head: a small one from scratch, or a base model.

A ``Head`` says what becomes of the encoder's vectors; ``Transformer`` is the module that trains; ``TokenBatches`` makes its batches.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kargah.engine import devices
from kargah.engine.classifiers import logits_of_sequences, logits_of_spans, logits_of_tokens
from kargah.engine.dropout import make_dropout_cheap
from kargah.engine.encoders import FAMILIES, UnpaddedEncoder
from kargah.engine.packing import Numbers, Packed
from kargah.engine.products import make_products_quick
from kargah.engine.vocabulary import CompactVocabulary, compact
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.token_rows import Asked, Check, Fields, KeptTokens, TokenRows, parts_of, rows_of
from kargah.recipes.tokenizing import SPECIAL_TOKENS

_LONGEST = 512
TokenArray = NDArray[np.int32]
#: (token ids, token type ids) of one sequence, special tokens included.
Item = tuple[TokenArray, NDArray[np.uint8]]
Batch = Packed | dict[str, Tensor]


@dataclass(frozen=True)
class Head:
    """The same numbers by two ways: ``packed(model, vectors [tokens, width], batch)`` and, for a family that only takes padded
    batches, ``padded(model, its keyword arguments)``. What is told of tokens is told of the real ones, one sequence after another.
    """

    packed: Callable[[Any, Tensor, Packed], Tensor]
    padded: Callable[[Any, dict[str, Tensor]], Tensor]


def _of_real_tokens(values: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return values[batch["attention_mask"].bool()]


def _padded_spans(model: Any, batch: dict[str, Tensor]) -> Tensor:
    told = model(**batch)
    return _of_real_tokens(torch.stack([told.start_logits, told.end_logits], dim=-1), batch)


#: ``…ForSequenceClassification``: [texts, outputs].
TEXTS = Head(logits_of_sequences, lambda model, batch: model(**batch).logits)
#: ``…ForTokenClassification``: [tokens, outputs].
TOKENS = Head(logits_of_tokens, lambda model, batch: _of_real_tokens(model(**batch).logits, batch))
#: ``…ForQuestionAnswering``: [tokens, 2].
SPANS = Head(logits_of_spans, _padded_spans)
#: The bare encoder's vectors: [tokens, width].
VECTORS = Head(
    lambda _model, hidden, _batch: hidden, lambda model, batch: _of_real_tokens(model.base_model(**batch).last_hidden_state, batch)
)


class Transformer(nn.Module):
    """``forward`` takes a packed batch, or the keyword arguments of a padded one, and returns what the head makes of it. Both are the
    processor's, wherever the model computes.

    ``first_position`` for packed batches; null for a family that only takes padded ones.
    """

    def __init__(self, model: Any, head: Head) -> None:
        super().__init__()
        self.model = model
        self.vocabulary: CompactVocabulary | None = None
        self._head = head
        self._unpadded = UnpaddedEncoder(model) if model.config.model_type in FAMILIES else None

    @property
    def first_position(self) -> int | None:
        return self._unpadded.first_position if self._unpadded else None

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    @property
    def longest(self) -> int:
        """Tokens that the position table has room for, special tokens included."""
        config = self.model.config
        positions = getattr(config, "max_position_embeddings", _LONGEST) or _LONGEST
        reserved = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0  # their positions begin after the padding's
        return int(min(positions - reserved, _LONGEST))

    @property
    def parameters_when_saved(self) -> int:
        left_out = self.vocabulary.rows_left_out * self._embedding.embedding_dim if self.vocabulary else 0
        return left_out + sum(int(parameter.numel()) for parameter in self.model.parameters())

    def make_cheap(self, sequences: Iterable[Numbers]) -> list[Decision]:
        """For training: plain dropouts by cheap ones, quick products, no padding, and only the vectors of tokens in ``sequences`` (those of
        all that will be scored among them), where that is exact; said, for it shows in memory and time.
        """
        make_dropout_cheap(self.model)
        make_products_quick(self.model)
        if self._unpadded:
            self.vocabulary = compact(self.model, sequences)
        padding = "none" if self._unpadded else "to_longest"
        decisions = [Decision("padding", padding, "adapted", f"why.padding_{padding}")]
        if self.vocabulary is not None:
            decisions.append(Decision("vectors_left_out", self.vocabulary.rows_left_out, "adapted", "why.vectors_left_out"))
        return decisions

    def recompute(self) -> bool:
        """Keep of each layer only what goes in; False for a family that cannot."""
        if not self.model.supports_gradient_checkpointing:
            return False
        later, earlier = "activation_checkpointing_enable", "gradient_checkpointing_enable"  # by the version of transformers
        getattr(self.model, later if hasattr(self.model, later) else earlier)({"use_reentrant": False})
        return True

    def stepped(self, learning_rate: float, weight_decay: float) -> None:
        """To be called after each optimizer step, with its settings."""
        if self.vocabulary is not None:
            self.vocabulary.stepped(learning_rate, weight_decay)

    def forward(self, batch: Batch) -> Tensor:
        return self.there(batch).to(devices.CPU)

    def there(self, batch: Batch) -> Tensor:
        """What ``forward`` returns, left where the model is."""
        device = devices.of(self.model)
        if isinstance(batch, Packed):
            assert self._unpadded is not None
            known = batch if self.vocabulary is None else replace(batch, input_ids=self.vocabulary.rows_of(batch.input_ids))
            known = known.to(device)
            return self._head.packed(self.model, self._unpadded(known), known)
        return self._head.padded(self.model, devices.sent(batch, device))

    def read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(what ``there`` returns, the encoder's last vectors of the real tokens [tokens, width]), both where the model is."""
        kept: list[Tensor] = []
        hook = self.model.base_model.register_forward_hook(lambda _module, _inputs, told: kept.append(told.last_hidden_state))
        try:
            told = self.there(batch)
        finally:
            hook.remove()
        if isinstance(batch, Packed):
            return told, kept[-1][0, : batch.tokens]
        return told, kept[-1][batch["attention_mask"].bool().to(kept[-1].device)]

    def firsts(self, batch: Batch) -> Tensor:
        """The encoder's vectors of the first tokens of a packed batch, [sequences, width]."""
        assert isinstance(batch, Packed)
        assert self._unpadded is not None
        there = batch.to(devices.of(self.model))
        return self._unpadded(there)[there.starts].to(devices.CPU)

    @property
    def _embedding(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.get_input_embeddings()
        return embedding

    def save(self, folder: Path) -> None:
        """As transformers writes it, with the whole vocabulary."""
        state = self.model.state_dict()
        if self.vocabulary is not None:
            trained = self._embedding.weight
            name = next(name for name, parameter in self.model.named_parameters() if parameter is trained)
            state[name] = self.vocabulary.restored(trained)
        self.model.save_pretrained(folder, state_dict=state)


@dataclass
class TokenBatches:
    """``tokenizer`` is a fast one of transformers; ``max_length`` counts special tokens.

    ``first_position`` of a network that takes packed batches; null: batches are padded.
    """

    tokenizer: Any
    max_length: int
    first_position: int | None = None
    kept: KeptTokens | None = field(default=None, kw_only=True)

    def items_of(self, fields: Fields, check: Check) -> Sequence[Item]:
        """Of each row; ``fields``: its texts, one sequence of them for each field."""
        return items_of(self.tokenizer, fields, check, self.kept, self.max_length)

    def shortened(self, items: TokenRows, fields: Fields, check: Check) -> Sequence[Item]:
        """``items_of`` the same rows, where they were read without a limit."""
        return shortened(self.tokenizer, items, fields, check, self.kept, self.max_length)

    def cost(self, item: Item) -> int:
        return len(item[0])

    def collate(self, items: Sequence[Item]) -> Batch:
        if self.first_position is not None:
            types = [types for _, types in items] if self._has_types else None
            return Packed.of([ids for ids, _ in items], types, self.first_position)
        return self._padded(items)

    def _padded(self, items: Sequence[Item]) -> dict[str, Tensor]:
        longest = max(len(ids) for ids, _ in items)
        ids = torch.full((len(items), longest), self.tokenizer.pad_token_id, dtype=torch.int64)
        types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (row_ids, row_types) in enumerate(items):
            ids[row, : len(row_ids)], types[row, : len(row_ids)] = torch.tensor(row_ids), torch.tensor(row_types)
            mask[row, : len(row_ids)] = 1
        batch = {"input_ids": ids, "attention_mask": mask}
        return batch | ({"token_type_ids": types} if self._has_types else {})

    @property
    def _has_types(self) -> bool:
        return "token_type_ids" in self.tokenizer.model_input_names

    def save(self, folder: Path) -> None:
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(str(folder))


def item_of(ids: Sequence[int], types: Sequence[int]) -> Item:
    """In five bytes a token: as Python's numbers they would take some forty."""
    return np.array(ids, dtype=np.int32), np.array(types, dtype=np.uint8)


def items_of(
    tokenizer: Any, fields: Fields, check: Check, kept: KeptTokens | None = None, max_length: int | None = None, special: bool = True
) -> TokenRows:
    """An ``Item`` of each row; ``max_length``: longer ones are cut; ``special``: with special tokens."""
    asked = Asked(tokenizer, fields, max_length, special)
    return rows_of(asked, kept, (np.int32, np.uint8), lambda: (item_of(found.ids, found.type_ids) for found in asked.answers(check)))


def shortened(tokenizer: Any, items: TokenRows, fields: Fields, check: Check, kept: KeptTokens | None, max_length: int) -> Sequence[Item]:
    """``items`` of ``fields``, of which only those that are too long are read anew."""
    long = np.flatnonzero(items.lengths > max_length).tolist()
    if not long:
        return items
    anew = items_of(tokenizer, [[texts[row] for row in long] for texts in fields], check, kept, max_length)
    found = dict(zip(long, anew, strict=True))
    return [found.get(row, item) for row, item in enumerate(items)]


def counts_of(tokenizer: Any, fields: Sequence[Sequence[Any]], check: Check, **options: Any) -> list[int]:
    """How many tokens each row has, special ones included."""
    return [len(ids) for part in parts_of(fields, check) for ids in tokenizer(*part, **options)["input_ids"]]


def small_config(tokenizer: Any, hidden_size: int, num_layers: int, dropout: float, max_length: int, **task: Any) -> Any:
    """Of a BERT small enough to learn from thousands of rows, for any of transformers' ``BertFor…``; ``task``: labels and the like."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=max(1, hidden_size // 32),
        intermediate_size=4 * hidden_size,
        max_position_embeddings=max_length + 3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=tokenizer.pad_token_id,
        **task,
    )


def named_labels(labels: Sequence[str]) -> dict[str, Any]:
    """What a transformers configuration must say about the labels."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def fast_tokenizer(tokenizer: Any) -> Any:
    """Our tokenizer as transformers knows them."""
    from transformers import PreTrainedTokenizerFast

    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    special = dict(zip(names, SPECIAL_TOKENS, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, model_input_names=inputs, clean_up_tokenization_spaces=False, **special)


def fitting_length(request: Request, lengths: Sequence[int] | NDArray[np.int64], limit: int) -> tuple[int, Decision]:
    """The longest text, up to ``limit`` tokens; longer ones are cut."""
    wanted = getattr(request.spec, "max_length", None)
    if wanted is not None:
        return int(wanted), Decision("max_length", wanted, "chosen", "why.chosen")
    longest = int(max(lengths))
    value = max(8, min(longest, limit))
    cut = int(sum(length > value for length in lengths))
    return value, Decision("max_length", value, "adapted", "why.max_length", {"longest": longest, "cut": cut, "limit": limit})
