"""Learning vectors: what belongs together is drawn together, everything else of the batch pushed away (InfoNCE, van den Oord 2018)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.recipes import base_models
from kargah.recipes.embeddings.data import EmbeddingData, scores_by
from kargah.recipes.embeddings.hashing import HashedTerms
from kargah.recipes.embeddings.model import Embedder, HashedBag, MeanOfTokens, TermReader, TokenReader
from kargah.recipes.embeddings.presets import FINE_TUNING, PRESETS, Preset
from kargah.recipes.embeddings.spec import SentenceEmbeddingsSpec
from kargah.recipes.encoders import VECTORS, Transformer, fast_tokenizer, fitting_length, items_of, small_config
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.runtime import Decision, Request, Settings, all_threads, decide_settings, one_thread
from kargah.recipes.tokenizing import train_tokenizer


@dataclass
class EmbeddingTask:
    """``items``: the encoded texts, by their number in ``data.texts``."""

    embedder: Embedder
    data: EmbeddingData
    settings: Settings
    decisions: list[Decision]
    items: dict[int, Any]
    temperature: float
    family: str = "network"
    precision: str = "fp32"
    costs: list[int] = field(init=False)
    _right: dict[int, set[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        data, cost = self.data, self.embedder.reader.cost
        for anchor, positive in zip(data.anchors.tolist(), data.positives.tolist(), strict=True):
            self._right.setdefault(anchor, set()).add(positive)
        self.costs = [sum(cost(self.items[text]) for text in data.used_by(np.array([row]))) for row in data.train_rows]

    @property
    def module(self) -> nn.Module:
        return self.embedder.network

    @property
    def pads(self) -> bool:
        reader = self.embedder.reader
        return isinstance(reader, TokenReader) and reader.first_position is None

    @property
    def architecture(self) -> str:
        return self.embedder.architecture

    @property
    def parameters(self) -> int:
        network = self.embedder.network
        if isinstance(network, MeanOfTokens):
            return network.encoder.parameters_when_saved
        return sum(parameter.numel() for parameter in network.parameters())

    def use_precision(self, precision: str) -> bool:
        self.precision = precision if isinstance(self.embedder.network, MeanOfTokens) else "fp32"
        return self.precision == precision

    def use_device(self, device: torch.device) -> bool:
        if isinstance(self.embedder.network, MeanOfTokens):
            self.module.to(device)
        return devices.of(self.module) == device

    def recompute(self) -> bool:
        network = self.embedder.network
        return isinstance(network, MeanOfTokens) and network.encoder.recompute()

    def stepped(self, learning_rate: float) -> None:
        if isinstance(self.embedder.network, MeanOfTokens):
            self.embedder.network.encoder.stepped(learning_rate, self.settings.weight_decay)

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        chosen = self.data.train_rows[list(rows)]
        texts = self.data.used_by(chosen)
        with devices.products_in(self.precision, self.module):
            vectors = self.embedder.network(self.embedder.reader.collate([self.items[text] for text in texts])).float()
        places = {text: place for place, text in enumerate(texts)}
        if self.data.problem.kind == "similarity":
            return self._order_loss(chosen, vectors, places)
        return self._contrast_loss(chosen, vectors, places)

    def _contrast_loss(self, rows: IntArray, vectors: Tensor, places: dict[int, int]) -> Tensor:
        """Of each anchor, among all positives and negatives of the pass. One that is right for it in another row is no wrong answer."""
        corpus, _ = self.data.corpus(rows)
        anchors, positives = self.data.anchors[rows].tolist(), self.data.positives[rows].tolist()
        near = vectors[[places[text] for text in anchors]] @ vectors[[places[text] for text in corpus.tolist()]].T
        also_right = [[text in self._right[a] and text != p for text in corpus.tolist()] for a, p in zip(anchors, positives, strict=True)]
        logits = (near / self.temperature).masked_fill(torch.tensor(also_right), float("-inf"))
        return nn.functional.cross_entropy(logits, torch.from_numpy(np.searchsorted(corpus, positives)))

    def _order_loss(self, rows: IntArray, vectors: Tensor, places: dict[int, int]) -> Tensor:
        """Pairs that are less alike shall not be nearer than those that are more (CoSENT, Su 2022): the scale of the scores is free."""
        first, second = ([places[text] for text in side[rows].tolist()] for side in (self.data.anchors, self.data.positives))
        near = (vectors[first] * vectors[second]).sum(dim=1) / self.temperature
        told = torch.from_numpy(self.data.targets[rows])
        wrong = (near[:, None] - near[None, :]).masked_fill(told[:, None] >= told[None, :], float("-inf"))
        return torch.cat([near.new_zeros(1), wrong.reshape(-1)]).logsumexp(dim=0)

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        rows = self.data.rows_of(part)
        texts = self.data.used_by(rows)
        vectors = self.embedder.vectors([self.items[text] for text in texts], check)
        return scores_by(self.data, rows, dict(zip(texts, vectors, strict=True)), check)

    def save(self, folder: Path) -> None:
        self.embedder.save(folder)


@dataclass(frozen=True)
class Used:
    """The texts that are read at all, by their ``numbers`` in the data. ``are_taught``: bool [texts], those of training rows."""

    numbers: list[int]
    texts: list[str]
    are_taught: FloatArray

    @classmethod
    def of(cls, data: EmbeddingData) -> "Used":
        taught = data.used_by(data.train_rows)
        numbers = sorted({*taught, *data.used_by(data.validation_rows), *data.used_by(data.test_rows)})
        return cls(numbers, [data.texts[number] for number in numbers], np.isin(numbers, taught))


def build_task(data: EmbeddingData, request: Request) -> EmbeddingTask:
    spec = request.spec
    assert isinstance(spec, SentenceEmbeddingsSpec)
    torch.manual_seed(spec.seed)
    used = Used.of(data)
    if request.base_model is not None:
        embedder, items, decisions = _from_base(data, request, request.base_model, used)
        defaults, why, name = FINE_TUNING, "why.fine_tuning", embedder.architecture
    else:
        preset, decisions = _preset(spec, len(data.train_rows))
        embedder, items = _from_scratch(data, request, preset, used, decisions)
        defaults, why, name = preset.defaults, "why.preset", preset.name
    if isinstance(embedder.network, MeanOfTokens):
        decisions += embedder.network.encoder.make_cheap(ids for ids, _ in items)
    settings, settled = decide_settings(request, defaults, why, preset=name, rows=len(data.train_rows))
    settled.append(one_thread(request) if isinstance(embedder.network, HashedBag) else all_threads(request))
    return EmbeddingTask(embedder, data, settings, [*decisions, *settled], dict(zip(used.numbers, items, strict=True)), spec.temperature)


_SIZES = ("hidden_size", "num_layers", "dropout", "vocab_size")


def _preset(spec: SentenceEmbeddingsSpec, rows: int) -> tuple[Preset, list[Decision]]:
    name = "bag" if spec.preset == "auto" else spec.preset
    preset = PRESETS[name]
    changed = {key: value for key in (*_SIZES, "max_length") if (value := getattr(spec, key)) is not None}
    source, why = ("chosen", "why.chosen") if spec.preset != "auto" else ("adapted", "why.preset_by_rows")
    decisions = [Decision("preset", name, source, why, {"rows": rows})]
    for key in _SIZES:
        source, why = ("chosen", "why.chosen") if key in changed else ("adapted", "why.preset")
        decisions.append(Decision(key, changed.get(key, getattr(preset, key)), source, why, {"preset": name}))
    return replace(preset, **changed), decisions


def _from_scratch(
    data: EmbeddingData, request: Request, preset: Preset, used: Used, decisions: list[Decision]
) -> tuple[Embedder, Sequence[Any]]:
    taught = [text for text, is_taught in zip(used.texts, used.are_taught, strict=True) if is_taught]
    if preset.name == "bag":
        terms = TermReader(HashedTerms.fit(taught, preset.vocab_size, request.check), preset.hidden_size)
        bag = HashedBag(preset.vocab_size, preset.hidden_size, preset.dropout)
        return Embedder(bag, terms), terms.encode(used.texts, request.check)
    from transformers import BertModel

    tokenizer = train_tokenizer(taught, preset.vocab_size, data.describe["normaliser"])
    request.check()
    fast = fast_tokenizer(tokenizer)
    whole = items_of(fast, [used.texts], request.check, request.kept)
    max_length, decision = fitting_length(request, whole.lengths[used.are_taught], preset.max_length)
    decisions.append(decision)
    config = small_config(fast, preset.hidden_size, preset.num_layers, preset.dropout, max_length)
    encoder = Transformer(BertModel(config, add_pooling_layer=False), VECTORS)
    reader = TokenReader(fast, max_length, encoder.first_position, kept=request.kept)
    return Embedder(MeanOfTokens(encoder), reader), reader.shortened(whole, [used.texts], request.check)


def _from_base(data: EmbeddingData, request: Request, folder: Path, used: Used) -> tuple[Embedder, Sequence[Any], list[Decision]]:
    from transformers import AutoModel

    model, tokenizer = base_models.load(folder, AutoModel, data.describe["normaliser"], request.check)
    encoder = Transformer(model, VECTORS)
    request.check()
    whole = items_of(tokenizer, [used.texts], request.check, request.kept)
    max_length, decision = fitting_length(request, whole.lengths[used.are_taught], encoder.longest)
    reader = TokenReader(tokenizer, min(max_length, encoder.longest), encoder.first_position, kept=request.kept)
    return Embedder(MeanOfTokens(encoder), reader), reader.shortened(whole, [used.texts], request.check), [decision]
