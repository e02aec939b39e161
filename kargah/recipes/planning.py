"""How a training is fitted to the machine: how many rows go through the network at once, what memory each part takes. Arithmetic only.

What a step learns from is never changed here: a batch that does not fit goes through in several passes whose gradients add up.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from kargah.recipes.runtime import Decision

#: Of what is free: others want memory too, and what passes between two layers is counted nowhere.
USABLE_SHARE = 0.85
#: Weights, and two moments of each gradient.
_ADAM_MOMENTS = 2


@dataclass(frozen=True)
class Footprint:
    """Memory of a training by part. ``base``: the process with its libraries and data; ``kept``: copies of the weights that learn,
    the best ones and those of a checkpoint."""

    base_bytes: int = 0
    weights_bytes: int = 0
    gradients_bytes: int = 0
    optimizer_bytes: int = 0
    activations_bytes: int = 0
    kept_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Network:
    """What was found of a network: the bytes of its weights and of those that learn, and of what its ``longest`` row leaves for the
    way back."""

    weights_bytes: int
    trained_bytes: int
    row_bytes: int
    longest: int

    def activations_bytes(self, tokens: int) -> int:
        """Of a pass of so many tokens; of shorter rows it is a little less."""
        return self.row_bytes * tokens // max(1, self.longest)


@dataclass(frozen=True)
class Passes:
    """``rows`` of a pass at most; ``recomputed``: activations are made again on the way back; ``fits``: even one row does."""

    rows: int
    recomputed: bool
    fits: bool
    footprint: Footprint
    free_bytes: int
    batch_size: int

    def decisions(self) -> list[Decision]:
        free = {"free_bytes": self.free_bytes, "needed_bytes": self.footprint.total_bytes - self.footprint.base_bytes}
        rows = {"rows": self.rows, "batch_size": self.batch_size, **free}
        why = "why.whole_batch" if self.rows == self.batch_size else "why.batch_in_passes" if self.fits else "why.memory_short"
        again = "why.recomputed" if self.recomputed else "why.not_recomputed"
        return [
            Decision("micro_batch_size", self.rows, "adapted", why, rows),
            Decision("gradient_checkpointing", self.recomputed, "adapted", again, free),
        ]


def footprint(network: Network, tokens: int, base_bytes: int, keeps_checkpoints: bool) -> Footprint:
    """With passes of at most ``tokens``."""
    trained = network.trained_bytes
    checkpoint = (1 + _ADAM_MOMENTS) * trained if keeps_checkpoints else 0
    return Footprint(
        base_bytes=base_bytes,
        weights_bytes=network.weights_bytes,
        gradients_bytes=trained,
        optimizer_bytes=_ADAM_MOMENTS * trained,
        activations_bytes=network.activations_bytes(tokens),
        kept_bytes=trained + checkpoint,
    )


def heaviest(costs: Sequence[int], rows: int, pads: bool) -> int:
    """Tokens of the largest pass that can come: the longest rows together."""
    longest = sorted(costs, reverse=True)[:rows]
    return len(longest) * longest[0] if pads and longest else sum(longest)


def passes(network: Network, costs: Sequence[int], batch_size: int, pads: bool, base_bytes: int, free_bytes: int, keeps: bool) -> Passes:
    """As many rows at once as ``free_bytes`` hold, up to the batch: more at once is quicker. The weights are there already."""

    def of(rows: int) -> Footprint:
        return footprint(network, heaviest(costs, rows, pads), base_bytes, keeps)

    room = USABLE_SHARE * free_bytes - replace(of(0), base_bytes=0, weights_bytes=0).total_bytes
    rows = batch_size
    while rows > 1 and of(rows).activations_bytes > room:
        rows = -(-rows // 2)
    return Passes(rows, False, of(rows).activations_bytes <= room, of(rows), free_bytes, batch_size)
