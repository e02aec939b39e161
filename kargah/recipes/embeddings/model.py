"""Networks that make a text a vector of length 1: hashed n-grams with learnt weights, or the mean of an encoder's vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.kit import files
from kargah.recipes.embeddings.hashing import HashedTerms, signed_places
from kargah.recipes.encoders import Batch, TokenBatches, Transformer
from kargah.recipes.measures import FloatArray

Check = Callable[[], None]
_SCORING_BATCH = 64
#: One step moves the logarithm of an n-gram's weight so many times as far as a number of the map.
_WEIGHT_STRIDE = 25.0


class TermBatch(NamedTuple):
    """N-grams of some texts, all [total]: of which text (``cells`` // width), at which place (% width), in which bucket, how much."""

    texts: int
    cells: Tensor
    buckets: Tensor
    values: Tensor


class HashedBag(nn.Module):
    """TF-IDF by signed hashing with a learnt weight for each bucket, and a learnt map [width, width] added to it.

    Untaught it is TF-IDF, so far as ``width`` places can hold it.
    """

    def __init__(self, buckets: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.weights = nn.Parameter(torch.zeros(buckets))
        self.map = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.map.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: TermBatch) -> Tensor:
        values = self.dropout(batch.values) * torch.exp(_WEIGHT_STRIDE * self.weights[batch.buckets])
        summed = torch.zeros(batch.texts * self.width).index_add(0, batch.cells, values).view(batch.texts, self.width)
        return nn.functional.normalize(summed + self.map(summed), dim=1)


class MeanOfTokens(nn.Module):
    """The mean of an encoder's vectors over a text's tokens, special ones included, as sentence-transformers pools by default."""

    def __init__(self, encoder: Transformer) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: Batch) -> Tensor:
        vectors = self.encoder.there(batch)
        lengths = batch["attention_mask"].sum(dim=1) if isinstance(batch, dict) else torch.tensor(batch.lengths)
        of_text = torch.repeat_interleave(torch.arange(len(lengths)), lengths).to(vectors.device)
        summed = vectors.new_zeros(len(lengths), vectors.shape[1]).index_add(0, of_text, vectors).to(devices.CPU)
        return nn.functional.normalize((summed / lengths[:, None]).float(), dim=1)


class Reader(Protocol):
    """From texts to what a network takes."""

    def encode(self, texts: Sequence[str], check: Check) -> list[Any]: ...

    def cost(self, item: Any) -> int: ...

    def collate(self, items: Sequence[Any]) -> Any: ...


@dataclass
class TermReader:
    """An item: (hashes, values)."""

    terms: HashedTerms
    width: int

    def encode(self, texts: Sequence[str], check: Check) -> list[Any]:
        items = []
        for number, text in enumerate(texts):
            if number % 500 == 0:
                check()
            items.append(self.terms.terms(text))
        return items

    def cost(self, item: Any) -> int:
        return max(1, len(item[0]))

    def collate(self, items: Sequence[Any]) -> TermBatch:
        hashes, values = (np.concatenate(side) for side in zip(*items, strict=True))
        places, signs = signed_places(hashes, self.width)
        of_text = np.repeat(np.arange(len(items)), [len(found) for found, _ in items])
        cells, buckets = torch.from_numpy(of_text * self.width + places), torch.from_numpy(self.terms.buckets_of(hashes))
        return TermBatch(len(items), cells, buckets, torch.from_numpy(values * signs))


@dataclass
class TokenReader(TokenBatches):
    """An item: (token ids, token type ids), at most ``max_length`` of them."""

    def encode(self, texts: Sequence[str], check: Check) -> Sequence[Any]:
        return self.items_of([texts], check)


@dataclass
class Embedder:
    """A network with its reader: all that answering takes."""

    network: HashedBag | MeanOfTokens
    reader: TermReader | TokenReader

    @property
    def architecture(self) -> str:
        return "hashed-bag" if isinstance(self.network, HashedBag) else self.network.encoder.architecture

    @torch.inference_mode()
    def vectors(self, items: Sequence[Any], check: Check = lambda: None) -> FloatArray:
        """float32 [items, width], in their order; computed in batches of like length."""
        self.network.eval()
        order = sorted(range(len(items)), key=lambda place: self.reader.cost(items[place]))
        found: dict[int, FloatArray] = {}
        for start in range(0, len(order), _SCORING_BATCH):
            check()
            places = order[start : start + _SCORING_BATCH]
            made = self.network(self.reader.collate([items[place] for place in places]))
            found.update(zip(places, made.numpy(), strict=True))
        return np.stack([found[place] for place in range(len(items))])

    def save(self, folder: Path) -> None:
        if isinstance(self.network, HashedBag):
            from safetensors.torch import save_file

            assert isinstance(self.reader, TermReader)
            config = {"architectures": ["KargahHashedBag"], "hidden_size": self.network.width, "buckets": len(self.reader.terms.idf)}
            files.write_json(folder / "config.json", config)
            tensors = {**self.network.state_dict(), "idf": torch.from_numpy(self.reader.terms.idf)}
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
        else:
            assert isinstance(self.reader, TokenReader)
            self.network.encoder.save(folder)
            self.reader.save(folder)
            _describe_for_sentence_transformers(folder, self.network.encoder.model.config.hidden_size, self.reader.max_length)


def load(folder: Path) -> Embedder:
    config = files.read_json(folder / "config.json")
    return _hashed(folder, config) if config["architectures"] == ["KargahHashedBag"] else _transformer(folder)


def _hashed(folder: Path, config: dict[str, Any]) -> Embedder:
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    terms = HashedTerms(tensors.pop("idf").numpy())
    network = HashedBag(config["buckets"], config["hidden_size"], 0.0)
    network.load_state_dict(tensors)
    return Embedder(network, TermReader(terms, network.width))


def _transformer(folder: Path) -> Embedder:
    from transformers import AutoModel, AutoTokenizer

    from kargah.recipes.base_models import OFFLINE, quiet
    from kargah.recipes.encoders import VECTORS

    quiet()
    encoder = Transformer(AutoModel.from_pretrained(folder, use_safetensors=True, **OFFLINE), VECTORS)
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    return Embedder(MeanOfTokens(encoder), TokenReader(tokenizer, tokenizer.model_max_length, encoder.first_position))


def _describe_for_sentence_transformers(folder: Path, width: int, max_length: int) -> None:
    """What that library reads beside transformers' own files: encoder, mean, length 1. The names are those of all its releases."""
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds)
    ]
    files.write_json(folder / "modules.json", modules)
    files.write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    for path, _ in kinds[1:]:
        (folder / path).mkdir(exist_ok=True)
    files.write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True})
    files.write_json(folder / "2_Normalize" / "config.json", {})
