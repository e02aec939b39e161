"""Networks that learn from small data: a bag of subwords, a CNN, a BiLSTM. Transformers come from ``transformers`` (see pretrained).

Each turns a text into one vector; one text is answered from its vector u, a pair from u, v, |u - v| and u · v.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a network of our own; written to config.json. ``features`` is the size of the vocabulary."""

    preset: str
    features: int
    fields: int
    outputs: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Bags(NamedTuple):
    """Weighted n-grams of some texts: ``indices`` and ``weights`` [total], ``offsets`` [texts]."""

    indices: Tensor
    offsets: Tensor
    weights: Tensor


class Sequences(NamedTuple):
    """Tokens of some texts, padded to the longest of them: ``ids`` int64 [texts, length], ``lengths`` int64 [texts] ≥ 1."""

    ids: Tensor
    lengths: Tensor


class BagEncoder(nn.Module):
    """Sum of the n-grams' vectors by TF-IDF, as fastText does, through one hidden layer."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(config.features, config.embedding_size, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.hidden = nn.Linear(config.embedding_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.size = config.hidden_size

    def forward(self, texts: Bags) -> Tensor:
        summed = self.embedding(texts.indices, texts.offsets, per_sample_weights=texts.weights)
        return torch.relu(self.hidden(self.dropout(summed)))


class CnnEncoder(nn.Module):
    """Windows of 2 to 5 tokens, the strongest answer of each filter (Kim 2014)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.features, config.embedding_size, padding_idx=0)
        self.widths = (2, 3, 4, 5)
        self.filters = nn.ModuleList(nn.Conv1d(config.embedding_size, config.hidden_size, width) for width in self.widths)
        self.dropout = nn.Dropout(config.dropout)
        self.size = config.hidden_size * len(self.widths)

    def forward(self, texts: Sequences) -> Tensor:
        short = max(self.widths) - texts.ids.shape[1]
        ids = nn.functional.pad(texts.ids, (0, max(0, short)))
        vectors = self.dropout(self.embedding(ids)).transpose(1, 2)
        return torch.cat([self._strongest(filters, vectors, texts.lengths) for filters in self.filters], dim=1)

    def _strongest(self, filters: nn.Module, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Windows that begin in the padding do not count, so that padding cannot change an answer."""
        answers = torch.relu(filters(vectors))
        starts = torch.arange(answers.shape[2])
        return answers.masked_fill((starts[None, :] >= lengths[:, None])[:, None, :], 0.0).amax(dim=2)


class LstmEncoder(nn.Module):
    """Reads both ways; the mean and the maximum over the tokens speak for the text."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.features, config.embedding_size, padding_idx=0)
        between = config.dropout if config.num_layers > 1 else 0.0
        sizes = (config.embedding_size, config.hidden_size, config.num_layers)
        self.lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.size = 4 * config.hidden_size

    def forward(self, texts: Sequences) -> Tensor:
        vectors = self.dropout(self.embedding(texts.ids))
        packed = nn.utils.rnn.pack_padded_sequence(vectors, texts.lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=texts.ids.shape[1])
        outside = (torch.arange(texts.ids.shape[1])[None, :] >= texts.lengths[:, None])[:, :, None]
        mean = states.sum(dim=1) / texts.lengths[:, None]
        return torch.cat([mean, states.masked_fill(outside, -1e9).amax(dim=1)], dim=1)


ENCODERS: dict[str, type[BagEncoder | CnnEncoder | LstmEncoder]] = {"bag": BagEncoder, "cnn": CnnEncoder, "bilstm": LstmEncoder}


class TextNetwork(nn.Module):
    """One encoder for all fields and a linear head. ``forward`` takes a list of fields, returns logits [texts, outputs]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ENCODERS[config.preset](config)
        size = self.encoder.size
        self.dropout = nn.Dropout(config.dropout)
        self.between = nn.Identity() if config.fields == 1 else _pair_layer(size, config.dropout)
        self.head = nn.Linear(size if config.fields == 1 else 2 * size, config.outputs)

    def forward(self, fields: list[Any]) -> Tensor:
        vectors = [self.encoder(field) for field in fields]
        if len(vectors) == 2:
            first, second = vectors
            vectors = [first, second, (first - second).abs(), first * second]
        answer: Tensor = self.head(self.between(self.dropout(torch.cat(vectors, dim=1))))
        return answer


def _pair_layer(size: int, dropout: float) -> nn.Module:
    """From u, v, |u - v| and u · v to half as many numbers."""
    return nn.Sequential(nn.Linear(4 * size, 2 * size), nn.ReLU(), nn.Dropout(dropout))
