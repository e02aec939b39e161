"""A tagger that learns from small data: words by their atoms, read both ways (after Huang et al. 2015, Bojanowski et al. 2017)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kargah.kit import files
from kargah.recipes.token_classification.words import Atoms

ARCHITECTURE = "KargahWordTagger"
#: A word's own vector is left away so often in training, so that its parts learn to speak for words never seen.
_WORD_DROPOUT = 0.15


@dataclass(frozen=True)
class NetworkConfig:
    """``atoms`` without the one that stands for nothing; ``words``: how many of them are whole words."""

    atoms: int
    words: int
    tags: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float


class Sentences(NamedTuple):
    """``atoms`` int64 [all atoms of all words], ``starts`` [words]: where each word's begin, ``lengths`` [rows]: words of each row."""

    atoms: Tensor
    starts: Tensor
    lengths: Tensor


class WordTagger(nn.Module):
    """``forward`` returns logits [words, tags], one row's words after another's."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.EmbeddingBag(config.atoms + 1, config.embedding_size, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.1)
        between = config.dropout if config.num_layers > 1 else 0.0
        sizes = (config.embedding_size, config.hidden_size, config.num_layers)
        self.lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden_size + config.embedding_size, config.tags)

    def forward(self, batch: Sentences) -> Tensor:
        counted = torch.ones(len(batch.atoms))
        if self.training:
            dropped = torch.rand(len(batch.atoms)) < _WORD_DROPOUT
            counted = torch.where(dropped & (batch.atoms < self.config.words), 0.0, counted)
        vectors = self.dropout(self.embedding(batch.atoms, batch.starts, per_sample_weights=counted))
        rows = nn.utils.rnn.pad_sequence(list(torch.split(vectors, batch.lengths.tolist())), batch_first=True)
        packed = nn.utils.rnn.pack_padded_sequence(rows, batch.lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        real = torch.arange(states.shape[1])[None, :] < batch.lengths[:, None]
        logits: Tensor = self.head(torch.cat([self.dropout(states[real]), vectors], dim=1))
        return logits

    @property
    def architecture(self) -> str:
        return "bilstm"

    @property
    def parameters_when_saved(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def recompute(self) -> bool:
        return False

    def stepped(self, learning_rate: float, weight_decay: float) -> None:
        """Nothing is kept besides the weights."""

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        files.write_json(folder / "config.json", {"architectures": [ARCHITECTURE], **asdict(self.config)})
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, stored: dict[str, Any]) -> "WordTagger":
        from safetensors.torch import load_file

        network = cls(NetworkConfig(**{name: stored[name] for name in NetworkConfig.__dataclass_fields__}))
        network.load_state_dict(load_file(folder / "model.safetensors"))
        return network


@dataclass
class WordBatches:
    """An item: for each word of a row the numbers of its atoms, of which the last of all stands for none that is known."""

    atoms: Atoms

    def encode(self, rows: Sequence[Sequence[str]], check: Callable[[], None]) -> list[Any]:
        items = []
        for number, row in enumerate(rows):
            if number % 500 == 0:
                check()
            items.append([self.atoms.of_word(word) or [len(self.atoms)] for word in row])
        return items

    def cost(self, item: Any) -> int:
        return len(item)

    def collate(self, items: Sequence[Any]) -> Sentences:
        words = [word for item in items for word in item]
        starts = np.cumsum([0, *map(len, words[:-1])])
        atoms = np.concatenate([np.asarray(word, dtype=np.int64) for word in words])
        return Sentences(torch.from_numpy(atoms), torch.from_numpy(starts), torch.tensor([len(item) for item in items]))

    def places(self, items: Sequence[Any]) -> list[list[int]]:
        """Which of a batch's logits are those of each item's words."""
        ends = np.cumsum([0, *map(len, items)]).tolist()
        return [list(range(start, end)) for start, end in pairwise(ends)]

    def save(self, folder: Path) -> None:
        files.write_json(folder / "atoms.json", self.atoms.listed())

    @classmethod
    def load(cls, folder: Path) -> "WordBatches":
        return cls(Atoms.of(files.read_json(folder / "atoms.json")))
