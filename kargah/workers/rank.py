"""``python -m kargah.workers.rank ATTEMPT_DIR RANK COUNT``: one of several processes that share the steps of a training.

Started by the first of them (kargah.workers.crew), which tells it what to do. It writes nothing but, where it fails, why. It ends when
its input does.
"""

import importlib
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import AnyPlan, TrainPlan
from kargah.kit import files
from kargah.kit.errors import KargahError
from kargah.recipes import catalogue

if TYPE_CHECKING:
    import torch

    from kargah.engine.ranks import Ranks
    from kargah.recipes.runtime import RecipeRuntime, Task
    from kargah.workers.steps import Update


def main() -> int:
    path, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=_end_with_the_first, name="first", daemon=True).start()
    directory = AttemptDirectory(path)
    try:
        _follow(directory, rank, count)
    except ConnectionError:  # whoever is gone is seen, and told of, by the first process, which ends this one
        time.sleep(3600)
    except Exception as error:  # noqa: BLE001 - the edge of a process: the first one says it
        _leave_note(directory, rank, error)
    return 1


def _end_with_the_first() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def _leave_note(directory: AttemptDirectory, rank: int, error: Exception) -> None:
    from kargah.workers import failures
    from kargah.workers.crew import note_of

    fields = error.as_dict() if isinstance(error, KargahError) else failures.told(error, directory.path)
    files.write_json(note_of(directory, rank), fields)


def _follow(directory: AttemptDirectory, rank: int, count: int) -> None:
    """The network as the first process makes it, its state as it is there, and then step by step. Returns never."""
    from kargah.workers import sharing, train
    from kargah.workers.threads import limit_threads

    plan = AnyPlan.validate_json(directory.plan.read_bytes())
    assert isinstance(plan, TrainPlan)
    plan, recipe = sharing.shared(plan, count), catalogue.get(plan.recipe)
    limit_threads(plan.threads)
    request = train.request_of(plan, recipe, directory, log=lambda *_, **__: None, check=lambda: None)
    runtime = cast("RecipeRuntime", importlib.import_module(f"{recipe.runtime}.train"))
    task = train.build(plan, runtime, runtime.prepare(request), request)

    from kargah.engine.ranks import meet
    from kargah.workers.crew import meeting_place
    from kargah.workers.steps import optimizer_of

    ranks = meet(meeting_place(directory), rank, count)
    optimizer = optimizer_of(task.module, task.settings)
    _begin(task, optimizer, ranks)
    while True:
        _step(task, optimizer, ranks, ranks.told())


def _begin(task: "Task", optimizer: "torch.optim.Optimizer", ranks: "Ranks") -> None:
    from kargah.workers import checkpoint

    start: Any = ranks.told()
    task.use_precision(start.precision)
    if start.recomputed:
        task.recompute()
    if start.checkpoint is not None:
        checkpoint.restore(start.checkpoint, task.module, optimizer)
    ranks.take_state(task.module)


def _step(task: "Task", optimizer: "torch.optim.Optimizer", ranks: "Ranks", update: "Update") -> None:
    """Randomness of this process is a function of (seed, step, rank), so that nothing of it need be kept to go on exactly."""
    import numpy as np
    import torch

    from kargah.workers.steps import apply, gradients

    torch.manual_seed(int(np.random.SeedSequence([task.settings.seed, update.step, ranks.rank]).generate_state(1)[0]))
    task.module.train()
    optimizer.zero_grad(set_to_none=True)
    try:
        gradients(task, update, ranks)
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - the first process knows, and says what now
        traceback.print_exc()
        return
    apply(task, optimizer, update.learning_rate)


if __name__ == "__main__":
    sys.exit(main())
