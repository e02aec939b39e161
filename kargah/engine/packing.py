"""Several sequences as one: their real tokens one after another, without padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kargah.engine import products

Numbers = Sequence[int] | NDArray[Any]


class Lengths:
    """Of sequences, on their way through a model. Not a tuple: torch's compiler would make each layer anew for every number of them."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self._lengths = lengths

    def __iter__(self) -> Iterator[int]:
        return iter(self._lengths)


@dataclass(frozen=True)
class Packed:
    """``input_ids``, ``position_ids`` and ``token_type_ids`` are [1, tokens]; ``lengths`` has the tokens of each sequence.

    Positions begin anew in each sequence, at ``first_position`` (families that keep room for padding begin later). Behind the last
    one a few tokens may be repeated that belong to none of them, for rounder products: attention makes zeros of them, nobody reads them,
    and they get no gradient.
    """

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, ids: Sequence[Numbers], types: Sequence[Numbers] | None = None, first_position: int = 0) -> "Packed":
        lengths = tuple(len(row) for row in ids)
        positions = np.concatenate([np.arange(length) for length in lengths]) + first_position
        kinds = np.concatenate(types) if types is not None else np.zeros(len(positions))
        return cls(_rounded(np.concatenate(ids)), _rounded(positions), _rounded(kinds), lengths)

    @property
    def tokens(self) -> int:
        """How many there really are."""
        return sum(self.lengths)

    @property
    def starts(self) -> Tensor:
        """The place of each sequence's first token, [sequences]."""
        return torch.tensor([0, *accumulate(self.lengths[:-1])]).to(self.input_ids.device)

    def to(self, device: torch.device) -> "Packed":
        """Itself where it is there already."""
        if self.input_ids.device == device:
            return self
        ids, positions, types = (tensor.to(device) for tensor in (self.input_ids, self.position_ids, self.token_type_ids))
        return replace(self, input_ids=ids, position_ids=positions, token_type_ids=types)

    def arguments(self) -> dict[str, Any]:
        """What a model of transformers is called with; ``sequence_lengths`` travels to the attention function."""
        return {"input_ids": self.input_ids, "position_ids": self.position_ids, "sequence_lengths": Lengths(self.lengths)}


def _rounded(values: Any) -> Tensor:
    """int64 [1, tokens], with what fills up the rows of products."""
    missing = products.rows_missing(len(values))
    return torch.from_numpy(np.pad(np.asarray(values, dtype=np.int64), (0, missing), mode="edge"))[None]
