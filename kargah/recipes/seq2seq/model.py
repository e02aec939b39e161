"""A ``…ForConditionalGeneration`` of transformers with its tokenizer: batches, losses, writing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from kargah.engine import devices
from kargah.engine.packing import Numbers
from kargah.recipes.encoders import Item as TokenItem
from kargah.recipes.encoders import TokenArray, items_of, shortened
from kargah.recipes.seq2seq.metrics import Written
from kargah.recipes.token_rows import Check, KeptTokens, TokenRows

_SCORING_BATCH = 32
_IGNORED = -100
#: (token ids of what is read, token ids of what is to be written), each with its end.
Item = tuple[TokenArray, TokenArray]
Told = TypeVar("Told")


@dataclass
class Writer:
    """``max_length`` and ``max_target_length`` count the token of the end. What was cut away keeps it as well."""

    model: Any
    tokenizer: Any
    max_length: int
    max_target_length: int
    num_beams: int

    def encode(self, read: Sequence[str], written: Sequence[str], check: Check) -> list[Item]:
        sides = (read, self.max_length), (written, self.max_target_length)
        return _together(items_of(self.tokenizer, [texts], check, None, longest) for texts, longest in sides)

    def shortened(self, sides: Sequence[tuple[Sequence[str], TokenRows]], check: Check, kept: KeptTokens | None) -> list[Item]:
        """What is read and what is written, each with its tokens as they were read without a limit."""
        limits = self.max_length, self.max_target_length
        told = zip(sides, limits, strict=True)
        return _together(shortened(self.tokenizer, tokens, [texts], check, kept, longest) for (texts, tokens), longest in told)

    def batch(self, items: Sequence[Item]) -> dict[str, Tensor]:
        padding = self.tokenizer.pad_token_id
        read = _padded([item[0] for item in items], padding)
        mask = _padded([[1] * len(item[0]) for item in items], 0)
        batch = {"input_ids": read, "attention_mask": mask, "labels": _padded([item[1] for item in items], _IGNORED)}
        return devices.sent(batch, devices.of(self.model))

    def written(self, items: Sequence[Item], check: Check) -> list[Written]:
        """For each item what the model writes of it, and how likely it held the given target."""
        return self._in_batches(items, check, lambda batch: map(Written, self._texts(batch), *self._losses(batch)))

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Answers to texts, in their order."""
        return self._in_batches(self.encode(texts, [""] * len(texts), lambda: None), lambda: None, self._texts)

    @torch.inference_mode()
    def _in_batches(self, items: Sequence[Item], check: Check, tell: Callable[[dict[str, Tensor]], Iterable[Told]]) -> list[Told]:
        """In batches of like length, told in the order of ``items``."""
        self.model.eval()
        order = sorted(range(len(items)), key=lambda place: len(items[place][0]))
        found: dict[int, Told] = {}
        for start in range(0, len(order), _SCORING_BATCH):
            check()
            places = order[start : start + _SCORING_BATCH]
            found.update(zip(places, tell(self.batch([items[place] for place in places])), strict=True))
        return [found[place] for place in range(len(items))]

    def _losses(self, batch: dict[str, Tensor]) -> tuple[list[float], list[int]]:
        logits = self.model(**batch).logits.float()
        lost = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=_IGNORED, reduction="none")
        return lost.double().sum(dim=1).cpu().tolist(), (batch["labels"] != _IGNORED).sum(dim=1).cpu().tolist()

    def _texts(self, batch: dict[str, Tensor]) -> list[str]:
        asked = {name: batch[name] for name in ("input_ids", "attention_mask")}
        ids = self.model.generate(**asked, max_new_tokens=self.max_target_length, num_beams=self.num_beams, do_sample=False)
        return [text.strip() for text in self.tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)]

    def save(self, folder: Path) -> None:
        """So that ``generate`` of bare transformers writes the same."""
        config = self.model.generation_config
        config.max_new_tokens, config.num_beams, config.do_sample = self.max_target_length, self.num_beams, False
        config.max_length = None
        self.model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(str(folder))


def _together(sides: Iterable[Sequence[TokenItem]]) -> list[Item]:
    return list(zip(*([ids for ids, _ in side] for side in sides), strict=True))


def _padded(rows: Sequence[Numbers], padding: int) -> Tensor:
    ids = torch.full((len(rows), max(map(len, rows))), padding, dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
    return ids


def small(tokenizer: Any, hidden_size: int, num_layers: int, dropout: float) -> Any:
    """A T5 small enough to learn from thousands of rows."""
    from transformers import T5Config, T5ForConditionalGeneration

    heads = max(1, hidden_size // 32)
    config: Any = T5Config(
        vocab_size=len(tokenizer),
        d_model=hidden_size,
        d_kv=hidden_size // heads,
        d_ff=2 * hidden_size,
        num_layers=num_layers,
        num_heads=heads,
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = tokenizer.pad_token_id
    return T5ForConditionalGeneration(config)
