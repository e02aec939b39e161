"""A dry run: everything but learning. A few steps, the first on the longest samples, tell what the whole would take; no model is made."""

import time
from dataclasses import asdict
from typing import Any

from kargah.contract.plans import TrainPlan
from kargah.contract.results import TrainResult
from kargah.kit import files
from kargah.recipes.runtime import Decision
from kargah.workers import memory
from kargah.workers.edge import Attempt
from kargah.workers.loop import Loop
from kargah.workers.planner import Foresight, Planned, tokens_of

#: At least three steps, then as many as fit in the time.
_LEAST_STEPS, _PROBE_SECONDS, _MOST_STEPS = 3, 4.0, 40
#: An evaluation that takes longer than this is foreseen and not tried.
_TRIED_SECONDS = 1.0
#: The first one in less was mostly warming up.
_COLD_SECONDS = 0.2
_ADAM_MOMENTS = 2


def rehearse(loop: Loop, planned: Planned, plan: TrainPlan, attempt: Attempt) -> TrainResult:
    """The Running event comes from the caller. Raises what the training itself would raise on its longest samples."""
    prepared = loop.prepared
    foresight = Foresight(loop, planned, told=True)
    loading_bytes = memory.peak_bytes(loop.device)
    memory.forget_peak(loop.device)
    _probe(loop, foresight)
    evaluation_seconds = _evaluated(loop, foresight)
    peak_bytes = memory.peak_bytes(loop.device)
    model_bytes = planned.network.weights_bytes
    forecast: dict[str, Any] = foresight.forecast(peak_bytes, evaluation_seconds)
    forecast |= {
        "peak_memory_bytes": max(loading_bytes, forecast["peak_memory_bytes"]),
        "reachable_memory_bytes": planned.passes.free_bytes + planned.base_bytes + model_bytes,
        "model_bytes": model_bytes,
        "disk_bytes": model_bytes + _checkpoints(loop, forecast["train_seconds"]) * _checkpoint_bytes(planned),
        "free_disk_bytes": files.free_bytes(attempt.directory.path),
        "train_rows": len(prepared.train_rows),
        "validation_rows": len(prepared.validation_rows),
        "threads": plan.threads,
        "choices": [asdict(decision) for decision in _choices(loop)],
    }
    problem = prepared.problem
    return TrainResult(
        models=[], recommended=None, primary_metric=problem.primary_metric, lower_is_better=problem.lower_is_better,
        steps=0, dry_run=True, forecast=forecast,
    )  # fmt: skip


def _checkpoints(loop: Loop, train_seconds: float) -> int:
    """How many stand side by side at most."""
    spec = loop.spec
    by_time = train_seconds / max(spec.checkpoint_seconds, 1e-3)
    by_steps = loop.total_steps / spec.checkpoint_steps if spec.checkpoint_steps else 0
    return min(spec.keep_checkpoints + spec.keep_best_checkpoint, int(max(by_time, by_steps)))


def _checkpoint_bytes(planned: Planned) -> int:
    """The weights, the best ones, and what the optimizer keeps."""
    return 2 * planned.network.weights_bytes + _ADAM_MOMENTS * planned.network.trained_bytes


def _choices(loop: Loop) -> list[Decision]:
    return [*loop.prepared.decisions, *loop.task.decisions]


def _probe(loop: Loop, foresight: Foresight) -> None:
    """The longest rows first: what runs out of memory does so now. Then steps as they will come, whose time is worth more."""
    order = [_longest(loop), *loop.batches_by_step(0)]
    started = time.monotonic()
    for number, batches in enumerate(order[:_MOST_STEPS], 1):
        loop.wants.check()
        step_started = time.monotonic()
        loop.step(batches)
        foresight.steps.append((tokens_of(loop, batches), time.monotonic() - step_started))
        loop.tell("Progress", done=number, total=min(_MOST_STEPS, len(order)), unit="steps", code="train.rehearsal")
        if number >= _LEAST_STEPS and time.monotonic() - started > _PROBE_SECONDS:
            return


def _longest(loop: Loop) -> list[list[int]]:
    size, costs = loop.settings.batch_size, loop.task.costs
    longest = sorted(range(len(costs)), key=lambda row: -costs[row])[: size * loop.settings.gradient_accumulation_steps]
    return [longest[start : start + size] for start in range(0, len(longest), size)]


def _evaluated(loop: Loop, foresight: Foresight) -> float | None:
    """Seconds of one evaluation where it is short enough to be tried."""
    foreseen = foresight.forecast(0)
    if foreseen["evaluation_seconds"] / foresight.evaluations > _TRIED_SECONDS:
        return None
    seconds = _scored(loop)
    return seconds if seconds > _COLD_SECONDS else _scored(loop)


def _scored(loop: Loop) -> float:
    started = time.monotonic()
    loop.task.scores(loop.wants.check)
    return time.monotonic() - started
