"""The training loop of every recipe: steps, evaluations, checkpoints; stops and pauses between steps.

Given the same plan and the same number of threads it makes the same weights, bit for bit, however often it was
interrupted: the order of samples is a function of (seed, epoch), and the rest of its state is in a checkpoint.
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kargah.contract.control import Want
from kargah.recipes.errors import Diverged
from kargah.recipes.measures import Evaluation
from kargah.recipes.runtime import Prepared, Settings, Task
from kargah.recipes.sampling import epoch_batches
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Tensors, TrainState
from kargah.workers.telling import Teller
from kargah.workers.wants import PauseWanted, Wants


@dataclass
class StepDone:
    loss: float
    grad_norm: float
    learning_rate: float
    samples: int


@dataclass
class Loop:
    """``job_path``: checkpoints are told of relative to it. ``best`` are the weights of the best evaluation so far."""

    task: Task
    prepared: Prepared
    state: TrainState
    tell: Teller
    wants: Wants
    job_path: Path
    checkpoint_seconds: float
    best: Tensors | None = None
    optimizer: torch.optim.Optimizer = field(init=False)
    total_steps: int = field(init=False)
    _saved_at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.optimizer = _optimizer(self.task.module, self.settings)
        self.total_steps = self.settings.total_steps(len(self.task.costs))

    @property
    def settings(self) -> Settings:
        return self.task.settings

    @property
    def folder(self) -> Path:
        return self.job_path / "checkpoints"

    def take_up(self, path: Path, state: TrainState) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        self.state = state
        self.best = checkpoint.restore(path, self.task.module, self.optimizer)

    def run(self) -> Evaluation:
        """Train to the end, or until patience runs out; leave the best weights in the module and return their evaluation."""
        while self.state.step < self.total_steps and not self._out_of_patience():
            self._epoch()
        if self.best is not None:
            self.task.module.load_state_dict(self.best)
        return self._scored(with_interval=True)

    def _epoch(self) -> None:
        steps = self._batches_by_step(self.state.epoch)
        for batches in steps[self.state.position : self.state.position + self.total_steps - self.state.step]:
            self._stop_or_pause()
            started = time.monotonic()
            done = self.step(batches)
            self._count_and_tell(done, time.monotonic() - started, len(steps))
            if self.state.position < len(steps):  # the last step's checkpoint comes after its evaluation, so that this is told once
                self._save_when_due()
        self._evaluate(round(self.state.epoch + self.state.position / len(steps), 6))
        self.state.epoch, self.state.position = self.state.epoch + 1, 0
        self._save_when_due()

    # ---- the training step, whole ------------------------------------------------------------------------------------
    def step(self, batches: list[list[int]]) -> StepDone:
        """One optimizer step over all ``batches`` (accumulated): the mean over their samples, whatever their sizes."""
        self.task.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        samples, total = sum(len(batch) for batch in batches), 0.0
        for batch in batches:
            loss = self.task.loss(batch) * (len(batch) / samples)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        if not math.isfinite(total):
            raise Diverged(step=self.state.step + 1, learning_rate=self.settings.learning_rate)
        grad_norm = torch.nn.utils.clip_grad_norm_(self.task.module.parameters(), self.settings.max_grad_norm or math.inf)
        learning_rate = self.settings.learning_rate_at(self.state.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        return StepDone(total, float(grad_norm), learning_rate, samples)

    # ---- reporting and keeping: nothing below changes what is learnt ----------------------------------------------------
    def _batches_by_step(self, epoch: int) -> list[list[list[int]]]:
        batches = epoch_batches(self.task.costs, self.settings.batch_size, self.settings.seed, epoch)
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

    def _evaluate(self, epoch: float) -> None:
        result, problem = self._scored(), self.prepared.problem
        value = result.metrics[problem.primary_metric]
        if problem.better(value, self.state.best_value) or self.best is None:
            self.best = checkpoint.copied(self.task.module)
            self.state.best_value, self.state.best_step, self.state.evaluations_without_gain = value, self.state.step, 0
        else:
            self.state.evaluations_without_gain += 1
        self.tell("Evaluated", step=self.state.step, epoch=epoch, model="model", metrics=result.metrics, detail=result.detail)

    def _scored(self, with_interval: bool = False) -> Evaluation:
        scores = self.task.scores(self.wants.check_stop)
        return self.prepared.problem.evaluate(self.prepared.targets[self.prepared.validation_rows], scores, with_interval)

    def _out_of_patience(self) -> bool:
        patience = self.settings.early_stopping_patience
        return patience is not None and self.state.evaluations_without_gain >= patience

    def _stop_or_pause(self) -> None:
        self.wants.check_stop()
        if self.wants.want() is Want.PAUSE:
            if self.state.step:
                self._save()
            raise PauseWanted

    def _save_when_due(self) -> None:
        if time.monotonic() - self._saved_at >= self.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        started = time.monotonic()
        path, size_bytes = checkpoint.save(self.folder, self.state, self.task.module, self.optimizer, self.best)
        self._saved_at = time.monotonic()
        where, best = str(path.relative_to(self.job_path)), self.state.best_step == self.state.step
        stall_seconds = round(self._saved_at - started, 3)
        self.tell("Saved", step=self.state.step, path=where, size_bytes=size_bytes, best=best, stall_seconds=stall_seconds)


def _optimizer(module: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW, fused. Weight decay for matrices only: not for biases and norms."""
    matrices = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim >= 2]
    vectors = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)
