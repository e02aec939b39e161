"""The network being trained, with its texts: encoded once, in batches of like length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.kit import files
from kargah.recipes.distillation import Lessons, lessons_of, settled
from kargah.recipes.encoders import Transformer, fast_tokenizer, fitting_length, items_of
from kargah.recipes.hidden_states import HiddenTeacher, encoder_of, teachers_tokenizer, within
from kargah.recipes.measures import FloatArray
from kargah.recipes.ngrams import NgramVocabulary
from kargah.recipes.parts import TEST, VALIDATION
from kargah.recipes.presets import Preset, epochs_for
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Decision, Defaults, Request, Settings, all_threads, decide_settings, given, one_thread
from kargah.recipes.text_classification import pretrained
from kargah.recipes.text_classification.data import TextData
from kargah.recipes.text_classification.encoding import BagEncoding, Encoding, TokenEncoding, TransformerEncoding
from kargah.recipes.text_classification.frozen import FrozenHead, freeze
from kargah.recipes.text_classification.losses import loss_of
from kargah.recipes.text_classification.model import NetworkConfig, TextNetwork
from kargah.recipes.text_classification.presets import FINE_TUNING, FROZEN, LEAST_STEPS, PRESETS, default_preset
from kargah.recipes.text_classification.spec import TextClassificationSpec
from kargah.recipes.tokenizing import train_tokenizer

_SCORING_BATCH = 64
#: Makes the items of the training rows, once it is known how long they may be.
Reading = Callable[[], Sequence[Any]]
_SIZES = ("hidden_size", "num_layers", "dropout", "vocab_size")


@dataclass
class TextModel:
    """A network with its encoding: all that answering takes. ``scale`` = (mean, spread) of a regression target."""

    problem: ColumnProblem
    network: nn.Module
    encoding: Encoding
    architecture: str
    scale: tuple[float, float] = (0.0, 1.0)

    @torch.inference_mode()
    def scores(self, items: Sequence[Any], check: Callable[[], None] = lambda: None) -> FloatArray:
        """Scores in the order of ``items``, computed in batches of like length."""
        self.network.eval()
        order = sorted(range(len(items)), key=lambda row: self.encoding.cost(items[row]))
        logits: dict[int, Tensor] = {}
        for start in range(0, len(order), _SCORING_BATCH):
            check()
            rows = order[start : start + _SCORING_BATCH]
            logits.update(zip(rows, self.network(self.encoding.collate([items[row] for row in rows])), strict=True))
        return self._linked(torch.stack([logits[row] for row in range(len(items))]))

    def _linked(self, logits: Tensor) -> FloatArray:
        if self.problem.type is ProblemType.REGRESSION:
            mean, spread = self.scale
            return np.asarray(logits[:, 0].double().numpy() * spread + mean)
        linked = logits.sigmoid() if self.problem.type is ProblemType.MULTI_LABEL else logits.softmax(dim=1)
        return np.asarray(linked.double().numpy())

    def save(self, folder: Path) -> None:
        """A transformer is written as transformers writes it; our own networks as config.json and model.safetensors."""
        self.encoding.save(folder)
        if isinstance(self.network, TextNetwork):
            from safetensors.torch import save_file

            config = {"architectures": ["KargahTextNetwork"], **self.network.config.as_dict(), "scale": self.scale}
            files.write_json(folder / "config.json", config)
            save_file({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}, folder / "model.safetensors")
        else:
            whole = self.network.transformer if isinstance(self.network, FrozenHead) else self.network
            assert isinstance(whole, Transformer)
            whole.save(folder)
            config = files.read_json(folder / "config.json")
            files.write_json(folder / "config.json", {**config, "kargah_scale": self.scale})


@dataclass
class TextTask:
    """``items`` are the encoded training rows, ``goals`` their targets as the loss takes them. ``held_items``: of the other parts."""

    model: TextModel
    settings: Settings
    decisions: list[Decision]
    items: Sequence[Any]
    goals: Tensor
    held_items: dict[str, Sequence[Any]]
    loss_function: Callable[[Tensor, Tensor], Tensor]
    family: str = "network"
    precision: str = "fp32"
    lessons: Lessons | None = None
    hidden: HiddenTeacher | None = None
    costs: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.costs = [self.model.encoding.cost(item) for item in self.items]

    @property
    def module(self) -> nn.Module:
        return self.model.network

    @property
    def pads(self) -> bool:
        return getattr(self.model.encoding, "first_position", None) is None

    @property
    def parameters(self) -> int:
        network = self.model.network
        network = network.transformer if isinstance(network, FrozenHead) else network
        if isinstance(network, Transformer):
            return network.parameters_when_saved
        return sum(parameter.numel() for parameter in network.parameters())

    def use_precision(self, precision: str) -> bool:
        self.precision = precision if isinstance(self.model.network, Transformer) else "fp32"
        return self.precision == precision

    def use_device(self, device: torch.device) -> bool:
        if isinstance(self.model.network, Transformer):
            self.module.to(device)
        if self.hidden is not None:
            self.hidden.encoder.to(device)
        return devices.of(self.module) == device

    def recompute(self) -> bool:
        network = self.model.network
        return isinstance(network, Transformer) and network.recompute()

    def stepped(self, learning_rate: float) -> None:
        if isinstance(self.model.network, Transformer):
            self.model.network.stepped(learning_rate, self.settings.weight_decay)

    @property
    def architecture(self) -> str:
        return self.model.architecture

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        logits, unlike = self._read([self.items[row] for row in rows])
        loss = self.loss_function(logits, self.goals[list(rows)])
        loss = self.lessons.loss(loss, logits, rows) if self.lessons else loss
        return loss if unlike is None else loss + unlike

    def _read(self, items: list[Any]) -> tuple[Tensor, Tensor | None]:
        """(logits in fp32, how unlike the teacher's the hidden states are, where that is learnt)."""
        batch, network = self.model.encoding.collate(items), self.model.network
        with devices.products_in(self.precision, self.module):
            if self.hidden is None:
                return network(batch).float(), None
            assert isinstance(network, Transformer)
            return self.hidden.read(network, batch, items)

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        return self.model.scores(self.held_items[part], check)

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def build_task(data: TextData, request: Request) -> TextTask:
    spec = request.spec
    assert isinstance(spec, TextClassificationSpec)
    rows = len(data.train_rows)
    teaching = encoder_of(request, "AutoModelForSequenceClassification")
    texts = data.texts_of(data.train_rows)
    if request.base_model is not None:
        model, decisions, read = pretrained_model(data, request, request.base_model, texts)
        defaults, why = (FROZEN, "why.frozen_encoder") if spec.frozen_encoder else (FINE_TUNING, "why.fine_tuning")
    else:
        preset, decisions = _preset(spec, rows, teaching is not None)
        defaults, why = replace(preset.defaults, epochs=epochs_for(preset, rows, LEAST_STEPS)), "why.preset"
        model, read = _from_scratch(data, request, preset, texts, decisions)
    settings, told = decide_settings(request, defaults, why, preset=model.architecture, rows=rows)
    model.scale = _scale(data)
    hidden = None
    if isinstance(model.encoding, TransformerEncoding) and isinstance(model.network, Transformer):
        decisions = within(teaching, model.encoding, decisions)
        hidden = HiddenTeacher.of(teaching, model.network, model.encoding, request)
    items = read()
    held = {part: model.encoding.encode(data.texts_of(data.rows_of(part)), request.check) for part in (VALIDATION, TEST)}
    if isinstance(model.network, Transformer):
        decisions += model.network.make_cheap(ids for ids, _ in chain(items, held[VALIDATION], held[TEST]))
    lessons = lessons_of(data, request)
    threads = one_thread(request) if model.architecture == "bag" else all_threads(request)
    decisions += [*told, *settled(request), threads]
    return TextTask(model, settings, decisions, items, _goals(data, model.scale), held, loss_of(data, spec), lessons=lessons, hidden=hidden)


def _preset(spec: TextClassificationSpec, rows: int, of_teacher: bool) -> tuple[Preset, list[Decision]]:
    automatic = ("transformer", "why.preset_of_teacher") if of_teacher else (default_preset(rows), "why.preset_by_rows")
    name = automatic[0] if spec.preset == "auto" else spec.preset
    chosen = spec.preset != "auto"
    preset = PRESETS[name]
    changed = {key: value for key in (*_SIZES, "max_length") if (value := getattr(spec, key)) is not None}
    source, why = ("chosen", "why.chosen") if chosen else ("adapted", automatic[1])
    decisions = [Decision("preset", name, source, why, {"rows": rows})]
    for key in _SIZES:
        source, why = ("chosen", "why.chosen") if key in changed else ("adapted", "why.preset")
        decisions.append(Decision(key, changed.get(key, getattr(preset, key)), source, why, {"preset": name}))
    return replace(preset, **changed), decisions


def _from_scratch(
    data: TextData, request: Request, preset: Preset, fields: list[list[str]], decisions: list[Decision]
) -> tuple[TextModel, Reading]:
    torch.manual_seed(request.spec.seed)
    encoding, read = _encoding(fields, data, request, preset, decisions)
    if isinstance(encoding, TransformerEncoding):
        transformer = pretrained.small_transformer(encoding.tokenizer, data.problem, preset, encoding.max_length)
        encoding.first_position = transformer.first_position
        network: nn.Module = transformer
    else:
        features = len(encoding.vocabulary) if isinstance(encoding, BagEncoding) else encoding.tokenizer.get_vocab_size()
        sizes = (preset.embedding_size, preset.hidden_size, preset.num_layers, preset.dropout)
        network = TextNetwork(NetworkConfig(preset.name, max(1, features), len(data.fields), data.problem.outputs, *sizes))
    architecture = network.architecture if isinstance(network, Transformer) else preset.name
    return TextModel(data.problem, network, encoding, architecture), read


def _encoding(
    fields: list[list[str]], data: TextData, request: Request, preset: Preset, decisions: list[Decision]
) -> tuple[BagEncoding | TokenEncoding | TransformerEncoding, Reading]:
    texts = [text for field_texts in fields for text in field_texts]
    if preset.name == "bag":
        words, least = preset.vocab_size // 3, 2 if len(texts) > 500 else 1
        bag = BagEncoding(NgramVocabulary.fit(texts, request.check, words, preset.vocab_size - words, least))
        return bag, partial(bag.encode, fields, request.check)
    fast = teachers_tokenizer(request, data.describe["normaliser"], decisions)
    tokenizer = fast.backend_tokenizer if fast else train_tokenizer(texts, preset.vocab_size, data.describe["normaliser"])
    request.check()
    is_transformer = preset.name == "transformer"
    whole = items_of(tokenizer, [texts], request.check, request.kept, special=is_transformer)
    special = 0 if is_transformer else tokenizer.num_special_tokens_to_add(False)
    max_length, decision = fitting_length(request, whole.lengths + special, preset.max_length)
    decisions.append(decision)
    if not is_transformer:
        tokens, rows = TokenEncoding(tokenizer, max_length, kept=request.kept), len(fields[0])
        return tokens, lambda: tokens.cut([whole[start : start + rows] for start in range(0, len(whole), rows)])
    encoding = TransformerEncoding(fast or fast_tokenizer(tokenizer), max_length * len(data.fields), kept=request.kept)
    if len(fields) > 1:
        return encoding, partial(encoding.encode, fields, request.check)
    return encoding, partial(encoding.shortened, whole, fields, request.check)


def pretrained_model(data: TextData, request: Request, folder: Path, fields: list[list[str]]) -> tuple[TextModel, list[Decision], Reading]:
    """With what reads the training rows, once it is known how long they may be: their ``fields`` went through the tokenizer already."""
    torch.manual_seed(request.spec.seed)
    texts = [text for field_texts in fields for text in field_texts]
    network, tokenizer, grown = pretrained.load(folder, data.problem, data.describe["normaliser"], request, texts)
    request.check()
    whole = items_of(tokenizer, fields, request.check, request.kept)
    max_length, decision = fitting_length(request, whole.lengths, network.longest)
    encoding = TransformerEncoding(tokenizer, min(max_length, network.longest), network.first_position, kept=request.kept)
    decisions = [*grown, decision, given(request, "frozen_encoder")]
    read: Reading = partial(encoding.shortened, whole, fields, request.check)
    if getattr(request.spec, "frozen_encoder", False):
        head, frozen = freeze(network, encoding)
        return TextModel(data.problem, head, frozen, network.architecture), decisions, lambda: frozen.vectors(read(), request.check)
    return TextModel(data.problem, network, encoding, network.architecture), decisions, read


def _scale(data: TextData) -> tuple[float, float]:
    if data.problem.type is not ProblemType.REGRESSION:
        return 0.0, 1.0
    targets = data.targets[data.train_rows]
    return float(targets.mean()), float(targets.std()) or 1.0


def _goals(data: TextData, scale: tuple[float, float]) -> Tensor:
    targets = data.targets[data.train_rows]
    if data.problem.type is ProblemType.REGRESSION:
        return torch.tensor((targets - scale[0]) / scale[1], dtype=torch.float32)
    return torch.tensor(targets)


__all__ = ["Defaults", "TextModel", "TextTask", "build_task"]
