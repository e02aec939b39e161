"""Fitting a training to this machine before its first step: tokens a pass, recomputed activations, threads; every choice with its reason.

And foreseeing it from its first steps: how long the rest takes, how much memory.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from kargah.contract.process import KEPT_KERNELS
from kargah.engine import devices, products
from kargah.engine.products import QuickLinear
from kargah.recipes import planning
from kargah.recipes.parts import VALIDATION
from kargah.recipes.planning import Footprint, Network, Passes
from kargah.recipes.runtime import Task
from kargah.workers import memory
from kargah.workers.loop import Loop
from kargah.workers.precision import HALF

#: Of what oneDNN keeps for one shape of a product, measured (benchmarks/README.md): in bf16 it turns the operands round as well.
_KERNEL_BYTES, _KERNEL_BYTES_OF_HALF = 300_000, 500_000
#: Of what a step takes forward and backward, the share of the way forward.
_FORWARD_SHARE = 1 / 3
#: One step of so many is still warming things up: kernels are made, memory is asked for the first time.
_WARMING = 4
#: From these on a forecast is worth telling; the first step warms things up and does not count.
_LEAST_STEPS, _LEAST_SECONDS, _MOST_STEPS = 4, 3.0, 100


@dataclass(frozen=True)
class Planned:
    """``base_bytes``: of the process without the network."""

    passes: Passes
    network: Network
    base_bytes: int


def plan(loop: Loop, free_bytes: int | None = None) -> Planned:
    """Fit ``loop`` to what memory is free, and say how in its task's decisions. Nothing that is learnt changes."""
    task = loop.task
    sharing = loop.group.count if loop.device == devices.CPU else 1  # each has a card of its own
    free_bytes = memory.free_bytes(loop.device) // sharing if free_bytes is None else free_bytes
    found = _fitted(loop, free_bytes)
    if not found.passes.fits and task.recompute():
        again = _fitted(loop, free_bytes)
        found = replace(again, passes=replace(again.passes, recomputed=True))
    if not found.passes.fits:
        needed = found.passes.footprint.total_bytes - found.base_bytes - found.network.weights_bytes
        loop.tell.log("train.memory_short", "warning", needed_bytes=needed, free_bytes=free_bytes)
    loop.state.micro_batch_tokens = found.passes.tokens
    task.decisions += found.passes.decisions()
    return found


def _fitted(loop: Loop, free_bytes: int) -> Planned:
    network = measured(loop.task)
    base = max(0, memory.used_bytes(loop.device) - network.weights_bytes)
    if loop.settings.ema_decay is not None:  # the averages, and their copy on the way to a checkpoint
        base += 2 * network.trained_bytes
    fitted = planning.passes(network, whole_tokens(loop), max(loop.costs), base, free_bytes, keeps=True)
    return Planned(replace(fitted, compares=loop.compares), network, base)


