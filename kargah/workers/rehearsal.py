"""A dry run: everything but learning. Three steps on the longest samples tell what the whole would take; no model is made."""

import resource
import sys
import time
from typing import Any

from kargah.contract.plans import TrainPlan
from kargah.contract.results import TrainResult
from kargah.kit import files
from kargah.recipes.base import Spec
from kargah.recipes.runtime import Prepared, Task
from kargah.workers.checkpoint import Keeping, TrainState
from kargah.workers.edge import Attempt
from kargah.workers.keeper import Keeper
from kargah.workers.loop import Loop

_STEPS = 3
_ADAM_COPIES = 2


def rehearse(task: Task, prepared: Prepared, plan: TrainPlan, spec: Spec, attempt: Attempt) -> TrainResult:
    """The Running event comes from the caller. Raises what the training itself would raise on its longest samples."""
    state = TrainState(plan="", threads=plan.threads)
    keeping = Keeping(spec.keep_checkpoints, spec.keep_best_checkpoint)
    loop = Loop(task, prepared, state, attempt.tell, attempt.wants, Keeper(attempt.directory.job_path, keeping, attempt.tell), spec)
    seconds = _seconds_a_step(loop)
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in task.module.state_dict().values())
    disk_bytes = model_bytes + (spec.keep_checkpoints + spec.keep_best_checkpoint) * model_bytes * (2 + _ADAM_COPIES)
    forecast: dict[str, Any] = {
        "total_steps": loop.total_steps,
        "seconds_per_step": round(seconds, 4),
        "train_seconds": round(seconds * loop.total_steps, 1),
        "measured_steps": _STEPS,
        "peak_memory_bytes": _peak_memory_bytes(),
        "model_bytes": model_bytes,
        "disk_bytes": disk_bytes,
        "free_disk_bytes": files.free_bytes(attempt.directory.path),
        "train_rows": len(prepared.train_rows),
        "validation_rows": len(prepared.validation_rows),
    }
    problem = prepared.problem
    return TrainResult(
        models=[], recommended=None, primary_metric=problem.primary_metric, lower_is_better=problem.lower_is_better,
        steps=0, dry_run=True, forecast=forecast,
    )  # fmt: skip


def _seconds_a_step(loop: Loop) -> float:
    """The mean of the steps after the first, which also warms things up: an upper bound, for the samples are the longest."""
    samples = loop.settings.batch_size * loop.settings.gradient_accumulation_steps
    longest = sorted(range(len(loop.task.costs)), key=lambda row: -loop.task.costs[row])[:samples]
    size = loop.settings.batch_size
    batches = [longest[start : start + size] for start in range(0, len(longest), size)]
    seconds = []
    for number in range(_STEPS):
        loop.wants.check()
        started = time.monotonic()
        loop.step(batches)
        seconds.append(time.monotonic() - started)
        loop.tell("Progress", done=number + 1, total=_STEPS, unit="steps", code="train.rehearsal")
    return sum(seconds[1:]) / (_STEPS - 1)


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
