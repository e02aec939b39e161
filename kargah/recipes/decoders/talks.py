"""Columns as conversations, and conversations as tokens with what the assistant says marked. No torch here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kargah.recipes.decoders.chat import ASSISTANT, SPEAKERS, Span, Turn, rendered
from kargah.recipes.decoders.tokens import Sample, Tokens, Vocabulary, bytes_before
from kargah.recipes.splits import IntArray
from kargah.recipes.token_rows import Check

Clean = Callable[[Any], str]
Talk = tuple[Turn, ...]


def talk_of(row: dict[str, Any], clean: Clean) -> Talk | None:
    """The conversation of a row by role; None where nobody can learn from it: no answer, an empty word, an unknown speaker."""
    turns = _messages(row["messages"], clean) if "messages" in row else _pair(row, clean)
    if turns and clean(row.get("system")) and turns[0]["role"] != "system":
        turns = [{"role": "system", "content": clean(row["system"])}, *turns]
    return tuple(turns) if turns and is_whole(turns) else None


def is_whole(turns: Sequence[Turn]) -> bool:
    """Somebody speaks before the assistant does, everybody is known and says something (the system may keep silent)."""
    first = next((index for index, turn in enumerate(turns) if turn["role"] == ASSISTANT), 0)
    said = all(turn["content"] for turn in turns if turn["role"] != "system")
    return said and all(turn["role"] in SPEAKERS for turn in turns) and any(turn["role"] != "system" for turn in turns[:first])


def _messages(value: Any, clean: Clean) -> list[Turn]:
    turns = value if isinstance(value, list) else []
    return [{"role": str(turn.get("role")), "content": clean(turn.get("content"))} for turn in turns if isinstance(turn, dict)]


def _pair(row: dict[str, Any], clean: Clean) -> list[Turn]:
    if "instruction" in row:
        asked = "\n\n".join(filter(None, (clean(row["instruction"]), clean(row.get("input")))))
        answer = clean(row["output"])
    else:
        asked, answer = clean(row["prompt"]), clean(row["completion"])
    return [{"role": "user", "content": asked}, {"role": ASSISTANT, "content": answer}]


def group_of(talk: Talk) -> tuple[str, ...]:
    return tuple(turn["content"] for turn in talk)


def texts_of(talks: Sequence[Talk]) -> list[str]:
    """What is said in them, for a tokenizer to be made of."""
    return [turn["content"] for talk in talks for turn in talk]


def samples(talks: Sequence[Talk], vocabulary: Vocabulary, check: Check) -> list[Sample]:
    """Each conversation as one sequence, uncut. Raises ChatTemplateUnfit."""
    texts: list[str] = []
    spans: list[list[Span]] = []
    for number, talk in enumerate(talks):
        if number % 500 == 0:
            check()
        text, found = rendered(vocabulary.tokenizer, talk)
        texts.append(text)
        spans.append(found)
    encoded = vocabulary.encoded(texts, check)
    return [
        Sample((marked(ids, places, own, text),), _bytes(text, own)) for (ids, places), own, text in zip(encoded, spans, texts, strict=True)
    ]


def marked(ids: IntArray, places: IntArray, spans: Sequence[Span], text: str) -> Tokens:
    """``places``: the character that each token begins at. A token is learnt when it begins inside one of ``spans``."""
    inside = np.zeros(len(text) + 1, dtype=bool)
    for start, end in spans:
        inside[start:end] = True
    learnt = inside[places]
    learnt[:1] = False
    return Tokens(ids, learnt)


def _bytes(text: str, spans: Sequence[Span]) -> int:
    before = bytes_before(text)
    return int(sum(before[end] - before[start] for start, end in spans))


def cut(sample: Sample, length: int) -> Sample | None:
    """The first ``length`` tokens of each sequence; None where nothing is learnt of one. Bytes are cut by the share of learnt tokens."""
    left = tuple(Tokens(whole.ids[:length], whole.learnt[:length]) for whole in sample.sequences)
    kept, all_of_it = (sum(int(one.learnt.sum()) for one in sequences) for sequences in (left, sample.sequences))
    return Sample(left, round(sample.text_bytes * kept / max(1, all_of_it))) if all(one.learnt.any() for one in left) else None


def ends_of(found: Sequence[Sample]) -> list[int]:
    """The token that ends an answer, where all the answers' last tokens agree on one."""
    last = {
        int(sequence.ids[np.flatnonzero(sequence.learnt)[-1]]) for sample in found for sequence in sample.sequences if sequence.learnt.any()
    }
    return list(last) if len(last) == 1 else []
