"""Learning to write from a text: batches padded to their longest row, each token of the target foreseen from those before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from torch import Tensor, nn

from kargah.engine import devices
from kargah.engine.dropout import make_dropout_cheap
from kargah.engine.products import make_products_quick
from kargah.recipes import base_models
from kargah.recipes.decoders.tokens import END, trained
from kargah.recipes.encoders import fitting_length, items_of
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.parts import TEST, VALIDATION
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Decision, Defaults, Request, Settings, all_threads, decide_settings
from kargah.recipes.seq2seq.data import Seq2SeqData
from kargah.recipes.seq2seq.model import Item, Writer, small
from kargah.recipes.seq2seq.spec import Seq2SeqSpec

_SIZES: dict[str, Any] = {"hidden_size": 128, "num_layers": 2, "dropout": 0.1, "vocab_size": 8_000}
_LONGEST, _LONGEST_TARGET = 512, 64
_LEAST_STEPS = 1_500
_SCRATCH = Defaults(epochs=5, batch_size=32, learning_rate=1e-3)
_FINE_TUNING = Defaults(epochs=3, batch_size=16, learning_rate=3e-4)


@dataclass
class Seq2SeqTask:
    """``items``: the encoded training rows; ``held_items``: of the other parts."""

    writer: Writer
    settings: Settings
    decisions: list[Decision]
    items: list[Item]
    held_items: dict[str, list[Item]]
    family: str = "network"
    precision: str = "fp32"
    pads: bool = True
    costs: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.costs = [len(read) + len(written) for read, written in self.items]

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self.writer.model
        return module

    @property
    def architecture(self) -> str:
        return type(self.writer.model).__name__

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    def use_precision(self, precision: str) -> bool:
        self.precision = precision
        return True

    def use_device(self, device: torch.device) -> bool:
        self.module.to(device)
        return True

    def recompute(self) -> bool:
        if not self.writer.model.supports_gradient_checkpointing:
            return False
        later, earlier = "activation_checkpointing_enable", "gradient_checkpointing_enable"  # by the version of transformers
        model = self.writer.model
        getattr(model, later if hasattr(model, later) else earlier)({"use_reentrant": False})
        return True

    def stepped(self, learning_rate: float) -> None:
        pass

    def weight(self, rows: Sequence[int]) -> float:
        return sum(len(self.items[row][1]) for row in rows)

    def loss(self, rows: Sequence[int]) -> Tensor:
        batch = self.writer.batch([self.items[row] for row in rows])
        with devices.products_in(self.precision, self.module):
            loss: Tensor = self.writer.model(**batch, use_cache=False).loss
        return loss.float()

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        return rows_of(self.writer.written(self.held_items[part], check))

    def save(self, folder: Path) -> None:
        self.writer.save(folder)


def build_task(data: Seq2SeqData, request: Request) -> Seq2SeqTask:
    spec = request.spec
    assert isinstance(spec, Seq2SeqSpec)
    torch.manual_seed(spec.seed)
    if request.base_model is not None:
        from transformers import AutoModelForSeq2SeqLM

        model, tokenizer = base_models.load(request.base_model, AutoModelForSeq2SeqLM, data.describe["normaliser"], request.check)
        decisions, defaults, why = list[Decision](), _FINE_TUNING, "why.fine_tuning"
    else:
        model, tokenizer, decisions = _from_scratch(data, request)
        defaults, why = Defaults(_epochs(len(data.train_rows)), _SCRATCH.batch_size, _SCRATCH.learning_rate), "why.preset"
    make_dropout_cheap(model)
    make_products_quick(model)
    texts = data.texts_of(data.train_rows)
    sides = [(side, items_of(tokenizer, [side], request.check, request.kept)) for side in texts]
    lengths, told = _lengths([tokens.lengths for _, tokens in sides], request, model)
    writer = Writer(model, tokenizer, *lengths, spec.num_beams)
    items = {part: writer.encode(*data.texts_of(data.rows_of(part)), request.check) for part in (VALIDATION, TEST)}
    taught = writer.shortened(sides, request.check, request.kept)
    settings, settled = decide_settings(request, defaults, why, preset=type(model).__name__, rows=len(data.train_rows))
    return Seq2SeqTask(writer, settings, [*decisions, *told, *settled, all_threads(request)], taught, items)


def _from_scratch(data: Seq2SeqData, request: Request) -> tuple[Any, Any, list[Decision]]:
    spec = request.spec
    chosen = {name: value for name in _SIZES if (value := getattr(spec, name)) is not None}
    sizes = _SIZES | chosen
    read, written = data.texts_of(data.train_rows)
    tokenizer = trained([*read, *written], "bpe", sizes["vocab_size"], data.describe["normaliser"]).tokenizer
    end = tokenizer.eos_token_id
    ended = processors.TemplateProcessing(single=f"$A {END}", pair=f"$A $B {END}", special_tokens=[(END, end)])
    tokenizer.backend_tokenizer.post_processor = ended
    tokenizer.chat_template = None
    request.check()
    decisions = []
    for name, value in sizes.items():
        source, why = ("chosen", "why.chosen") if name in chosen else ("adapted", "why.preset")
        decisions.append(Decision(name, value, source, why, {"preset": "t5"}))
    return small(tokenizer, sizes["hidden_size"], sizes["num_layers"], sizes["dropout"]), tokenizer, decisions


def _lengths(counts: Sequence[IntArray], request: Request, model: Any) -> tuple[tuple[int, int], list[Decision]]:
    """Most tokens of what is read and of what is written, with the reasons; ``counts``: how many there are."""
    room = getattr(model.config, "max_position_embeddings", None) or _LONGEST
    found = [lengths.tolist() for lengths in counts]
    longest, decision = fitting_length(request, found[0], min(_LONGEST, room))
    wanted = getattr(request.spec, "max_target_length", None)
    target = wanted or max(2, min(max(found[1]), _LONGEST_TARGET))
    cut = sum(length > target for length in found[1])
    params = {"longest": max(found[1]), "cut": cut, "limit": _LONGEST_TARGET}
    told = Decision("max_target_length", target, *(("chosen", "why.chosen") if wanted else ("adapted", "why.max_length")), params)
    return (min(longest, room), min(target, room)), [decision, told]


def _epochs(rows: int) -> float:
    """Small sets need more passes to take enough steps."""
    steps = max(1, rows // _SCRATCH.batch_size)
    return float(min(40, max(_SCRATCH.epochs, -(-_LEAST_STEPS // steps))))
