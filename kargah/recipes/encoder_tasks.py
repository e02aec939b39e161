"""What the tasks of encoders share: the loop's ``Task`` but for its goals, its loss and its scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.recipes.encoders import Item, Transformer
from kargah.recipes.runtime import Decision, Settings

#: Sequences of like length scored together.
SCORING_BATCH = 64


@dataclass
class EncoderTask:
    """``items``: the training rows as ``batches`` encode them. A recipe adds ``loss`` and ``scores``, and calls ``logits``.

    ``network``: an ``encoders.Transformer``, or a module with what is asked of one here; ``batches``: an ``encoders.TokenBatches`` or
    what makes such a module's batches.
    """

    network: Any
    batches: Any
    settings: Settings
    decisions: list[Decision]
    items: Sequence[Any]
    family: str = field(default="network", kw_only=True)
    precision: str = field(default="fp32", kw_only=True)
    costs: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.costs = [self.batches.cost(item) for item in self.items]

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self.network
        return module

    @property
    def pads(self) -> bool:
        return getattr(self.batches, "first_position", None) is None

    @property
    def architecture(self) -> str:
        return str(self.network.architecture)

    @property
    def parameters(self) -> int:
        return int(self.network.parameters_when_saved)

    def use_precision(self, precision: str) -> bool:
        self.precision = precision
        return True

    def use_device(self, device: torch.device) -> bool:
        if isinstance(self.network, Transformer):
            self.module.to(device)
        return devices.of(self.module) == device

    def recompute(self) -> bool:
        return bool(self.network.recompute())

    def stepped(self, learning_rate: float) -> None:
        self.network.stepped(learning_rate, self.settings.weight_decay)

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def logits(self, items: Sequence[Any]) -> Tensor:
        """What the head says of them, in fp32 whatever the precision of the products."""
        with devices.products_in(self.precision, self.module):
            logits: Tensor = self.network(self.batches.collate(items))
        return logits.float()

    def save(self, folder: Path) -> None:
        self.batches.save(folder)
        self.network.save(folder)


Split = Callable[[Tensor, Sequence[Any]], Sequence[Any]]


@torch.inference_mode()
def told_of(network: nn.Module, batches: Any, items: Sequence[Any], check: Callable[[], None], split: Split) -> list[Any]:
    """What a network says of each item, in their order; computed in batches of like length. ``split``: a batch's numbers by item."""
    network.eval()
    order = sorted(range(len(items)), key=lambda place: batches.cost(items[place]))
    found: list[Any] = [None] * len(items)
    for start in range(0, len(order), SCORING_BATCH):
        check()
        places = order[start : start + SCORING_BATCH]
        picked = [items[place] for place in places]
        for place, told in zip(places, split(network(batches.collate(picked)), picked), strict=True):
            found[place] = told
    return found


def by_tokens(values: Tensor, items: Sequence[Item]) -> list[Tensor]:
    """Numbers told of tokens, parted by sequence: [tokens of it, …] each."""
    return list(torch.split(values, [len(ids) for ids, _ in items]))
