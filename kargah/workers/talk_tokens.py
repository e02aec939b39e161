"""What a model will see of conversations: each as the tokenizer's own template writes it, and which of its tokens are learnt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes.decoders import talks, tokens
from kargah.recipes.decoders.chat import rendered
from kargah.recipes.table import normaliser_of
from kargah.workers import look, statistics

Wish = dict[str, Any]
Told = dict[str, Any]


class TalkSeer:
    """A row by role → its text in the model's form, tokens, and what becomes of each."""

    def __init__(self, folder: Path, normaliser: dict[str, Any] | None) -> None:
        self.vocabulary = tokens.of_base(folder, normaliser)
        self.about: dict[str, Any] = files.read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        self._normaliser = normaliser_of(normaliser)
        self._special = set(self.vocabulary.tokenizer.all_special_ids)

    def clean(self, value: Any) -> str:
        text = "" if value is None else str(value)
        return self._normaliser.apply(text) if self._normaliser else text.strip()

    def seen(self, row: dict[str, Any]) -> Told | None:
        """None for a row that nobody can learn from."""
        talk = talks.talk_of(row, self.clean)
        if talk is None:
            return None
        text, spans = rendered(self.vocabulary.tokenizer, talk)
        found = self.vocabulary.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        places = np.array([start for start, _ in found.offsets], dtype=np.int64)
        learnt = talks.marked(np.array(found.ids, dtype=np.int64), places, spans, text).learnt
        shown = [text[start:end] or token for token, (start, end) in zip(found.tokens, found.offsets, strict=True)]
        words = sum(len(turn["content"].split()) for turn in talk)
        return {"ids": found.ids, "shown": shown, "learnt": learnt, "words": words, "texts": [turn["content"] for turn in talk]}

    def row(self, number: int, told: Told | None, max_length: int) -> Told:
        if told is None:
            return {"number": number, "texts": [], "changed": False, "tokens": [], "length": 0}
        seen = [self._token(place, told, max_length) for place in range(len(told["ids"]))]
        return {"number": number, "texts": told["texts"], "changed": False, "tokens": seen, "length": len(seen)}

    def _token(self, place: int, told: Told, max_length: int) -> Told:
        number = told["ids"][place]
        state = "learnt" if told["learnt"][place] else "special" if number in self._special else "kept"
        return {"text": told["shown"][place], "id": number, "state": "cut" if place >= max_length else state}


def told(file: Any, wish: Wish, seer: TalkSeer, every: int, limit: int, suggested: Any) -> Told:
    """Of every ``every``-th row the lengths and shares, and the wished rows token by token. ``suggested``: lengths, limit → a length."""
    total, roles = file.metadata.num_rows, wish["talk"]
    sample = [found for row in _rows(file, roles, range(0, total, every)) if (found := seer.seen(row)) is not None]
    lengths = sorted(len(found["ids"]) for found in sample)
    fitting = suggested(lengths, limit)
    max_length = min(int(wish["max_length"] or fitting), limit)
    shown = range(wish["offset"], min(total, wish["offset"] + wish["limit"]))
    asked = zip(shown, _rows(file, roles, shown), strict=True)
    return {
        "total": total,
        "rows": [seer.row(index + 1, seer.seen(row), max_length) for index, row in asked],
        "sampled": len(range(0, total, every)),
        "every": every,
        "max_length": max_length,
        "suggested": fitting,
        "limit": limit,
        "longest": lengths[-1] if lengths else 0,
        "cut": sum(length > max_length for length in lengths),
        "cut_at_suggested": sum(length > fitting for length in lengths),
        "words": sum(found["words"] for found in sample),
        "tokens": sum(lengths),
        "unknown": sum(number == seer.vocabulary.tokenizer.unk_token_id for found in sample for number in found["ids"]),
        "bins": statistics.bins_of(lengths),
        "learnt": sum(int(found["learnt"][:max_length].sum()) for found in sample),
        "lost": len(range(0, total, every)) - sum(bool(found["learnt"][:max_length].any()) for found in sample),
    }


def _rows(file: Any, roles: dict[str, str], wanted: Sequence[int]) -> list[dict[str, Any]]:
    found = look.rows_at(file, list(wanted), list(roles.values()))
    return [{role: found[index][column] for role, column in roles.items()} for index in wanted]
