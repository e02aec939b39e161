"""The GPUs of a host: each is given whole, or by memory to several jobs that say how much they need."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class CardsWanted:
    """``memory_bytes``: of each; null: no other job on it."""

    count: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Cards:
    """``memory_bytes``: of each GPU by its id, 0 where nobody knows. ``left_bytes``: what is free of those that nobody has whole."""

    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    left_bytes: Mapping[str, int] = field(default_factory=dict)

    def fitting(self, wanted: CardsWanted) -> list[str]:
        """The fullest first where they are shared, so that others stay whole."""
        if wanted.memory_bytes is None:
            return [gpu for gpu, left in self.left_bytes.items() if left == self.memory_bytes[gpu]]
        fits = [gpu for gpu, left in self.left_bytes.items() if left >= wanted.memory_bytes]
        return sorted(fits, key=lambda gpu: self.left_bytes[gpu])

    def are_enough(self, wanted: CardsWanted) -> bool:
        """Whether an idle host would have them."""
        return sum(memory >= (wanted.memory_bytes or 0) for memory in self.memory_bytes.values()) >= wanted.count

    def without(self, gpus: Collection[str], memory_bytes: int | None) -> "Cards":
        """What is left once ``memory_bytes`` of each of ``gpus`` are given away; null: all of it."""
        left = {
            gpu: left - (memory_bytes or 0) if gpu in gpus else left
            for gpu, left in self.left_bytes.items()
            if gpu not in gpus or memory_bytes is not None
        }
        return replace(self, left_bytes=left)


def all_free(memory_bytes: Mapping[str, int]) -> Cards:
    return Cards(memory_bytes, memory_bytes)
