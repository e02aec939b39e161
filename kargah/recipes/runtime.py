"""What the loop and a recipe know of each other. A recipe's ``train`` module has three functions::

    prepare(request) -> Prepared          read, check, split; no torch: everything that can be refused is refused here
    baselines(prepared, request)          simple models, fitted one by one as they are asked for; no torch
    build(prepared, request) -> Task      the network and its settings

A ``Task`` knows its data and its model and nothing of steps, files of checkpoints, events or control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from kargah.recipes.base import Spec
from kargah.recipes.measures import Evaluation, FloatArray
from kargah.recipes.parts import NO_ROWS, TEST, TRAIN, VALIDATION, Sources
from kargah.recipes.problem import Problem
from kargah.recipes.sampling import Draw
from kargah.recipes.splits import IntArray
from kargah.recipes.table import Table

if TYPE_CHECKING:
    import torch

    from kargah.recipes.token_rows import KeptTokens

JsonDict = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """One setting as it is really used. ``source``: chosen, inherited or adapted; ``why``: a text key with ``params``."""

    name: str
    value: Any
    source: str
    why: str
    params: JsonDict = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """All that a recipe is told. ``log`` says a thing to people by code; ``check`` raises when the attempt must end now. ``kept``: where
    tokens of texts are kept for a next time."""

    recipe: str
    spec: Spec
    chosen: frozenset[str]
    tables: Sequence[Table]
    base_model: Path | None
    scratch: Path
    threads: int
    log: Callable[..., None]
    check: Callable[[], None]
    teacher_model: Path | None = None
    kept: KeptTokens | None = None


@dataclass(frozen=True)
class Settings:
    """The optimiser's settings, decided. ``batch_size``: samples a forward pass; a step takes ``gradient_accumulation_steps`` of those."""

    epochs: float
    max_steps: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_ratio: float
    max_grad_norm: float
    gradient_accumulation_steps: int
    early_stopping_patience: int | None
    seed: int
    ema_decay: float | None = None

    def steps_per_epoch(self, rows: int) -> int:
        return -(-rows // (self.batch_size * self.gradient_accumulation_steps))

    def total_steps(self, rows: int) -> int:
        wanted = max(1, round(self.epochs * self.steps_per_epoch(rows)))
        return min(wanted, self.max_steps) if self.max_steps else wanted

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Linear warm-up to the peak, then linear decay to zero; a pure function of the step, so nothing of it is saved."""
        warmup = round(self.warmup_ratio * total_steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (total_steps - step) / max(1, total_steps - warmup)


class Teacher(Protocol):
    """A finished model in ``folder``. Called with the numbers of rows, it says of them what ``Problem`` takes as scores."""

    @property
    def folder(self) -> Path: ...

    def __call__(self, rows: IntArray) -> FloatArray: ...


@dataclass
class Prepared:
    """Rows ready to learn from. ``targets``: label index [rows], flags [rows, labels] or value [rows].

    Models learn from ``train_rows``; the best weights and the best model are chosen by ``validation_rows``; what is told of them
    is measured on ``test_rows``, where the data set some apart by ``split_column``, else on the validation rows.
    ``describe`` is what kargah.json keeps: all that is needed to treat a question as the rows were treated.
    ``teacher``: null without one, or where it is asked token by token.
    """

    problem: Problem
    targets: FloatArray
    train_rows: IntArray
    validation_rows: IntArray
    describe: JsonDict
    decisions: list[Decision]
    test_rows: IntArray = field(default_factory=lambda: NO_ROWS, kw_only=True)
    split_column: str | None = field(default=None, kw_only=True)
    sources: Sources | None = field(default=None, kw_only=True)
    teacher: Teacher | None = field(default=None, kw_only=True)

    @property
    def draws(self) -> list[Draw]:
        """Which training rows an epoch sees, by their place in ``train_rows``; empty where it sees each once."""
        if self.sources is None or set(self.sources.weights) == {1.0}:
            return []
        taught = self.sources.of_row[self.train_rows]
        places = [(np.flatnonzero(taught == number), weight) for number, weight in enumerate(self.sources.weights)]
        return [Draw(own, max(1, round(len(own) * weight))) for own, weight in places if len(own)]

    @property
    def rows_an_epoch(self) -> int:
        return sum(draw.rows for draw in self.draws) or len(self.train_rows)

    @property
    def reported(self) -> str:
        """The part that is told of."""
        return TEST if len(self.test_rows) else VALIDATION

    def rows_of(self, part: str) -> IntArray:
        return {TRAIN: self.train_rows, VALIDATION: self.validation_rows, TEST: self.test_rows}[part]

    def evaluate(self, part: str, scores: FloatArray) -> Evaluation:
        """Limits that are learnt are those that suit these scores, where they are of the validation rows."""
        if part == VALIDATION:
            self.learn_limits(lambda: scores)
        return self.problem.evaluate(self.targets[self.rows_of(part)], scores)

    def learn_limits(self, validation_scores: Callable[[], FloatArray]) -> None:
        """From which score on a label is said, where that is learnt for each model. Scores are asked for only then."""
        if self.problem.learns_limits:
            self.problem = self.problem.with_limits(self.targets[self.validation_rows], validation_scores())
            self.describe = {**self.describe, **self.problem.as_dict()}

    def report(self, scores: FloatArray) -> Evaluation:
        """Of the scores of the reported rows: with the interval, and by data set where there are several. Takes a second: once a model."""
        rows = self.rows_of(self.reported)
        whole = self.problem.evaluate(self.targets[rows], scores, with_interval=True)
        return whole if self.sources is None else replace(whole, detail={**whole.detail, "sources": self._by_source(rows, scores)})

    def _by_source(self, rows: IntArray, scores: FloatArray) -> list[JsonDict]:
        assert self.sources is not None
        told = []
        for number, (title, weight) in enumerate(zip(self.sources.titles, self.sources.weights, strict=True)):
            own = self.sources.of_row[rows] == number
            metrics = self.problem.evaluate(self.targets[rows[own]], scores[own]).metrics if own.any() else {}
            taught = int((self.sources.of_row[self.train_rows] == number).sum())
            told.append({"title": title, "weight": weight, "train_rows": taught, "rows": int(own.sum()), "metrics": metrics})
        return told


class SimpleModel(Protocol):
    """It has a name, and writes itself into a folder that ``load_predictor`` reads."""

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def architecture(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    def save(self, folder: Path) -> None: ...


class Baseline(SimpleModel, Protocol):
    """A simple model, fitted: it scores the rows that it is given."""

    def scores(self, rows: IntArray) -> FloatArray: ...


@runtime_checkable
class LearnsAgain(Protocol):
    """A baseline that takes nothing from the validation rows and is fitted in seconds: where test rows are set apart, it can learn from
    all others once it was measured for the choice."""

    def again(self, rows: IntArray) -> Baseline: ...


class Task(Protocol):
    """A network and its data. ``costs``: the length of each training row; where a batch is padded to its longest row
    (``pads``), rows of like length share one.
    """

    settings: Settings
    decisions: list[Decision]

    @property
    def module(self) -> torch.nn.Module: ...

    @property
    def costs(self) -> Sequence[int]: ...

    @property
    def pads(self) -> bool: ...

    @property
    def family(self) -> str: ...

    @property
    def architecture(self) -> str: ...

    @property
    def parameters(self) -> int:
        """Numbers in the model that is left at the end."""
        ...

    def use_precision(self, precision: str) -> bool:
        """Take the products of training in fp32 or bf16 from now on; what is learnt is kept in fp32 either way. False: cannot."""
        ...

    def use_device(self, device: torch.device) -> bool:
        """Compute the network there from now on; what it is asked and what it answers stays with the processor. False: cannot."""
        ...

    def recompute(self) -> bool:
        """From now on make activations again on the way back, to save memory: the same gradients, a third more work. False: cannot."""
        ...

    def stepped(self, learning_rate: float) -> None:
        """Told after each optimizer step, with the rate that it used."""
        ...

    def weight(self, rows: Sequence[int]) -> float:
        """What these rows count for in the mean of a step: their number, or, where tokens are learnt, the number of those."""
        ...

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of training rows, named by their position in ``train_rows``. Uses torch's random state only."""
        ...

    def scores(self, check: Callable[[], None], part: str = VALIDATION) -> FloatArray:
        """Scores of all validation rows (or test rows), in order. Calls ``check`` between batches."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights, configuration and tokenizer: what ``load_predictor`` needs besides kargah.json."""
        ...


class RecipeRuntime(Protocol):
    """The shape of a recipe's ``train`` module. ``BASELINE_LIBRARIES``: what its baselines come to import."""

    BASELINE_LIBRARIES: tuple[str, ...]

    def prepare(self, request: Request) -> Prepared: ...

    def baselines(self, prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]: ...

    def build(self, prepared: Prepared, request: Request) -> Task: ...


@dataclass(frozen=True)
class Defaults:
    """What a preset brings where nobody chose."""

    epochs: float
    batch_size: int
    learning_rate: float
    early_stopping_patience: int | None = None


def decide_settings(request: Request, defaults: Defaults, why: str, **params: Any) -> tuple[Settings, list[Decision]]:
    """Take what was chosen, fill the rest from ``defaults``; say of each which it was and why."""
    spec = request.spec
    values: JsonDict = {name: getattr(spec, name) for name in Settings.__dataclass_fields__}
    decisions = []
    for name, value in values.items():
        fallback = getattr(defaults, name, None)
        if value is None and fallback is not None:
            values[name] = fallback
            decisions.append(Decision(name, fallback, "adapted", why, params))
        else:
            decisions.append(given(request, name))
    return Settings(**values), decisions


def one_thread(request: Request) -> Decision:
    """For networks whose steps are so small that threads would wait for each other longer than they work."""
    import torch

    torch.set_num_threads(1)
    return Decision("threads", 1, "adapted", "why.one_thread", {"granted": request.threads})


def all_threads(request: Request) -> Decision:
    """The threads that the plan grants: what a person chose, or what was free when the job started."""
    chosen = "threads" in request.chosen
    return Decision("threads", request.threads, "chosen" if chosen else "adapted", "why.chosen" if chosen else "why.free_cores")


def given(request: Request, name: str) -> Decision:
    """A field used as the spec has it: chosen by a person, or the recipe's own default."""
    chosen = name in request.chosen
    return Decision(name, getattr(request.spec, name), "chosen" if chosen else "inherited", f"why.{'chosen' if chosen else 'inherited'}")
