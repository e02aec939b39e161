"""The training loop of every recipe: steps, evaluations, checkpoints; stops and pauses between steps.

Given the same plan and the same number of threads it makes the same weights, bit for bit, however often it was
interrupted: the order of samples is a function of (seed, epoch), and the rest of its state is in a checkpoint.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kargah.contract.control import Want
from kargah.engine import devices
from kargah.engine.averaging import Average
from kargah.engine.compiling import CompiledLayers
from kargah.recipes import planning
from kargah.recipes.base import Spec
from kargah.recipes.errors import Diverged, Exploded
from kargah.recipes.measures import Evaluation, FloatArray
from kargah.recipes.parts import VALIDATION
from kargah.recipes.runtime import Prepared, Settings, Task
from kargah.recipes.sampling import epoch_batches
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Copies, Snapshot, Tensors, TrainState
from kargah.workers.keeper import Keeper
from kargah.workers.mending import mended
from kargah.workers.steps import Group, Update, apply, optimizer_of
from kargah.workers.telling import Teller
from kargah.workers.wants import PauseWanted, TerminateWanted, Wants

#: A loss that has grown to so many times its beginning, on the mean, learns nothing any more.
_EXPLODED = 20.0
_SMALLEST_FIRST_LOSS = 0.1
_SMOOTHING = 0.1


Watch = Callable[[list[list[int]], float], None]


@dataclass
class StepDone:
    loss: float
    grad_norm: float
    learning_rate: float
    samples: int


@dataclass
class Loop:
    """``spec``: when to save and what to do about bad rows. ``best`` are the weights of the best evaluation so far.

    ``skipped``: rows, by their place in ``train_rows``, that the model cannot take. ``watch`` is told of each step and how long it took.
    ``group``: the processes that share each step. ``compares``: rows of a batch are compared with each other, so that they go through
    together. ``costs``: tokens of each training row. ``beside``: work of its own that waits until a first step was seen. ``compiled``:
    the network's layers, where steps go through compiled ones.
    """

    task: Task
    prepared: Prepared
    state: TrainState
    tell: Teller
    wants: Wants
    keeper: Keeper
    spec: Spec
    best: Tensors | None = None
    skipped: set[int] = field(default_factory=set)
    watch: Watch = field(default=lambda *_: None)
    group: Group = field(default_factory=Group)
    compares: bool = False
    average: Average | None = field(init=False, default=None)
    beside: Callable[[], None] | None = None
    compiled: CompiledLayers | None = None
    optimizer: torch.optim.Optimizer = field(init=False)
    costs: Sequence[int] = field(init=False)
    total_steps: int = field(init=False)
    _saved_at: float = field(init=False, default_factory=time.monotonic)
    _copies: Copies = field(init=False, default_factory=Copies)
    _best_scores: FloatArray | None = field(init=False, default=None)
    _ready: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.optimizer = optimizer_of(self.task.module, self.settings)
        self.costs = [max(1, cost) for cost in self.task.costs]
        self.total_steps = self.settings.total_steps(self.prepared.rows_an_epoch)

    @property
    def settings(self) -> Settings:
        return self.task.settings

    @property
    def device(self) -> torch.device:
        return devices.of(self.task.module)

    def take_up(self, path: Path, state: TrainState) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        self.state = state
        self.best = checkpoint.restore(path, self.task.module, self.optimizer)
        if self.settings.ema_decay is not None:
            self.average = Average(self.task.module, self.settings.ema_decay, checkpoint.averages(path))

    def run(self) -> Evaluation:
        """Train to the end, or until patience runs out; leave the best weights in the module, return what is reported of them."""
        if self.settings.ema_decay is not None and self.average is None:
            self.average = Average(self.task.module, self.settings.ema_decay)
        # ``position`` is 0 once an epoch was evaluated: an attempt that ended after the last step still owes that evaluation.
        while (self.state.step < self.total_steps or self.state.position) and not self._out_of_patience():
            self._epoch()
        self._do_beside()
        if self.best is not None:
            self.task.module.load_state_dict(self.best)
        self.prepared.learn_limits(lambda: self._scores_of_best(VALIDATION))
        evaluation = self.prepared.report(self._scores_of_best(self.prepared.reported))
        self.keeper.wait(self.wants.check_stop)
        return evaluation

    def _epoch(self) -> None:
        steps = self.batches_by_step(self.state.epoch)
        for batches in steps[self.state.position : self.state.position + self.total_steps - self.state.step]:
            self._stop_or_pause()
            started = time.monotonic()
            done = self.step(batches)
            seconds = time.monotonic() - started
            self._count_and_tell(done, seconds, len(steps))
            self.watch(batches, seconds)
            self._do_beside()
            if self.state.position < len(steps):  # the last step's checkpoint comes after its evaluation, so that this is told once
                self._save_when_due()
        self._evaluate(round(self.state.epoch + self.state.position / len(steps), 6))
        self.state.epoch, self.state.position = self.state.epoch + 1, 0
        self._save_when_due()

    # ---- the training step, whole ------------------------------------------------------------------------------------
    def step(self, batches: list[list[int]]) -> StepDone:
        """One optimizer step over all ``batches`` (accumulated): the mean over their samples (or learnt tokens), however they are cut."""
        learning_rate = self.settings.learning_rate_at(self.state.step, self.total_steps)
        self.task.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        total, samples = self._learnt_from(batches, learning_rate)
        if not math.isfinite(total):
            raise Diverged(step=self.state.step + 1, learning_rate=self.settings.learning_rate)
        grad_norm = apply(self.task, self.optimizer, learning_rate)
        if self.average is not None:
            self.average.follow(self.state.step)
        return StepDone(total, grad_norm, learning_rate, samples)

    def _learnt_from(self, batches: list[list[int]], learning_rate: float) -> tuple[float, int]:
        """(mean loss, samples), the gradients being in the module. What can be mended is, and then it begins again as it had begun."""
        while True:
            update, random_state = Update(self.shares(batches), self.state.step, learning_rate), devices.random_state(self.device)
            try:
                return self.group.learn(self.task, update), sum(map(len, update.passes))
            except Exception as error:
                if not mended(self, batches, error):
                    raise
            devices.set_random_state(random_state, self.device)
            self.optimizer.zero_grad(set_to_none=True)

    def shares(self, batches: list[list[int]]) -> list[list[list[int]]]:
        """The passes of each process: the batches; where memory does not hold one of them, all samples of the step by length."""
        good = [[row for row in batch if row not in self.skipped] for batch in batches] if self.skipped else batches
        if self.group.count == 1 and (self.compares or all(len(self._cut(batch)) <= 1 for batch in good)):
            return [[rows for batch in good for rows in self._cut(batch)]]
        samples = [row for batch in good for row in batch]
        return [self._cut(own) for own in planning.dealt(samples, self.costs, self.group.count)]

    def _cut(self, rows: list[int]) -> list[list[int]]:
        return planning.cut(rows, self.costs, self.task.pads, self.state.micro_batch_tokens, self.settings.batch_size)

    def passes(self, batches: list[list[int]]) -> list[list[int]]:
        """Of all processes."""
        return [rows for share in self.shares(batches) for rows in share]

    # ---- reporting and keeping: nothing below changes what is learnt ----------------------------------------------------
    def batches_by_step(self, epoch: int) -> list[list[list[int]]]:
        """The batches of each optimizer step of an epoch, in their order."""
        settings = self.settings
        batches = epoch_batches(self.task.costs, settings.batch_size, settings.seed, epoch, self.task.pads, self.prepared.draws)
        accumulated = self.settings.gradient_accumulation_steps
        return [batches[start : start + accumulated] for start in range(0, len(batches), accumulated)]

    def _count_and_tell(self, done: StepDone, seconds: float, steps_an_epoch: int) -> None:
        self.state.step += 1
        self.state.position += 1
        self.state.train_seconds += seconds
        rate = done.samples / seconds if seconds > 0 else None
        metrics = {"loss": done.loss, "learning_rate": done.learning_rate, "grad_norm": done.grad_norm, "samples_per_second": rate}
        self.tell.step = self.state.step
        self.tell("Step", step=self.state.step, epoch=round(self.state.epoch + self.state.position / steps_an_epoch, 6), metrics=metrics)
        self._watch_loss(done.loss)

    def _watch_loss(self, loss: float) -> None:
        state = self.state
        state.first_loss = loss if state.first_loss is None else state.first_loss
        state.smooth_loss = loss if state.smooth_loss is None else (1 - _SMOOTHING) * state.smooth_loss + _SMOOTHING * loss
        if state.smooth_loss > _EXPLODED * max(state.first_loss, _SMALLEST_FIRST_LOSS):
            numbers = {"loss": float(f"{loss:.3g}"), "first_loss": float(f"{state.first_loss:.3g}")}
            raise Exploded(step=state.step, learning_rate=self.settings.learning_rate, **numbers)

    def _evaluate(self, epoch: float) -> None:
        scores, problem = self._scored_or_kept(), self.prepared.problem
        result = self.prepared.evaluate(VALIDATION, scores)
        value = result.metrics[problem.primary_metric]
        if problem.better(value, self.state.best_value) or self.best is None:
            self.keeper.wait(self.wants.check_stop)  # it may still write the best ones before, whose memory is used again
            with self._judged():
                self.best = checkpoint.copied(self.task.module, self._copies, "best")
            self._best_scores = scores
            self.state.best_value, self.state.best_step, self.state.evaluations_without_gain = value, self.state.step, 0
        else:
            self.state.evaluations_without_gain += 1
        self.tell("Evaluated", step=self.state.step, epoch=epoch, model="model", metrics=result.metrics, detail=result.detail)

    def _scored_or_kept(self) -> FloatArray:
        """A process that the system ends in the middle of an evaluation keeps its steps; the evaluation is done again."""
        try:
            with self._judged():
                return self._timed_scores(self.wants.check_urgent, VALIDATION)
        except TerminateWanted:
            self._save_and_wait()
            raise

    def _scores_of_best(self, part: str) -> FloatArray:
        """Those of the validation rows are known where this process chose the best weights by them."""
        if part == VALIDATION and self._best_scores is not None:
            return self._best_scores
        return self._timed_scores(self.wants.check_stop, part)

    def _judged(self) -> AbstractContextManager[None]:
        """Within, the module has the weights that are evaluated and kept as the best."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _timed_scores(self, check: Callable[[], None], part: str) -> FloatArray:
        started = time.monotonic()
        scores = self.task.scores(check, part)
        self.state.evaluation_seconds += time.monotonic() - started
        return scores

    def _do_beside(self) -> None:
        """Once. It changes nothing of what is learnt; a pause or the end of this process in the middle of it keeps the steps so far."""
        if self.beside is None:
            return
        beside, self.beside = self.beside, None
        random_state = devices.random_state(self.device)
        try:
            beside()
        except (PauseWanted, TerminateWanted):
            devices.set_random_state(random_state, self.device)
            self._save_and_wait()
            raise
        devices.set_random_state(random_state, self.device)

    def _out_of_patience(self) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and self.state.evaluations_without_gain >= patience

    def _stop_or_pause(self) -> None:
        self.wants.check_stop()
        if self.keeper.waits_for_room:
            self.keeper.wait(self.wants.check)
        want = self.wants.want()
        if want in (Want.PAUSE, Want.TERMINATE):
            if self.state.step:
                self._save_and_wait()
            raise PauseWanted if want is Want.PAUSE else TerminateWanted

    def _save_when_due(self) -> None:
        every, waited = self.spec.checkpoint_steps, time.monotonic() - self._saved_at
        if waited >= self.spec.checkpoint_seconds or (every and self.state.step % every == 0):
            self._save()
        elif not self._ready and (every or waited >= self.spec.checkpoint_seconds / 2):
            self._ready = True
            self.keeper.get_ready(checkpoint.getting_ready(self.task.module, self.optimizer, self._copies))

    def _save_and_wait(self) -> None:
        self._save()
        self.keeper.wait(self.wants.check_stop)

    def _save(self) -> None:
        """Training waits for the copy, and for the checkpoint before if the disk is that slow; the rest is done beside it."""

        def take() -> Snapshot:
            averages = self.average.averages if self.average else None
            return checkpoint.snapshot(self.state, self.task.module, self.optimizer, self.best, self._copies, averages)

        self.keeper.save(take, self.wants.check_stop)
        self._saved_at, self._ready = time.monotonic(), True
