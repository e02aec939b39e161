"""Words as pieces of a transformer's tokenizer: a word is told by its first piece, and a long row is read through windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kargah.recipes.encoders import Batch, Item, TokenBatches, item_of

#: Of a window, the share that it has in common with the next: what stands at its edge is seen with company in the other.
_SHARED = 4


@dataclass(frozen=True)
class Row:
    """``windows``: its sequences. ``firsts``: for each word the place of its first piece, counted over all windows one after another."""

    windows: list[Item]
    firsts: list[int]


class PieceBatches(TokenBatches):
    """A row longer than ``max_length`` is several windows, and each word is told where it stands furthest from an edge."""

    def encode(self, rows: Sequence[Sequence[str]], check: Callable[[], None]) -> list[Row]:
        items: list[Row] = []
        for start in range(0, len(rows), 500):
            check()
            items += self._encoded([[word or self.tokenizer.unk_token for word in row] for row in rows[start : start + 500]])
        return items

    def _encoded(self, rows: list[list[str]]) -> list[Row]:
        found = self.tokenizer(
            rows, is_split_into_words=True, truncation=True, max_length=self.max_length, stride=(self.max_length - 2) // _SHARED,
            return_overflowing_tokens=True, return_token_type_ids=True,
        )  # fmt: skip
        windows: list[list[int]] = [[] for _ in rows]
        for window, row in enumerate(found["overflow_to_sample_mapping"]):
            windows[row].append(window)
        return [self._row(found, own, len(words)) for own, words in zip(windows, rows, strict=True)]

    def _row(self, found: Any, windows: list[int], words: int) -> Row:
        firsts, depths, before = [0] * words, [-1] * words, 0
        for window in windows:
            word_of = found.word_ids(window)
            for place, word in enumerate(word_of):
                if word is None or (place and word_of[place - 1] == word):
                    continue
                depth = min(place, len(word_of) - 1 - place)
                cut = window != windows[0] and (place == 0 or word_of[place - 1] is None)  # maybe no first piece: the window begins in it
                if depths[word] < 0 or (depth > depths[word] and not cut):
                    firsts[word], depths[word] = before + place, depth
            before += len(word_of)
        return Row([item_of(found["input_ids"][window], found["token_type_ids"][window]) for window in windows], firsts)

    def cost(self, item: Any) -> int:
        return sum(len(ids) for ids, _ in item.windows)

    def collate(self, items: Sequence[Any]) -> Batch:
        return super().collate([window for item in items for window in item.windows])

    def places(self, items: Sequence[Row]) -> list[list[int]]:
        """Which of a batch's logits are those of each item's words."""
        found, before = [], 0
        for item in items:
            found.append([before + first for first in item.firsts])
            before += self.cost(item)
        return found
