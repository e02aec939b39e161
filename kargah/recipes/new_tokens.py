"""New tokens for a base model that parts the user's words into many pieces: pieces that often stand side by side in a word become one.

The pieces of the training texts are merged as byte-pair encoding merges letters (Sennrich et al. 2016), and written down as the base
tokenizer's own kind wants it: merges behind its own, entries of a WordPiece vocabulary, or pieces of a Unigram model. A new token's
vector, and its place in a head over tokens, begins as the mean of those of the pieces that it replaces.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from kargah.recipes.errors import BaseModelUnusable
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.tokenizing import with_backend

_AT_ONCE = 500
#: What occurs less often would hardly learn its vector.
_LEAST_USES = 5
#: Pieces are merged as letters of a made-up alphabet, which begins beyond all spaces.
_FIRST_LETTER = 0x10000
_WORD_MARK = "▁"
Texts = Sequence[str] | Sequence[Sequence[str]]
Check = Callable[[], None]


@dataclass(frozen=True)
class Growth:
    """``tokenizer``: the base's with the new tokens, whose ids begin at ``first``. ``pieces``: of each the ids that it replaces.
    ``before``, ``after``: tokens a word of the training texts."""

    tokenizer: Any
    first: int
    pieces: list[list[int]]
    before: float
    after: float

    @property
    def decision(self) -> Decision:
        return Decision("new_tokens", len(self.pieces), "chosen", "why.new_tokens", {"before": self.before, "after": self.after})


def learnt(request: Request, tokenizer: Any, texts: Texts) -> Growth | None:
    """None where none are asked for. ``texts``: as the training gives them to the tokenizer, also as lists of words. The same texts give
    the same tokens. Raises BaseModelUnusable for a tokenizer that is neither BPE nor WordPiece nor Unigram."""
    wanted = getattr(request.spec, "new_tokens", None)
    if wanted is None:
        return None
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    if described["model"]["type"] not in _WRITERS:
        raise BaseModelUnusable(field="base_model", reason="tokenizer", detail=described["model"]["type"])
    merged = _merged(_words_in_pieces(tokenizer, texts, request.check), wanted)
    request.check()
    first, pieces = _written(described["model"], merged, tokenizer.get_vocab())
    grown = with_backend(tokenizer, Tokenizer.from_str(json.dumps(described)))
    words = max(1, sum(len(text.split()) if isinstance(text, str) else len(text) for text in texts))
    before, after = (round(sum(len(found.ids) for found in _encoded(of, texts, request.check)) / words, 2) for of in (tokenizer, grown))
    request.log("train.new_tokens", added=len(pieces), before=before, after=after)
    return Growth(grown, first, pieces, before, after)


def added(request: Request, model: Any, tokenizer: Any, texts: Texts) -> tuple[Any, list[Decision]]:
    """(the tokenizer to use, what is to be told), the vectors being in ``model``. Raises what ``learnt`` does."""
    growth = learnt(request, tokenizer, texts)
    if growth is None:
        return tokenizer, []
    add_rows(model, growth)
    return growth.tokenizer, [growth.decision]


def add_rows(model: Any, growth: Growth) -> None:
    """Room in ``model``, a PreTrainedModel, for the new tokens, each the mean of what it replaces; what was tied stays tied."""
    import torch

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = max(len(embedding.weight), growth.first + len(growth.pieces))
    found = [embedding.weight, getattr(head, "weight", None), getattr(head, "bias", None)]
    for parameter in {id(one): one for one in found if one is not None}.values():  # one that is tied comes once
        grown = parameter.data.new_zeros(rows, *parameter.shape[1:])
        grown[: len(parameter)] = parameter.data
        for number, pieces in enumerate(growth.pieces, growth.first):
            grown[number] = parameter.data[torch.tensor(pieces)].mean(dim=0)
        parameter.data = grown
    embedding.num_embeddings = model.config.get_text_config().vocab_size = rows
    if head is not None:
        head.out_features = rows
    if hasattr(model, "vocab_size"):
        model.vocab_size = rows


def _encoded(tokenizer: Any, texts: Texts, check: Check) -> Iterator[Any]:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    in_words = bool(texts) and not isinstance(texts[0], str)
    for start in range(0, len(texts), _AT_ONCE):
        check()
        yield from backend.encode_batch(list(texts[start : start + _AT_ONCE]), is_pretokenized=in_words, add_special_tokens=False)


def _words_in_pieces(tokenizer: Any, texts: Texts, check: Check) -> Counter[tuple[int, ...]]:
    """How often each word occurs, but for those that are one piece. What is special, unknown or a bare byte is part of no word."""
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    counts: Counter[tuple[int, ...]] = Counter()
    for found in _encoded(tokenizer, texts, check):
        words: list[list[int]] = [[]]
        before = None
        for token, text, word in zip(found.ids, found.tokens, found.word_ids, strict=True):
            apart = token in special or (text.startswith("<0x") and text.endswith(">"))
            if apart or word != before or text.startswith(_WORD_MARK):
                words.append([])
            if not apart:
                words[-1].append(token)
            before = word
        counts.update(tuple(word) for word in words if len(word) > 1)
    return counts


def _merged(counts: Mapping[tuple[int, ...], int], wanted: int) -> list[tuple[list[int], list[int]]]:
    """(pieces of the left side, of the right side) of each merge, the commonest first."""
    known = sorted({token for word in counts for token in word})
    letter = {token: chr(_FIRST_LETTER + number) for number, token in enumerate(known)}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=len(known) + wanted, min_frequency=_LEAST_USES, show_progress=False)
    tokenizer.train_from_iterator((" ".join(["".join(letter[token] for token in word)] * count) for word, count in counts.items()), trainer)
    sides = json.loads(tokenizer.to_str())["model"]["merges"]
    left, right = ([[known[ord(sign) - _FIRST_LETTER] for sign in pair[side]] for pair in sides] for side in (0, 1))
    return list(zip(left, right, strict=True))


def _written(model: dict[str, Any], merged: Sequence[tuple[list[int], list[int]]], taken: dict[str, int]) -> tuple[int, list[list[int]]]:
    """Write the merges into ``model``, a tokenizer's as JSON; return (the first new id, the pieces of each new token). ``taken``: all
    tokens there are, by their ids."""
    texts, prefix = {number: text for text, number in taken.items()}, model.get("continuing_subword_prefix") or ""

    def joined(pieces: Sequence[int]) -> str:
        return texts[pieces[0]] + "".join(texts[piece].removeprefix(prefix) for piece in pieces[1:])

    fresh: dict[str, list[int]] = {}
    for left, right in merged:
        if (text := joined([*left, *right])) not in taken:
            fresh.setdefault(text, [*left, *right])
    first = max(taken.values()) + 1
    _WRITERS[model["type"]](model, fresh, taken)
    if model["type"] == "BPE":
        model["merges"] += [[joined(left), joined(right)] for left, right in merged]
    return first, list(fresh.values())


def _name(model: dict[str, Any], fresh: dict[str, list[int]], taken: dict[str, int]) -> None:
    """Added tokens have ids behind the model's own: they are named in it as well, so that loading it again gives them the same."""
    first = max(taken.values()) + 1
    model["vocab"] = taken | {text: first + number for number, text in enumerate(fresh)}


def _score(model: dict[str, Any], fresh: dict[str, list[int]], taken: dict[str, int]) -> None:
    """A new piece is as likely as the rarest of those that it is made of: the most that it can be, and more than they are together."""
    listed: list[list[Any]] = model["vocab"]
    texts = {number: text for text, number in taken.items()}
    listed += [[texts.get(number, f"<unused{number}>"), 0.0] for number in range(len(listed), max(texts) + 1)]
    listed += [[text, min(listed[piece][1] for piece in pieces)] for text, pieces in fresh.items()]


_WRITERS: dict[str, Callable[[dict[str, Any], dict[str, list[int]], dict[str, int]], None]] = {
    "BPE": _name,
    "WordPiece": _name,
    "Unigram": _score,
}
