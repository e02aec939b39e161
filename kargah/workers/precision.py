"""Which precision the products of a training are taken in: fp32 unless somebody asks for less, and less only where it was measured to pay.

With bf16 weights, gradients, sums and moments stay in fp32 (torch.autocast); what is multiplied loses sixteen bits. On a processor
without instructions for it that is a hundred times slower; on one with them, and on graphics cards, about twice as fast.
"""

import time
from collections.abc import Sequence

import torch

from kargah.recipes.base import AUTO
from kargah.recipes.errors import PrecisionHurts
from kargah.recipes.runtime import Decision
from kargah.workers.loop import Loop
from kargah.workers.measure import product_seconds

EXACT, HALF = "fp32", "bf16"
#: Quicker by less is no reason for less exact products.
_LEAST_GAIN = 1.1
#: A product that is so much slower needs no step to be tried: that could take minutes.
_HOPELESS = 4.0
_SHAPE = (64, 384, 384)
_TRIES = 3
_MOST_TOKENS = 1024


def settle(loop: Loop, dry_run: bool, gain: float | None = None) -> Decision:
    """Put the task to the precision asked for, and say why that. Raises PrecisionHurts for one that would only be slower here.

    Left open it is fp32; a dry run measures what bf16 would bring. Random state, weights and gradients are left as they were.
    ``gain``: how many times as fast bf16 is, where that is known.
    """
    asked = getattr(loop.spec, "precision", AUTO)
    if asked == EXACT or (asked == AUTO and not (dry_run and loop.task.use_precision(HALF))):
        loop.task.use_precision(EXACT)
        return Decision("precision", EXACT, *(("chosen", "why.chosen") if asked == EXACT else ("inherited", "why.precision_exact")))
    gain = float(f"{gain_of_half(loop) if gain is None else gain:.2g}")
    if asked == HALF:
        if gain < _LEAST_GAIN or not loop.task.use_precision(HALF):
            raise PrecisionHurts(field="spec.precision", precision=HALF, times=round(1 / gain, 1))
        return Decision("precision", HALF, "chosen", "why.precision_gains", {"times": gain})
    loop.task.use_precision(EXACT)
    if gain < _LEAST_GAIN:
        return Decision("precision", EXACT, "adapted", "why.precision_hurts", {"times": round(1 / gain, 1)})
    return Decision("precision", EXACT, "inherited", "why.precision_offered", {"times": gain})


def gain_of_half(loop: Loop) -> float:
    """How many times as fast a step is in bf16 as in fp32, by this network on some of its rows."""
    device = torch.device("cpu")
    products = product_seconds(device, torch.float32, *_SHAPE) / product_seconds(device, torch.bfloat16, *_SHAPE)
    if products < 1 / _HOPELESS or not loop.task.use_precision(HALF):
        return products
    rows = _typical(loop)
    random_state = torch.get_rng_state()
    seconds = _quickest_steps(loop, rows)
    torch.set_rng_state(random_state)
    loop.optimizer.zero_grad(set_to_none=True)
    return seconds[EXACT] / seconds[HALF]


def _typical(loop: Loop) -> list[int]:
    """As many rows of middling length as a batch has, within a bound."""
    costs = loop.task.costs
    middling = sorted(range(len(costs)), key=lambda row: costs[row])[len(costs) // 2 :][: loop.settings.batch_size]
    return middling[: max(1, _MOST_TOKENS // max(1, costs[middling[-1]]))]


def _quickest_steps(loop: Loop, rows: Sequence[int]) -> dict[str, float]:
    """Seconds forward and backward by precision, in turn, so that other work on the machine disturbs both; the first of each warms up."""
    loop.task.module.train()
    taken: dict[str, list[float]] = {EXACT: [], HALF: []}
    for _ in range(1 + _TRIES):
        for precision, seconds in taken.items():
            loop.task.use_precision(precision)
            started = time.perf_counter()
            loop.task.loss(rows).backward()  # type: ignore[no-untyped-call]
            seconds.append(time.perf_counter() - started)
    return {precision: min(seconds[1:]) for precision, seconds in taken.items()}
