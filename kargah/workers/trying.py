"""Steps that are only tried, to see how long they take: random state, weights and gradients are left as they were."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from kargah.engine import devices

if TYPE_CHECKING:
    from kargah.workers.loop import Loop

_MOST_TOKENS_OF_CARDS = 8192


@contextmanager
def untouched(loop: "Loop") -> Iterator[None]:
    random_state = devices.random_state(loop.device)
    try:
        yield
    finally:
        devices.set_random_state(random_state, loop.device)
        loop.optimizer.zero_grad(set_to_none=True)


def typical_rows(loop: "Loop", most_tokens: int) -> list[int]:
    """As many rows of middling length as a batch has, within a bound; ``most_tokens``: on a processor."""
    costs = loop.task.costs
    middling = sorted(range(len(costs)), key=lambda row: costs[row])[len(costs) // 2 :][: loop.settings.batch_size]
    most = most_tokens if loop.device == devices.CPU else _MOST_TOKENS_OF_CARDS  # fewer are over before a card has warmed to them
    return middling[: max(1, most // max(1, costs[middling[-1]]))]


def learn(loop: "Loop", rows: Sequence[int]) -> None:
    """Forward and backward; the gradients are added to what there is."""
    loop.task.loss(rows).backward()  # type: ignore[no-untyped-call]


def clock(device: torch.device) -> float:
    """Seconds, once all is computed that was asked for."""
    devices.wait(device)
    return time.perf_counter()
