"""The tagger being trained, with its words: encoded once, its loss taken over words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.recipes import base_models, new_tokens
from kargah.recipes.distillation import Lessons, lessons_of, settled
from kargah.recipes.encoder_tasks import EncoderTask, told_of
from kargah.recipes.encoders import TOKENS, Transformer, counts_of, fast_tokenizer, fitting_length, named_labels, small_config
from kargah.recipes.hidden_states import HiddenTeacher, encoder_of, teachers_tokenizer, within
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import TEST, VALIDATION
from kargah.recipes.presets import Preset, epochs_for
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Decision, Request, all_threads, decide_settings
from kargah.recipes.token_classification.data import TagData
from kargah.recipes.token_classification.network import NetworkConfig, WordBatches, WordTagger
from kargah.recipes.token_classification.pieces import PieceBatches
from kargah.recipes.token_classification.presets import FINE_TUNING, LEAST_STEPS, PRESETS
from kargah.recipes.token_classification.spec import TokenClassificationSpec
from kargah.recipes.token_classification.words import Atoms
from kargah.recipes.tokenizing import train_tokenizer

_SIZES = ("hidden_size", "num_layers", "dropout", "vocab_size")
#: From so many rows on, what was seen but once is left to the parts of words.
_MANY_ROWS = 500
Check = Callable[[], None]


@dataclass
class TagModel:
    """A network with its batches: all that answering takes."""

    network: Any
    batches: WordBatches | PieceBatches

    def scores(self, items: Sequence[Any], check: Check) -> list[FloatArray]:
        """Probabilities float32 [words, tags] of each item."""
        filled = [place for place, item in enumerate(items) if self.batches.cost(item)]
        told = told_of(self.network, self.batches, [items[place] for place in filled], check, self._of_words)
        found: list[FloatArray] = [np.zeros((0, 1), np.float32)] * len(items)
        for place, row in zip(filled, told, strict=True):
            found[place] = row
        return found

    def _of_words(self, logits: Tensor, items: Sequence[Any]) -> list[FloatArray]:
        shares = logits.float().softmax(dim=1).numpy()
        return [shares[places] for places in self.batches.places(items)]


@dataclass
class TagTask(EncoderTask):
    """``goals``: the tags of each training row's words. ``held``: the items of the other parts."""

    goals: list[Tensor]
    held: dict[str, list[Any]]
    lessons: Lessons | None = None
    hidden: HiddenTeacher | None = None

    def use_device(self, device: torch.device) -> bool:
        if self.hidden is not None:
            self.hidden.encoder.to(device)
        return super().use_device(device)

    def use_precision(self, precision: str) -> bool:
        self.precision = precision if isinstance(self.network, Transformer) else "fp32"
        return self.precision == precision

    def weight(self, rows: Sequence[int]) -> float:
        return sum(len(self.goals[row]) for row in rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        items = [self.items[row] for row in rows]
        places = [place for own in self.batches.places(items) for place in own]
        logits, unlike = self._read(items, places)
        loss = nn.functional.cross_entropy(logits, torch.cat([self.goals[row] for row in rows]))
        loss = self.lessons.loss(loss, logits, rows) if self.lessons else loss
        return loss if unlike is None else loss + unlike

    def _read(self, items: list[Any], places: list[int]) -> tuple[Tensor, Tensor | None]:
        """(logits of the words at ``places``, how unlike the teacher's their hidden states are, where that is learnt)."""
        if self.hidden is None:
            return self.logits(items)[places], None
        with devices.products_in(self.precision, self.module):
            logits, unlike = self.hidden.read(self.network, self.batches.collate(items), items, places)
        return logits[places], unlike

    def scores(self, check: Check, part: str = VALIDATION) -> FloatArray:
        return rows_of(TagModel(self.network, self.batches).scores(self.held[part], check))


def build_task(data: TagData, request: Request) -> TagTask:
    spec, rows = request.spec, len(data.train_rows)
    assert isinstance(spec, TokenClassificationSpec)
    teaching = encoder_of(request, "AutoModelForTokenClassification")
    torch.manual_seed(spec.seed)
    if request.base_model is not None:
        model, decisions = _fine_tuned(data, request)
        defaults, why = FINE_TUNING, "why.fine_tuning"
    else:
        preset, decisions = _preset(spec, teaching is not None)
        defaults, why = replace(preset.defaults, epochs=epochs_for(preset, rows, LEAST_STEPS)), "why.preset"
        model = _from_scratch(data, request, preset, decisions)
    settings, told = decide_settings(request, defaults, why, preset=model.network.architecture, rows=rows)
    hidden = None
    if isinstance(model.batches, PieceBatches):
        decisions = within(teaching, model.batches, decisions)
        hidden = HiddenTeacher.of(teaching, model.network, model.batches, request)
    encode = model.batches.encode
    items = encode(data.words_of(data.train_rows), request.check)
    held = {part: encode(data.words_of(data.rows_of(part)), request.check) for part in (VALIDATION, TEST)}
    if isinstance(model.network, Transformer):
        every = (item for part in (items, *held.values()) for item in part)
        decisions += model.network.make_cheap(ids for item in every for ids, _ in item.windows)
    goals = [torch.from_numpy(tags) for tags in data.tags_of(data.train_rows)]
    lessons = lessons_of(data, request)
    decisions += [*told, *settled(request), all_threads(request)]
    return TagTask(model.network, model.batches, settings, decisions, items, goals, held, lessons, hidden)


def _preset(spec: TokenClassificationSpec, of_teacher: bool) -> tuple[Preset, list[Decision]]:
    """A network of words measured best from scratch at every size tried. A teacher's hidden states are learnt by transformers alone."""
    automatic = ("transformer", "why.preset_of_teacher") if of_teacher else ("bilstm", "why.preset_of_words")
    name = automatic[0] if spec.preset == "auto" else spec.preset
    changed = {key: value for key in (*_SIZES, "max_length") if (value := getattr(spec, key)) is not None}
    source, why = ("adapted", automatic[1]) if spec.preset == "auto" else ("chosen", "why.chosen")
    decisions = [Decision("preset", name, source, why)]
    for key in _SIZES:
        source, why = ("chosen", "why.chosen") if key in changed else ("adapted", "why.preset")
        decisions.append(Decision(key, changed.get(key, getattr(PRESETS[name], key)), source, why, {"preset": name}))
    return replace(PRESETS[name], **changed), decisions


def _from_scratch(data: TagData, request: Request, preset: Preset, decisions: list[Decision]) -> TagModel:
    words, labels = data.words_of(data.train_rows), data.problem.labels
    if preset.name == "bilstm":
        atoms = Atoms.fit(words, preset.vocab_size, 2 if len(words) > _MANY_ROWS else 1, request.check)
        sizes = (preset.embedding_size, preset.hidden_size, preset.num_layers, preset.dropout)
        return TagModel(WordTagger(NetworkConfig(len(atoms), atoms.words, len(labels), *sizes)), WordBatches(atoms))
    from transformers import BertForTokenClassification

    normaliser = data.describe["normaliser"]
    tokenizer = teachers_tokenizer(request, normaliser, decisions)
    tokenizer = tokenizer or fast_tokenizer(train_tokenizer([" ".join(row) for row in words], preset.vocab_size, normaliser))
    max_length, decision = fitting_length(request, _lengths(tokenizer, words, request), preset.max_length)
    decisions.append(decision)
    config = small_config(tokenizer, preset.hidden_size, preset.num_layers, preset.dropout, max_length, **named_labels(labels))
    network = Transformer(BertForTokenClassification(config), TOKENS)
    return TagModel(network, PieceBatches(tokenizer, max_length, network.first_position))


def _fine_tuned(data: TagData, request: Request) -> tuple[TagModel, list[Decision]]:
    from transformers import AutoModelForTokenClassification

    assert request.base_model is not None
    labels, words = named_labels(data.problem.labels), data.words_of(data.train_rows)
    model, tokenizer = base_models.load(
        request.base_model, AutoModelForTokenClassification, data.describe["normaliser"], request.check, **labels
    )
    tokenizer, decisions = new_tokens.added(request, model, tokenizer, words)
    network = Transformer(model, TOKENS)
    max_length, decision = fitting_length(request, _lengths(tokenizer, words, request), network.longest)
    batches = PieceBatches(tokenizer, min(max_length, network.longest), network.first_position)
    return TagModel(network, batches), [*decisions, decision]


def _lengths(tokenizer: Any, words: Sequence[Sequence[str]], request: Request) -> list[int]:
    """In pieces, special tokens included."""
    return counts_of(tokenizer, [list(map(list, words))], request.check, is_split_into_words=True)