def whole_tokens(loop: Loop) -> int:
    """Of the largest pass that could come, were memory no matter: a batch, or a process's share of a step where that has fewer rows."""
    settings = loop.settings
    share = -(-settings.batch_size * settings.gradient_accumulation_steps // loop.group.count)
    return planning.heaviest(loop.costs, min(settings.batch_size, share), loop.task.pads)


def measured(task: Task) -> Network:
    """By one way forward of the longest row; torch's random state is left as it was, and no weight moves."""
    parameters = list(task.module.parameters())
    longest = max(range(len(task.costs)), key=lambda row: task.costs[row])
    return Network(
        weights_bytes=sum(tensor.nbytes for tensor in task.module.state_dict().values()),
        trained_bytes=sum(parameter.nbytes for parameter in parameters if parameter.requires_grad),
        row_bytes=_saved_bytes(task, [longest]),
        longest=task.costs[longest],
    )


def _saved_bytes(task: Task, rows: Sequence[int]) -> int:
    """Of all that the way back would need, each piece of memory once, the weights not; 0 where that could not be tried."""
    known = {parameter.untyped_storage().data_ptr() for parameter in task.module.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = devices.of(task.module)
    random_state = devices.random_state(device)
    task.module.train()
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            task.loss(rows)
    except (RuntimeError, IndexError, ValueError):  # a row that the model cannot take, or not here: the step that meets it says so
        sizes.clear()
    devices.set_random_state(random_state, device)
    return sum(sizes.values())


@dataclass
class Foresight:
    """Steps as they were measured: (tokens, seconds). ``told``: once is enough."""

    loop: Loop
    planned: Planned
    steps: list[tuple[int, float]] = field(default_factory=list)
    told: bool = False

    def note(self, batches: list[list[int]], seconds: float) -> None:
        """Tell the forecast once it is worth something and something is left to foresee. Costs nothing before and after."""
        if self.told:
            return
        self.steps.append((tokens_of(self.loop, batches), seconds))
        counted = self.steps[1:]
        if len(counted) < _LEAST_STEPS or (sum(taken for _, taken in counted) < _LEAST_SECONDS and len(counted) < _MOST_STEPS):
            return
        self.told = True
        if self.loop.total_steps >= 2 * len(self.steps):
            self.loop.tell.log("train.forecast", **self.forecast(memory.peak_bytes(self.loop.device)))

    def forecast(self, peak_bytes: int, evaluation_seconds: float | None = None) -> dict[str, Any]:
        """``peak_bytes``: the most that was used in the steps so far. Times are of the network, without its baselines."""
        loop, counted = self.loop, self.steps[max(1, len(self.steps) // _WARMING) :] or self.steps
        rate = sum(seconds for _, seconds in counted) / max(1, sum(tokens for tokens, _ in counted))
        a_step = rate * mean_tokens(loop)
        train_seconds = a_step * loop.total_steps
        evaluation = self._evaluation_seconds(rate) if evaluation_seconds is None else evaluation_seconds
        evaluating = evaluation * self.evaluations
        parts = self._parts(train_seconds)
        return {
            "total_steps": loop.total_steps,
            "seconds_per_step": round(a_step, 4),
            "train_seconds": round(train_seconds, 1),
            "evaluation_seconds": round(evaluating, 1),
            "total_seconds": round(train_seconds + evaluating, 1),
            "measured_steps": len(counted),
            "peak_memory_bytes": max(parts.total_bytes, peak_bytes + parts.kept_bytes + self._kernels_to_come()),
            **asdict(parts),
        }

    @property
    def evaluations(self) -> int:
        """One an epoch, and one of test rows where there are any."""
        epochs = -(-self.loop.total_steps // max(1, self.loop.settings.steps_per_epoch(len(self.loop.task.costs))))
        return epochs + (self.loop.prepared.reported != VALIDATION)

    def _evaluation_seconds(self, rate: float) -> float:
        costs = self.loop.task.costs
        return rate * _FORWARD_SHARE * len(self.loop.prepared.validation_rows) * sum(costs) / max(1, len(costs))

    def _kernels_to_come(self) -> int:
        """Bytes of those for counts of tokens that no step has had so far."""
        kernels = _kernels_bytes(self.loop)
        if not kernels:
            return 0
        coming = {_filled_up(tokens_of(self.loop, batches)) for batches in self.loop.batches_by_step(0)}
        met = {_filled_up(tokens) for tokens, _ in self.steps}
        return kernels * len(coming - met) // max(1, len(coming))

    def _parts(self, train_seconds: float) -> Footprint:
        """A checkpoint is copied when its time comes: a shorter training takes none before its end."""
        spec, planned = self.loop.spec, self.planned
        keeps = train_seconds > spec.checkpoint_seconds or bool(spec.checkpoint_steps and spec.checkpoint_steps <= self.loop.total_steps)
        return planning.footprint(planned.network, planned.passes.tokens, planned.base_bytes + _kernels_bytes(self.loop), keeps)


def _kernels_bytes(loop: Loop) -> int:
    """Of the kernels that oneDNN will have made, where the products of this training go to it."""
    if loop.device != devices.CPU or not any(type(module) is QuickLinear for module in loop.task.module.modules()):
        return 0
    if loop.state.precision == HALF:
        return KEPT_KERNELS * _KERNEL_BYTES_OF_HALF
    return KEPT_KERNELS * _KERNEL_BYTES if products.uses_onednn() else 0


def _filled_up(tokens: int) -> int:
    return tokens + products.rows_missing(tokens)


def mean_tokens(loop: Loop) -> float:
    """Of a step, over the first epoch."""
    steps = loop.batches_by_step(0)
    return sum(tokens_of(loop, batches) for batches in steps) / max(1, len(steps))


def tokens_of(loop: Loop, batches: list[list[int]]) -> int:
    """What goes through the network in a step, padding included where there is any."""
    return sum(planning.tokens_of(rows, loop.costs, loop.task.pads) for rows in loop.passes(batches))
