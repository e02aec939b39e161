"""Several sequences as one: their real tokens one after another, without padding."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """``input_ids``, ``position_ids`` and ``token_type_ids`` are [1, tokens]; ``lengths`` has the tokens of each sequence.

    Positions begin anew in each sequence, at ``first_position`` (families that keep room for padding begin later).
    """

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None, first_position: int = 0) -> "Packed":
        lengths = tuple(len(row) for row in ids)
        positions = np.concatenate([np.arange(length) for length in lengths]) + first_position
        kinds = _joined(types) if types is not None else torch.zeros(1, len(positions), dtype=torch.int64)
        return cls(_joined(ids), torch.from_numpy(positions)[None], kinds, lengths)

    @property
    def starts(self) -> Tensor:
        """The place of each sequence's first token, [sequences]."""
        return torch.tensor([0, *accumulate(self.lengths[:-1])])

    def arguments(self) -> dict[str, Any]:
        """What a model of transformers is called with; ``sequence_lengths`` travels to the attention function."""
        return {"input_ids": self.input_ids, "position_ids": self.position_ids, "sequence_lengths": self.lengths}


def _joined(rows: Sequence[Sequence[int]]) -> Tensor:
    return torch.from_numpy(np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]))[None]
