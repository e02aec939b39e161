"""Only the vectors of tokens that occur are trained: exact, and for a multilingual vocabulary most of the memory.

AdamW leaves the row of a token that never occurs as it was, but for weight decay: its gradient and both moments are zero.
So an embedding of the tokens that do occur, trained alone, ends with the same rows; those left out only decay, by one
factor common to all. Not for embeddings that are tied to an output layer: there every row has a gradient.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kargah.engine.packing import Numbers


class CompactVocabulary(nn.Module):
    """Stands between token ids and the rows that are trained. The rows left out, which stay with the processor, are to be multiplied by
    ``decay``."""

    decay: Tensor

    def __init__(self, full: Tensor, used: Tensor) -> None:
        super().__init__()
        self._full = full
        self._used = used
        self._decayed = 1.0  # what the rows left out were multiplied by already
        self._row_of = torch.full((len(full),), -1, dtype=torch.int64)
        self._row_of[used] = torch.arange(len(used))
        self.register_buffer("decay", torch.ones((), dtype=torch.float64))

    @property
    def rows_left_out(self) -> int:
        return len(self._full) - len(self._used)

    def rows_of(self, ids: Tensor) -> Tensor:
        """The trained rows of ``ids``. A token that was not announced gives -1, which no embedding takes."""
        return self._row_of[ids]

    def stepped(self, learning_rate: float, weight_decay: float) -> None:
        """To be called after each optimizer step, with its settings for the embedding."""
        self.decay *= 1.0 - learning_rate * weight_decay

    def restored(self, trained: Tensor) -> Tensor:
        """The whole embedding [vocabulary, width], the trained rows in their places: in the memory of the one that it began as.

        To be called at the end of a training; once more gives the same.
        """
        if (decay := float(self.decay)) != self._decayed:
            self._full *= decay / self._decayed
            self._decayed = decay
        self._full[self._used] = trained.detach().to(self._full.device)
        return self._full


def compact(model: Any, sequences: Iterable[Numbers]) -> CompactVocabulary | None:
    """Leave in ``model``, a PreTrainedModel, only the rows of tokens in ``sequences``. None where it is not exact or saves little."""
    embedding = model.get_input_embeddings()
    if type(embedding) is not nn.Embedding or embedding.max_norm is not None or embedding.sparse or embedding.scale_grad_by_freq:
        return None
    full = embedding.weight
    if _is_shared(model, full):
        return None
    used = torch.from_numpy(_distinct(sequences, len(full)))
    if 2 * len(used) > len(full):
        return None
    small = nn.Embedding(len(used), embedding.embedding_dim, _weight=full.detach()[used].clone())
    _keep_padding_silent(small, embedding.padding_idx, used)
    model.set_input_embeddings(small)
    return CompactVocabulary(full.detach(), used)


def _is_shared(model: nn.Module, weight: Tensor) -> bool:
    """Whether another module of the model has the same tensor."""
    return sum(parameter is weight for _, parameter in model.named_parameters(remove_duplicate=False)) > 1


def _distinct(sequences: Iterable[Numbers], vocabulary: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The tokens that occur, in their order."""
    occurs = np.zeros(vocabulary, dtype=bool)
    for sequence in sequences:
        occurs[np.asarray(sequence, dtype=np.int64)] = True
    return np.flatnonzero(occurs)


def _keep_padding_silent(small: nn.Embedding, padding: int | None, used: Tensor) -> None:
    """The padding's row has no gradient in the whole embedding, so it has none here."""
    if padding is not None and (places := (used == padding).nonzero()).numel():
        small.padding_idx = int(places[0, 0])
