"""Passages as tokens, and which of them are masked when a model is measured: the same for every model of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kargah.recipes import new_tokens
from kargah.recipes.encoders import Item, TokenArray, TokenBatches, fast_tokenizer, fitting_length, items_of
from kargah.recipes.errors import BaseModelUnusable
from kargah.recipes.masked_lm.data import DEFAULT_MAX_LENGTH, MaskedData
from kargah.recipes.masked_lm.spec import MaskedLMSpec
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.tokenizing import base_tokenizer, train_tokenizer

VOCABULARY = 8_000


@dataclass
class Tokens:
    """``items``: (token ids, token type ids) by row of ``data.texts``. ``growth``: the new tokens among those of a base model's."""

    tokenizer: Any
    max_length: int
    decision: Decision
    items: Sequence[Item]
    seed: int
    share: float
    growth: new_tokens.Growth | None

    @cached_property
    def _special(self) -> TokenArray:
        return np.unique(np.array(self.tokenizer.all_special_ids, dtype=np.int32))

    def candidates(self, row: int) -> IntArray:
        """The places that may be masked: all but special tokens; the first where there is nothing else."""
        found = np.flatnonzero(~np.isin(self.items[row][0], self._special))
        return found if len(found) else np.zeros(1, dtype=np.int64)

    def masked_count(self, row: int) -> int:
        return max(1, round(self.share * len(self.candidates(row))))

    def fixed_places(self, row: int) -> IntArray:
        """What is masked of a row when models are measured: a function of the seed and the row alone."""
        places = np.random.default_rng((self.seed, row)).permutation(self.candidates(row))
        return np.sort(places[: self.masked_count(row)])

    def frequencies(self, rows: IntArray) -> FloatArray:
        """The share of each token of the vocabulary in these rows, float64, counted with one for each; special ones hardly any."""
        counts = np.bincount(np.concatenate([self.items[row][0] for row in rows]), minlength=len(self.tokenizer)) + 1.0
        counts[self._special] = 1.0
        return np.asarray(counts / counts.sum())

    def batches(self, first_position: int | None) -> TokenBatches:
        return TokenBatches(self.tokenizer, self.max_length, first_position)


def tokens_of(data: MaskedData, request: Request, longest: int | None = None) -> Tokens:
    """The same at every call. With a base model's tokenizer, or a teacher's, else one trained on the training passages. ``longest``: what
    these models take."""
    if data.tokens is None:
        data.tokens = _made(data, request, longest)
    found: Tokens = data.tokens
    return found


def _made(data: MaskedData, request: Request, longest: int | None) -> Tokens:
    spec = request.spec
    assert isinstance(spec, MaskedLMSpec)
    tokenizer, growth = _tokenizer(data, request)
    found = items_of(tokenizer, [data.texts], request.check, request.kept)
    max_length, decision = fitting_length(request, found.lengths, min(longest or DEFAULT_MAX_LENGTH, DEFAULT_MAX_LENGTH))
    max_length = min(max_length, longest or max_length)
    items = [_cut(item, max_length) for item in found] if (found.lengths > max_length).any() else found
    return Tokens(tokenizer, max_length, decision, items, spec.seed, spec.mask_share, growth)


def _cut(item: Item, max_length: int) -> Item:
    """The last token, which ends the sequence, stays."""
    ids, types = item
    return item if len(ids) <= max_length else (np.append(ids[: max_length - 1], ids[-1]), types[:max_length])


def _tokenizer(data: MaskedData, request: Request) -> tuple[Any, new_tokens.Growth | None]:
    """Raises BaseModelUnusable for one without a token that masks."""
    taught, normaliser = [data.texts[row] for row in data.train_rows], data.describe["normaliser"]
    folder = request.base_model or request.teacher_model
    if folder is None:
        size = getattr(request.spec, "vocab_size", None) or VOCABULARY
        return fast_tokenizer(train_tokenizer(taught, size, normaliser)), None
    tokenizer = base_tokenizer(folder, normaliser)
    if tokenizer.mask_token_id is None:
        raise BaseModelUnusable(field="base_model", reason="tokenizer", detail="mask_token")
    growth = new_tokens.learnt(request, tokenizer, taught)
    return growth.tokenizer if growth else tokenizer, growth
