"""The loop's ``Task`` for everything that learns to write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.recipes import weights
from kargah.recipes.decoders import model, sizes, writing
from kargah.recipes.decoders.data import TokenData
from kargah.recipes.decoders.model import Decoder
from kargah.recipes.decoders.spec import DecoderSpec
from kargah.recipes.decoders.teaching import Teacher, teacher_of
from kargah.recipes.decoders.tokens import Sample, Tokens
from kargah.recipes.distillation import settled
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.runtime import Decision, Defaults, Request, Settings, all_threads, decide_settings
from kargah.text.normalise import ZWNJ

#: Tokens that go through the network at once when nothing is learnt.
SCORED_AT_ONCE = 4096
_SAMPLE_TOKENS = 40


@dataclass
class DecoderTask:
    """``opening``: what the model goes on from, at ``temperature``, when it shows what it would write by now; null: it shows nothing."""

    network: Decoder
    data: TokenData
    settings: Settings
    decisions: list[Decision]
    request: Request
    opening: str | None = None
    temperature: float = 0.0
    family: str = "network"
    precision: str = "fp32"
    teacher: Teacher | None = None
    items: list[Any] = field(init=False)
    costs: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.items = self.data.samples_of("train")
        self.costs = [item.cost for item in self.items]

    @property
    def module(self) -> nn.Module:
        return self.network

    @property
    def pads(self) -> bool:
        return False

    @property
    def architecture(self) -> str:
        return self.network.architecture

    @property
    def parameters(self) -> int:
        return self.network.parameters_when_saved

    def use_precision(self, precision: str) -> bool:
        self.precision = precision
        return True

    def use_device(self, device: torch.device) -> bool:
        if not getattr(self.network.model, "is_quantized", False):  # weights in four bits stay where they were read to
            self.network.to(device)
        if self.teacher is not None:
            self.teacher.decoder.to(device)
        return True

    def recompute(self) -> bool:
        return self.network.recompute()

    def stepped(self, learning_rate: float) -> None:
        del learning_rate

    def weight(self, rows: Sequence[int]) -> float:
        return sum(float(sequence.learnt.sum()) for row in rows for sequence in self.items[row].sequences)

    def loss(self, rows: Sequence[int]) -> Tensor:
        batch, learnt = model.packed([self.items[row] for row in rows])
        with devices.products_in(self.precision, self.network):
            if self.teacher is not None:
                return self.teacher.loss(self.network, batch, learnt).float()
            return self.network.packed.loss(batch, learnt).float()

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        self.network.eval()
        found = read(self.network, self.data.samples_of(part), check)
        if part == VALIDATION:
            self.show(check)
        return found

    def show(self, check: Callable[[], None]) -> None:
        """Say what the model writes by now. Random state is left as it was."""
        if not self.opening:
            return
        check()
        text = writing.written(
            self.network.model,
            self.data.vocabulary.tokenizer,
            self.opening,
            writing.Manner(_SAMPLE_TOKENS, self.temperature),
            self.data.stop,
        )
        shown = " ".join("".join(letter if letter.isprintable() or letter == ZWNJ else " " for letter in text).split())
        if shown:
            self.request.log("train.sample", text=shown)

    def save(self, folder: Path) -> None:
        spec = self.request.spec
        assert isinstance(spec, DecoderSpec)
        self.network.save(folder, self.data.stop, spec.keep_adapter)
        self.data.vocabulary.save(folder, self.data.max_length)


def taught(task: DecoderTask) -> DecoderTask:
    """With its teacher, where one was chosen."""
    task.teacher = teacher_of(task.request, task.network)
    task.decisions += settled(task.request)
    return task


def read(network: Decoder, samples: Sequence[Sample], check: Callable[[], None]) -> FloatArray:
    """(negative log-likelihood, tokens, likeliest right) of each sample, [samples, 3]."""
    sums = np.zeros((len(samples), 3))
    owners = [row for row, sample in enumerate(samples) for _ in sample.sequences]
    np.add.at(sums, owners, read_sequences(network, [sequence for sample in samples for sequence in sample.sequences], check))
    return sums


def read_sequences(network: Decoder, sequences: Sequence[Tokens], check: Callable[[], None]) -> FloatArray:
    """The same of each sequence, [sequences, 3]."""
    told = [np.zeros((0, 3))]
    for batch in _batches([len(sequence.ids) for sequence in sequences]):
        check()
        found, learnt = model.together([sequences[row] for row in batch])
        told.append(network.packed.read(found, learnt).numpy())
    return np.concatenate(told)


def _batches(costs: Sequence[int]) -> list[list[int]]:
    """Rows in their order, as many together as are read at once."""
    batches: list[list[int]] = []
    room = 0
    for row, cost in enumerate(costs):
        if not batches or room < cost:
            batches.append([])
            room = SCORED_AT_ONCE
        batches[-1].append(row)
        room -= cost
    return batches


def network_of(
    data: TokenData, request: Request, tuning: tuple[Defaults, Defaults] = (sizes.FULL, sizes.ADAPTED)
) -> tuple[Decoder, Settings, list[Decision]]:
    """The network and the settings that go with it; ``tuning``: of a base model, all of it and by adapters. Raises as ``of_base`` does."""
    spec = request.spec
    assert isinstance(spec, DecoderSpec)
    rows = len(data.train_rows)
    if data.size is not None:
        network = model.from_scratch(data.vocabulary, data.size, data.max_length, spec.seed)
        settings, decisions = decide_settings(request, data.size.defaults, "why.preset", preset=data.size.name, rows=rows)
        return network, settings, [*decisions, all_threads(request)]
    assert request.base_model is not None
    parameters = sum(int(np.prod(shape)) for shape in weights.shapes_of(request.base_model).values())
    adapter, how = adapter_of(spec, parameters)
    network = model.of_base(request.base_model, data.vocabulary, spec, adapter, request)
    request.check()
    defaults = sizes.for_base(tuning[adapter != "none"], parameters)
    settings, decisions = decide_settings(request, defaults, "why.fine_tuning", preset=network.architecture, rows=rows)
    learnt = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    trained = Decision("trained_parameters", learnt, "adapted", "why.trained_parameters")
    return network, settings, [how, trained, *decisions, all_threads(request)]


def adapter_of(spec: DecoderSpec, parameters: int) -> tuple[str, Decision]:
    if spec.adapter != "auto":
        return spec.adapter, Decision("adapter", spec.adapter, "chosen", "why.chosen")
    if getattr(spec, "new_tokens", None) is not None:
        return "none", Decision("adapter", "none", "adapted", "why.adapter_none_for_new_tokens")
    name = "lora" if parameters > sizes.FULL_PARAMETERS or spec.quantization != "none" else "none"
    told = {"parameters": parameters, "limit": sizes.FULL_PARAMETERS}
    return name, Decision("adapter", name, "adapted", "why.adapter_by_size", told)
