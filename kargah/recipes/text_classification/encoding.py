"""From texts to what a network eats, and back into files: done once a row, before the first step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from kargah.kit import files
from kargah.recipes.encoders import Item as TokenItem
from kargah.recipes.encoders import TokenArray, TokenBatches, items_of
from kargah.recipes.ngrams import NgramVocabulary
from kargah.recipes.text_classification.model import Bags, Sequences
from kargah.recipes.token_rows import Check, KeptTokens
from kargah.recipes.tokenizing import load_tokenizer

Item = Any


class Encoding(Protocol):
    """``encode`` turns the texts of each field into one item a row; ``collate`` turns items into the network's batch."""

    def encode(self, fields: Sequence[Sequence[str]], check: Check) -> Sequence[Item]: ...

    def cost(self, item: Item) -> int:
        """How long the row is, in tokens or n-grams."""
        ...

    def collate(self, items: Sequence[Item]) -> Any: ...

    def save(self, folder: Path) -> None: ...


@dataclass
class BagEncoding:
    """An item: for each field (indices, TF-IDF weights). One vocabulary for all fields, since the network's vectors are shared."""

    vocabulary: NgramVocabulary

    def encode(self, fields: Sequence[Sequence[str]], check: Check) -> list[Item]:
        items = []
        for number, texts in enumerate(zip(*fields, strict=True)):
            if number % 500 == 0:
                check()
            items.append([self.vocabulary.vector(text) for text in texts])
        return items

    def cost(self, item: Item) -> int:
        return sum(len(indices) for indices, _ in item)

    def collate(self, items: Sequence[Item]) -> list[Bags]:
        return [self._bags([item[field] for item in items]) for field in range(len(items[0]))]

    def _bags(self, vectors: list[Any]) -> Bags:
        lengths = [len(indices) for indices, _ in vectors]
        offsets = np.cumsum([0, *lengths[:-1]])
        indices, weights = (np.concatenate(part) for part in zip(*vectors, strict=True))
        return Bags(torch.from_numpy(indices), torch.from_numpy(offsets), torch.from_numpy(weights))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        files.write_json(folder / "ngrams.json", self.vocabulary.as_dict())
        save_file({"idf": self.vocabulary.idf}, folder / "ngrams.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "BagEncoding":
        from safetensors.numpy import load_file

        return cls(NgramVocabulary.from_dict(files.read_json(folder / "ngrams.json"), load_file(folder / "ngrams.safetensors")["idf"]))


@dataclass
class TokenEncoding:
    """An item: for each field its token ids, at most ``max_length``, at least one."""

    tokenizer: Any
    max_length: int
    kept: KeptTokens | None = field(default=None, kw_only=True)

    def encode(self, fields: Sequence[Sequence[str]], check: Check) -> list[Item]:
        return self.cut([items_of(self.tokenizer, [texts], check, self.kept, special=False) for texts in fields])

    def cut(self, fields: Sequence[Sequence[TokenItem]]) -> list[Item]:
        """Of what the tokenizer says of each field."""
        nothing = np.ones(1, dtype=np.int32)
        return [[ids[: self.max_length] if len(ids) else nothing for ids, _ in row] for row in zip(*fields, strict=True)]

    def cost(self, item: Item) -> int:
        return max(len(ids) for ids in item)

    def collate(self, items: Sequence[Item]) -> list[Sequences]:
        return [self._sequences([item[field] for item in items]) for field in range(len(items[0]))]

    def _sequences(self, rows: list[TokenArray]) -> Sequences:
        lengths = torch.tensor([len(ids) for ids in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        return Sequences(ids, lengths)

    def save(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / "tokenizer.json"))
        about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": self.max_length}
        files.write_json(folder / "tokenizer_config.json", about)

    @classmethod
    def load(cls, folder: Path) -> "TokenEncoding":
        return cls(load_tokenizer(folder), files.read_json(folder / "tokenizer_config.json")["model_max_length"])


class TransformerEncoding(TokenBatches):
    """A pair is one sequence."""

    def encode(self, fields: Sequence[Sequence[str]], check: Check) -> Sequence[TokenItem]:
        return self.items_of(fields, check)
