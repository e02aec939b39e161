"""``python second_device_runs.py FOLDER NAME…``: small trainings of recipes, here and on the second device; how far apart they end.

In a process of its own, since torch forgets no device. Prints a JSON object: by recipe and preset null where the network stays with the
processor, else the greatest difference of a loss, of a metric, and of a weight after saving.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from loops import small_loop
from safetensors.torch import load_file
from support.second_device import SECOND, Making
from test_resuming import families

from kargah.contract.wire import EventWriter
from kargah.recipes.base import Recipe
from kargah.recipes.parts import VALIDATION
from kargah.workers import checkpoint
from kargah.workers.checkpoint import TrainState
from kargah.workers.loop import Loop
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants

STEPS = 4


def loop_of(folder: Path, recipe: Recipe, preset: str | None, device: torch.device) -> Loop | None:
    """Without dropout, whose numbers each device draws for itself; None where the network does not go there."""
    wants = Wants(folder / "control.json", Teller(EventWriter(folder / "unused.jsonl")), folder / "memory")
    state = TrainState(plan="p", threads=1)
    return small_loop(
        folder, recipe, preset, wants, lambda task: task.use_device(device), state, dropout=0.0, max_steps=STEPS, ema_decay=0.9
    )  # fmt: skip


def trained(folder: Path, recipe: Recipe, preset: str | None, device: torch.device) -> dict[str, Any] | None:
    """Interrupted and gone on with in the middle."""
    loop = loop_of(folder, recipe, preset, device)
    if loop is None:
        return None
    assert all(parameter.device == device for parameter in loop.task.module.parameters())
    batches, losses = [loop.batches_by_step(epoch)[0] for epoch in range(STEPS)], []
    for number in range(STEPS // 2):
        losses.append(loop.step(batches[number]).loss)
        loop.state.step += 1
    path, _ = checkpoint.write(folder / "checkpoints", checkpoint.snapshot(loop.state, loop.task.module, loop.optimizer, None))
    again = loop_of(folder, recipe, preset, device)
    assert again is not None
    again.take_up(path, loop.state)
    for number in range(STEPS // 2, STEPS):
        losses.append(again.step(batches[number]).loss)
        again.state.step += 1
    metrics = again.prepared.evaluate(VALIDATION, again.task.scores(lambda: None)).metrics
    assert again.task.use_device(torch.device("cpu"))
    (folder / "model").mkdir()
    again.task.save(folder / "model")
    return {"losses": losses, "metrics": metrics, "weights": load_file(folder / "model" / "model.safetensors")}


def difference(folder: Path, recipe: Recipe, preset: str | None) -> list[float] | None:
    there = trained(folder / "there", recipe, preset, SECOND)
    if there is None:
        return None
    here = trained(folder / "here", recipe, preset, torch.device("cpu"))
    assert here is not None
    of_losses = max(abs(one - other) for one, other in zip(here["losses"], there["losses"], strict=True))
    of_weights = max(float((here["weights"][name] - tensor).abs().max()) for name, tensor in there["weights"].items())
    of_metrics = max(abs(value - there["metrics"][name]) for name, value in here["metrics"].items() if value is not None)
    return [of_losses, of_metrics, of_weights]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.__future__.set_swap_module_params_on_conversion(
        True
    )  # as the parameters of a graphics card: in place, so that tied ones stay tied
    found = {}
    with Making(), torch.autograd.set_multithreading_enabled(False):  # what is made on the way back is made in this thread too
        for case in families():
            found[case.id] = difference(Path(sys.argv[1]) / case.id, *case.values)
    print(json.dumps(found))
