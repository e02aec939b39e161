"""Where a training computes, and by how many processes its steps are shared: as many as were asked for, else one for each GPU granted."""

import os
from typing import TYPE_CHECKING

from kargah.contract.plans import TrainPlan
from kargah.recipes.base import Recipe, Spec
from kargah.workers.edge import Attempt
from kargah.workers.threads import limit_threads

if TYPE_CHECKING:
    from kargah.recipes.runtime import Decision, Task
    from kargah.workers.steps import Group


def shared(plan: TrainPlan, count: int) -> TrainPlan:
    """What each of ``count`` processes is told: its share of the threads."""
    return plan.model_copy(update={"threads": max(1, plan.threads // count)})


def group_of(plan: TrainPlan, recipe: Recipe, attempt: Attempt) -> tuple["Group", TrainPlan]:
    """The processes, started, and the plan of each. To be closed at the end. Raises OSError."""
    limit_threads(plan.threads)
    gpus = granted_gpus()
    count = _count(plan, recipe, attempt, len(gpus))
    if count > 1:
        plan = shared(plan, count)
        limit_threads(plan.threads)
        from kargah.workers.crew import Crew

        return Crew(attempt, count, plan.threads, gpus[:count]), plan
    from kargah.workers.steps import Group

    return Group(), plan


def granted_gpus() -> list[str]:
    """Their ids, where torch can compute on them."""
    ids = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    if not ids:
        return []
    import torch

    return ids if torch.cuda.is_available() else []


def place(task: "Task") -> None:
    """On the GPU that was granted, where there is one and the network gains by it; and said."""
    from kargah.engine import devices
    from kargah.recipes.runtime import Decision

    device = devices.granted()
    if device == devices.CPU:
        return
    gains = task.use_device(device)
    where, why = (device.type, "why.device_granted") if gains else (devices.CPU.type, "why.device_small")
    task.decisions.append(Decision("device", where, "adapted", why))


def _count(plan: TrainPlan, recipe: Recipe, attempt: Attempt, gpus: int) -> int:
    count = max(1, plan.spec.get("processes") or gpus)
    if 0 < gpus < count:  # no two can share one
        attempt.tell.log("train.processes_by_gpus", "warning", processes=count, gpus=gpus)
        count = gpus
    if count > 1 and compares(plan, recipe):
        attempt.tell.log("train.processes_compare", "warning", processes=count)
        return 1
    return count


def compares(plan: TrainPlan, recipe: Recipe) -> bool:
    """Whether rows of a batch are compared with each other, so that a part of them teaches something else than all of them."""
    return recipe.compares(recipe.spec.model_validate(plan.spec))


def decision(spec: Spec, count: int) -> "Decision":
    from kargah.recipes.runtime import Decision

    chosen = spec.processes is not None
    return Decision("processes", count, "chosen" if chosen else "adapted", "why.chosen" if chosen else "why.processes_of_gpus")
