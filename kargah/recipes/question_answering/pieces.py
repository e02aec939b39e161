"""A question and its passage as sequences of a transformer: a long passage is read through windows that share a stride."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.encoders import Item, TokenBatches, item_of
from kargah.recipes.measures import FloatArray
from kargah.recipes.question_answering.texts import Asked

#: Tokens of a question at most: what is longer is cut, so that there is room for the passage.
LONGEST_QUESTION = 64
_LEAST_OF_PASSAGE = 8
_NEVER = -1e9


@dataclass(frozen=True)
class Window:
    """``offsets`` int64 [tokens, 2]: where each token stands in the read passage, (-1, -1) for one that is not of it. ``goal``: first and
    last token of the answer, (0, 0) where it is not in this window."""

    item: Item
    offsets: FloatArray
    goal: tuple[int, int]


@dataclass
class AnswerPieces(TokenBatches):
    """An item: the windows of a row."""

    stride: int = 0

    def encode(self, asked: Sequence[Asked], check: Callable[[], None]) -> list[list[Window]]:
        rows: list[list[Window]] = []
        for start in range(0, len(asked), 200):
            check()
            rows += self._encoded(asked[start : start + 200])
        return rows

    def _encoded(self, asked: Sequence[Asked]) -> list[list[Window]]:
        found = self.tokenizer(
            self._short([one.question for one in asked]), [one.passage.read or " " for one in asked], truncation="only_second",
            max_length=self.max_length, stride=self.stride, return_overflowing_tokens=True, return_offsets_mapping=True,
            return_token_type_ids=True,
        )  # fmt: skip
        rows: list[list[Window]] = [[] for _ in asked]
        for window, row in enumerate(found["overflow_to_sample_mapping"]):
            own = [field == 1 for field in found.sequence_ids(window)]
            offsets = np.where(np.array(own)[:, None], np.array(found["offset_mapping"][window], dtype=np.int64), -1)
            item = item_of(found["input_ids"][window], found["token_type_ids"][window])
            rows[row].append(Window(item, offsets, _goal(offsets, asked[row])))
        return rows

    def _short(self, questions: Sequence[str]) -> list[str]:
        room = min(LONGEST_QUESTION, self.max_length - _LEAST_OF_PASSAGE - self.stride - 4)
        found = self.tokenizer(list(questions), add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return [text if len(places) <= room else text[: places[room - 1][1]] for text, places in zip(questions, found, strict=True)]

    def cost(self, item: Any) -> int:
        return sum(len(window.item[0]) for window in item)

    def collate(self, items: Sequence[Any]) -> Any:
        return super().collate([window.item for row in items for window in row])


def _goal(offsets: FloatArray, asked: Asked) -> tuple[int, int]:
    """Of the first reference answer, where it is whole in the window."""
    if not asked.answers:
        return 0, 0
    _, start, end = asked.answers[0]
    inside = np.flatnonzero((offsets[:, 0] >= 0) & (offsets[:, 1] > start) & (offsets[:, 0] < end))
    passage = np.flatnonzero(offsets[:, 0] >= 0)
    if not len(inside) or offsets[passage[0], 0] > start or offsets[passage[-1], 1] < end:
        return 0, 0
    return int(inside[0]), int(inside[-1])


def best_span(logits: FloatArray, offsets: FloatArray, longest: int) -> tuple[float, int, int]:
    """``logits`` [tokens, 2] → (sum of the logits, start and end in the read passage) of the likeliest piece of at most ``longest``
    tokens; an empty passage gives an empty piece that nothing is worse than."""
    passage = np.flatnonzero(offsets[:, 0] >= 0)
    if not len(passage):
        return _NEVER, 0, 0
    first, last = logits[passage, 0], logits[passage, 1]
    sums = first[:, None] + last[None, :]
    apart = np.arange(len(passage))[None, :] - np.arange(len(passage))[:, None]
    sums = np.where((apart >= 0) & (apart < longest), sums, _NEVER)
    start, end = np.unravel_index(int(sums.argmax()), sums.shape)
    return float(sums[start, end]), int(offsets[passage[start], 0]), int(offsets[passage[end], 1])
