"""What a ``Task`` of a plain network answers to the loop where nothing special is to be said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kargah.recipes.runtime import Decision, Settings

if TYPE_CHECKING:
    import torch


@dataclass
class PlainTask:
    """In fp32, each row worth the same, batches not padded. A recipe adds ``costs``, ``loss``, ``scores`` and ``save``."""

    module: "torch.nn.Module"
    settings: Settings
    decisions: list[Decision]
    architecture: str
    family: str = field(default="network", kw_only=True)
    pads: bool = field(default=False, kw_only=True)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def use_precision(self, precision: str) -> bool:
        return precision == "fp32"

    def use_device(self, device: "torch.device") -> bool:
        return device.type == "cpu"

    def recompute(self) -> bool:
        return False

    def stepped(self, learning_rate: float) -> None:
        """Nothing but the module changes in a step."""
