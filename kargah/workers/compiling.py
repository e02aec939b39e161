"""Whether the layers of a network are compiled: where a person asks for it, it can be done here, and it was measured to be no slower.

What cannot be compiled is computed as it was written, and a training whose compiled layers fail goes on without them: neither ends it.
"""

import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from kargah.engine import devices
from kargah.engine.compiling import CompiledLayers, keep_programs_in, layers_of, missing_for
from kargah.recipes.runtime import Decision
from kargah.workers.trying import clock, learn, typical_rows, untouched

if TYPE_CHECKING:
    from torch import nn

    from kargah.workers.loop import Loop

NAME = "compile"
#: Programs of all networks together; beyond that they are made anew.
MOST_BYTES = 1 << 30
#: On a card, layers of fewer weights are over sooner than they are started one product after another. A guess: none was at hand.
_SMALL_WEIGHTS = 50_000_000
#: The first steps compile, and record where that is asked for.
_WARMING = 3
_LEAST_PAIRS, _MOST_PAIRS, _MOST_SECONDS, _MOST_TOKENS = 3, 16, 3.0, 1024


def settle(loop: "Loop", folder: Path, begun: bool | None = None, backend: str = "inductor") -> None:
    """Compile the layers where that is asked for and pays, and say so among the task's decisions. Random state, weights and gradients are
    left as they were; what steps compute from then on differs by rounding.

    ``folder``: where programs are kept. ``begun``: whether the layers of this training were compiled before; then nothing is measured.
    """
    if not getattr(loop.spec, NAME, False):
        return
    decision = _decided(loop, folder, begun, backend)
    loop.state.compiled = decision.value
    loop.task.decisions.append(decision)
    loop.tell.log(decision.why, **decision.params)
    if begun and not decision.value:
        loop.tell.log("train.compile_lost", "warning")


def aside(loop: "Loop") -> AbstractContextManager[None]:
    """Within, steps take the layers as they were written."""
    return loop.compiled.aside() if loop.compiled else nullcontext()


def leave(loop: "Loop", why: str) -> None:
    """Before the first step: what was decided is decided otherwise."""
    if loop.compiled is None:
        return
    _undo(loop)
    loop.task.decisions[:] = [decision if decision.name != NAME else _without(why) for decision in loop.task.decisions]


def given_up(loop: "Loop", error: Exception) -> bool:
    """Whether the layers were compiled: from now on they are not, and that is said."""
    if loop.compiled is None:
        return False
    _undo(loop)
    loop.tell.log("train.compile_failed", "warning", reason=_reason(error))
    return True


def _undo(loop: "Loop") -> None:
    assert loop.compiled is not None
    loop.compiled.undo()
    loop.compiled, loop.state.compiled = None, False


def _decided(loop: "Loop", folder: Path, begun: bool | None, backend: str) -> Decision:
    missing = missing_for(loop.device)
    if begun is False:
        return _without("why.compile_begun_without")
    if loop.group.count > 1:
        return _without("why.compile_processes")
    if not layers_of(loop.task.module):
        return _without("why.compile_no_layers")
    if missing and backend == "inductor":
        return _without("why.compile_no_compiler", program=missing)
    loop.tell.log("train.compiling")
    _keep_in(folder)
    try:
        with untouched(loop):
            return _tried(loop, begun, backend)
    except Exception as error:  # noqa: BLE001 - whatever fails in a compiler, or in what it made, is no reason not to train
        if loop.compiled is not None:
            _undo(loop)
        return _without("why.compile_failed", reason=_reason(error))


def _tried(loop: "Loop", begun: bool | None, backend: str) -> Decision:
    rows = typical_rows(loop, _MOST_TOKENS)
    loop.task.module.train()
    learn(loop, rows)  # a row that the network cannot take fails here, before anything is compiled
    loop.compiled, started = CompiledLayers(loop.task.module, backend, _are_replayed(loop)), time.perf_counter()
    with loop.compiled.strictly():
        for _ in range(_WARMING):
            _step(loop, rows)
        if begun:
            return Decision(NAME, True, "chosen", "why.compile_begun")
        told = {"seconds": round(time.perf_counter() - started), "times": _rounded(gain := _gain(loop, rows))}
    if gain >= 1:
        return Decision(NAME, True, "chosen", "why.compile_pays", told)
    _undo(loop)
    return _without("why.compile_hurts", **told | {"times": _rounded(1 / gain)})


def _gain(loop: "Loop", rows: Sequence[int]) -> float:
    """How many times as fast a step is, by the middle one of pairs: what else runs meets both. With all threads, which programs are made
    for."""
    gains: list[float] = []
    began = time.perf_counter()
    while len(gains) < _LEAST_PAIRS or (len(gains) < _MOST_PAIRS and time.perf_counter() - began < _MOST_SECONDS):
        with aside(loop):
            written = _step(loop, rows)
        gains.append(written / _step(loop, rows))
    return median(gains)


def _step(loop: "Loop", rows: Sequence[int]) -> float:
    loop.optimizer.zero_grad(set_to_none=True)
    started = clock(loop.device)
    learn(loop, rows)
    return clock(loop.device) - started


def _are_replayed(loop: "Loop") -> bool:
    """Small layers on a card, whose steps go through in one pass: what a second one adds to would be overwritten."""
    if loop.device == devices.CPU or loop.settings.gradient_accumulation_steps > 1:
        return False
    return sum(_weights(layer) for layer in layers_of(loop.task.module)) < _SMALL_WEIGHTS


def _weights(layer: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _keep_in(folder: Path) -> None:
    """What was made for networks of long ago goes, all at once: which of it that is nobody knows."""
    if sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > MOST_BYTES:
        shutil.rmtree(folder, ignore_errors=True)
    keep_programs_in(folder)


def _without(why: str, **params: Any) -> Decision:
    return Decision(NAME, False, "adapted", why, params)


def _rounded(gain: float) -> float:
    return float(f"{gain:.3g}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
