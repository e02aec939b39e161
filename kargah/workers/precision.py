"""Which precision the products of a training are taken in: the exact one, or bf16 where it was measured to pay clearly.

With bf16 weights, gradients, sums and moments stay in fp32 (torch.autocast); what is multiplied loses sixteen bits. On a processor
without instructions for it that is a hundred times slower; on one with them, and on graphics cards, about twice as fast. What it costs
in quality was measured: benchmarks/quality_seeds.py.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch

from kargah.engine import devices
from kargah.recipes.base import AUTO
from kargah.recipes.errors import PrecisionHurts
from kargah.recipes.runtime import Decision
from kargah.workers.loop import Loop
from kargah.workers.trying import clock, learn, typical_rows, untouched

EXACT, HALF = "fp32", "bf16"
#: Quicker by less is no reason for less exact products: where somebody asked for them, and where nobody did.
_LEAST_GAIN, _CLEAR_GAIN = 1.1, 1.2
#: A product that is so much slower needs no step to be tried: that could take minutes.
_HOPELESS = 4.0
#: Smaller networks and shorter trainings are over before bf16 is worth measuring.
_LEAST_WEIGHTS, _LEAST_STEPS = 1_000_000, 40
_SHAPE, _SHAPE_OF_CARDS, _PRODUCTS, _KINDS = (64, 384, 384), (2048, 2048, 2048), 10, (torch.float32, torch.bfloat16)
_TRIES, _MOST_TRIES, _LEAST_SECONDS = 2, 16, 0.3
#: What decides is looked at longer where it is so close: a forecast and its training must come to the same answer.
_CLOSE = 0.15
_MOST_TOKENS, _MOST_SECONDS = 128, 1.0


def settle(loop: Loop, dry_run: bool, begun_in: str | None = None, gain: float | None = None) -> Decision:
    """Put the task to its precision, and say why that. Raises PrecisionHurts for one that was asked for and would only be slower here.

    Left open it is what was measured to pay, or what the training was ``begun_in``. Random state, weights and gradients are left as
    they were. ``gain``: how many times as fast bf16 is, where that is known.
    """
    asked = getattr(loop.spec, "precision", AUTO)
    if asked == AUTO:
        decision = _begun(loop, begun_in, gain) if begun_in else _measured(loop, dry_run, gain)
    elif asked == EXACT:
        decision = Decision("precision", EXACT, "chosen", "why.chosen")
    else:
        decision = _asked(loop, gain)
    loop.task.use_precision(decision.value)
    loop.state.precision = decision.value
    return decision


def _asked(loop: Loop, gain: float | None) -> Decision:
    gain = gain_of_half(loop) if gain is None else gain
    if gain is None:
        return Decision("precision", HALF, "chosen", "why.chosen")
    gain = _rounded(gain)
    if gain < _LEAST_GAIN or not loop.task.use_precision(HALF):
        raise PrecisionHurts(field="spec.precision", precision=HALF, times=round(1 / gain, 1))
    return Decision("precision", HALF, "chosen", "why.precision_gains", {"times": gain})


def _begun(loop: Loop, begun_in: str, gain: float | None) -> Decision:
    """As it began, so that it ends with the same weights; on a machine that cannot, exactly, and that is said."""
    if begun_in == HALF and ((products_gain(loop.device) if gain is None else gain) < 1 / _HOPELESS or not loop.task.use_precision(HALF)):
        loop.tell.log("train.precision_lost", "warning", precision=begun_in)
        return Decision("precision", EXACT, "adapted", "why.precision_lost", {"precision": begun_in})
    return Decision("precision", begun_in, "adapted", "why.precision_begun")


def _measured(loop: Loop, dry_run: bool, gain: float | None) -> Decision:
    worth = sum(parameter.numel() for parameter in loop.task.module.parameters()) >= _LEAST_WEIGHTS and loop.total_steps >= _LEAST_STEPS
    if gain is None and loop.task.use_precision(HALF) and (worth or dry_run):
        gain = gain_of_half(loop)
    if gain is None:
        return Decision("precision", EXACT, "inherited", "why.precision_exact")
    gain = _rounded(gain)
    if gain >= _CLEAR_GAIN:
        return Decision("precision", HALF, "adapted", "why.precision_pays", {"times": gain})
    if gain >= 1:
        return Decision("precision", EXACT, "adapted", "why.precision_even", {"times": gain})
    return Decision("precision", EXACT, "adapted", "why.precision_hurts", {"times": round(1 / gain, 1)})


def _rounded(gain: float) -> float:
    return float(f"{gain:.2g}")


def products_gain(device: torch.device = devices.CPU) -> float:
    """How many times as fast a product is in bf16 as in fp32: of one thread, by its own time, so that what else runs does not count."""
    rows, inner, columns = _SHAPE if device == devices.CPU else _SHAPE_OF_CARDS
    operands = {dtype: [torch.ones(shape, dtype=dtype, device=device) for shape in ((rows, inner), (inner, columns))] for dtype in _KINDS}
    quickest = dict.fromkeys(_KINDS, float("inf"))
    with _one_thread():
        for _ in range(_PRODUCTS):
            for dtype, (left, right) in operands.items():
                started = _moment(device)
                torch.mm(left, right)
                quickest[dtype] = min(quickest[dtype], _moment(device) - started)
    return quickest[torch.float32] / quickest[torch.bfloat16]


def _moment(device: torch.device) -> float:
    """Seconds of this thread; those of the clock where it only waits for a graphics card."""
    return time.thread_time() if device == devices.CPU else clock(device)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several wait for each other when the machine is busy, and would time that."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def gain_of_half(loop: Loop) -> float | None:
    """How many times as fast a step is in bf16 as in fp32, by this network on some of its rows; None where they could not be tried."""
    products = products_gain(loop.device)
    if products < 1 / _HOPELESS or not loop.task.use_precision(HALF):
        return products
    return gain_of_steps(loop)


def gain_of_steps(loop: Loop) -> float | None:
    """The same by steps alone, whatever products say."""
    rows = typical_rows(loop, _MOST_TOKENS)
    try:
        with untouched(loop), _one_thread():
            return _gain_in_turn(loop, rows)
    except (RuntimeError, IndexError, ValueError):  # a row that the model cannot take, or not here: the step that meets it says so
        return None


def _gain_in_turn(loop: Loop, rows: Sequence[int]) -> float:
    """Of steps forward and backward in turn, the middle one: what else runs meets both of a pair. The first of each warms up."""
    loop.task.module.train()
    gains: list[float] = []
    began = time.perf_counter()
    for number in range(1 + _MOST_TRIES):
        spent = time.perf_counter() - began
        is_clear = number > _TRIES and spent > _LEAST_SECONDS and abs(median(gains) / _CLEAR_GAIN - 1) > _CLOSE
        if is_clear or (number > 1 and spent > _MOST_SECONDS):
            break
        seconds = {precision: _seconds_of_step(loop, rows, precision) for precision in (EXACT, HALF)}
        if number:
            gains.append(seconds[EXACT] / seconds[HALF])
    return median(gains)


def _seconds_of_step(loop: Loop, rows: Sequence[int], precision: str) -> float:
    loop.task.use_precision(precision)
    started = _moment(loop.device)
    learn(loop, rows)
    return _moment(loop.device) - started
