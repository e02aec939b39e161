"""How a training is fitted to the machine: how many tokens go through the network at once, what memory each part takes. Arithmetic only.

What a step learns from is never changed here: an update whose samples do not fit at once goes through in several passes whose gradients
add up.
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
    """``tokens`` of a pass at most; ``whole``: what the largest that could come would have. ``recomputed``: activations are made again on
    the way back; ``fits``: even the longest row does. ``compares``: rows of a batch are compared with each other."""

    tokens: int
    whole: int
    recomputed: bool
    fits: bool
    footprint: Footprint
    free_bytes: int
    compares: bool = False

    def decisions(self) -> list[Decision]:
        free = {"free_bytes": self.free_bytes, "needed_bytes": self.footprint.total_bytes - self.footprint.base_bytes}
        again = "why.recomputed" if self.recomputed else "why.not_recomputed"
        return [
            Decision("micro_batch_tokens", self.tokens, "adapted", self._why(), {"tokens": self.tokens, "whole": self.whole, **free}),
            Decision("gradient_checkpointing", self.recomputed, "adapted", again, free),
        ]

    def _why(self) -> str:
        if not self.fits:
            return "why.memory_short"
        if self.tokens >= self.whole:
            return "why.whole_batch"
        return "why.compared_in_passes" if self.compares else "why.tokens_in_passes"


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


def passes(network: Network, whole: int, longest: int, base_bytes: int, free_bytes: int, keeps: bool) -> Passes:
    """As many tokens at once as ``free_bytes`` hold, up to the ``whole``: more at once is quicker. The weights are there already.

    No pass can have fewer than the ``longest`` row.
    """

    def of(tokens: int) -> Footprint:
        return footprint(network, tokens, base_bytes, keeps)

    room = USABLE_SHARE * free_bytes - replace(of(0), base_bytes=0, weights_bytes=0).total_bytes
    tokens = whole
    if of(whole).activations_bytes > room:
        tokens = max(longest, int(max(0.0, room) * network.longest / max(1, network.row_bytes)))
    return Passes(tokens, whole, False, of(tokens).activations_bytes <= room, of(tokens), free_bytes)


def tokens_of(rows: Sequence[int], costs: Sequence[int], pads: bool) -> int:
    """What goes through the network in one pass, padding included where there is any."""
    return len(rows) * max((costs[row] for row in rows), default=0) if pads else sum(costs[row] for row in rows)


def cut(rows: list[int], costs: Sequence[int], pads: bool, tokens: int | None, most_rows: int) -> list[list[int]]:
    """The passes of ``rows``, each at most so large; a row that is too long by itself has one of its own.

    What goes through at once keeps its order. What does not is taken by length, so that long rows meet long ones, and short ones are many.
    """
    if len(rows) <= most_rows and (tokens is None or tokens_of(rows, costs, pads) <= tokens):
        return [rows] if rows else []
    found: list[list[int]] = []
    held = 0
    for row in sorted(rows, key=lambda row: -costs[row]):
        together = (len(found[-1]) + 1) * costs[found[-1][0]] if found and pads else held + costs[row]
        if not found or len(found[-1]) == most_rows or (tokens is not None and together > tokens):
            found.append([row])
            held = costs[row]
        else:
            found[-1].append(row)
            held = together
    return found


def dealt(rows: list[int], costs: Sequence[int], hands: int) -> list[list[int]]:
    """Shares of about as many tokens, each in the order of ``rows``: the longest first, each to whoever has least."""
    if hands == 1:
        return [rows]
    shares: list[list[int]] = [[] for _ in range(hands)]
    held = [0] * hands
    for place in sorted(range(len(rows)), key=lambda place: -costs[rows[place]]):
        least = held.index(min(held))
        shares[least].append(place)
        held[least] += max(1, costs[rows[place]])
    return [[rows[place] for place in sorted(share)] for share in shares]
