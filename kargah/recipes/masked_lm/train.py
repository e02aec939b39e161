"""Train a masked language model: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kargah.kit import files
from kargah.recipes.masked_lm.data import MaskedData, prepare
from kargah.recipes.measures import FloatArray
from kargah.recipes.runtime import Baseline, Request, Task
from kargah.recipes.splits import IntArray

if TYPE_CHECKING:
    from kargah.recipes.masked_lm.tokens import Tokens
    from kargah.recipes.runtime import Prepared

__all__ = ["BASELINE_LIBRARIES", "baselines", "build", "prepare"]

BASELINE_LIBRARIES: tuple[str, ...] = ()
_FILLS_KEPT = 20


class Frequencies:
    """Every gap is filled by the tokens that are frequent anyway, counted with one for each token of the vocabulary."""

    name = family = "frequency"
    architecture = "unigram"

    def __init__(self, tokens: Tokens, train_rows: IntArray) -> None:
        self._tokens = tokens
        self._shares = tokens.frequencies(train_rows)

    @property
    def parameters(self) -> int:
        return len(self._shares)

    def scores(self, rows: IntArray) -> FloatArray:
        best, found = int(self._shares.argmax()), []
        for row in rows.tolist():
            wanted = self._tokens.items[row][0][self._tokens.fixed_places(row)]
            found.append((-np.log(self._shares[wanted]).sum(), len(wanted), (wanted == best).sum()))
        return np.array(found, dtype=np.float64).reshape(-1, 3)

    def save(self, folder: Path) -> None:
        first = np.argsort(-self._shares, kind="stable")[:_FILLS_KEPT]
        fills = [{"text": self._tokens.tokenizer.decode([token]).strip(), "score": float(self._shares[token])} for token in first]
        files.write_json(folder / "frequency.json", {"fills": fills})


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, MaskedData)
    data = prepared

    def fit() -> Baseline:
        from kargah.recipes.masked_lm.tokens import tokens_of

        return Frequencies(tokens_of(data, request), data.train_rows)

    yield fit


def build(prepared: Prepared, request: Request) -> Task:
    """Torch is imported here and not before: what was refused until now was refused in a second."""
    from kargah.recipes.masked_lm.task import build_task

    assert isinstance(prepared, MaskedData)
    return build_task(prepared, request)
