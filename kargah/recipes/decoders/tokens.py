"""Texts as tokens for models that write: the tokenizer, of the data or the base model, and rows of tokens with what is learnt of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from kargah.recipes.decoders.chat import SIMPLE_TEMPLATE, SPEAKERS
from kargah.recipes.measures import FloatArray
from kargah.recipes.new_tokens import Growth
from kargah.recipes.splits import IntArray
from kargah.recipes.token_rows import Asked, Check, KeptTokens, Row, TokenRows, rows_of
from kargah.recipes.tokenizing import baked_steps, base_tokenizer

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
_SPECIAL = [PAD, BEGIN, END, *SPEAKERS.values()]
#: GPT-4's way to part words, with marks and half-spaces as parts of words: «می‌شود» is one.
_WORDS = r" ?[\p{L}\p{M}\u200c]+|\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}\u200c]+|\s+(?!\S)|\s+"
#: The trainer's steps between bytes that never occurred are 0.0001 each, and there are 256.
_RANKED = 0.03


@dataclass(frozen=True)
class Tokens:
    """One sequence. ``ids``: int32; ``learnt``: bool [tokens]; the first token is never learnt, for nothing stands before it."""

    ids: IntArray
    learnt: FloatArray


@dataclass(frozen=True)
class Sample:
    """A row of training: sequences that are seen at once and never see each other. ``text_bytes``: of what is learnt."""

    sequences: tuple[Tokens, ...]
    text_bytes: int

    @property
    def cost(self) -> int:
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True)
class Vocabulary:
    """``tokenizer``: a fast one of transformers, our normaliser inside. ``growth``: the new tokens among those of a base model's.
    ``kept``: where tokens of texts are kept for a next time."""

    tokenizer: Any
    growth: Growth | None = None
    kept: KeptTokens | None = None

    @cached_property
    def prefix(self) -> list[int]:
        """What the tokenizer itself puts before a text: the token of the beginning, or nothing."""
        begin = self.tokenizer.bos_token_id
        return [begin] if begin is not None and self.tokenizer("")["input_ids"][:1] == [begin] else []

    @property
    def end(self) -> int | None:
        end: int | None = self.tokenizer.eos_token_id
        return end

    def encoded(self, texts: Sequence[str], check: Check) -> TokenRows:
        """(ids, the character that each token begins at) of each text, without special tokens of the tokenizer's own."""
        asked = Asked(self.tokenizer, [texts], special=False)

        def make() -> Iterator[Row]:
            for found in asked.answers(check, offsets=True):
                places = np.fromiter((place for place, _ in found.offsets), dtype=np.int32, count=len(found.offsets))
                yield np.array(found.ids, dtype=np.int32), places

        return rows_of(asked, self.kept, (np.int32, np.int32), make)

    def save(self, folder: Path, max_length: int) -> None:
        self.tokenizer.model_max_length = max_length
        self.tokenizer.save_pretrained(str(folder))


def of_base(folder: Path, normaliser: dict[str, Any] | None) -> Vocabulary:
    """A base model's; one that knows no form for talks gets the simple one. Raises BaseModelUnusable."""
    vocabulary = Vocabulary(base_tokenizer(folder, normaliser, pads=False))
    if not vocabulary.tokenizer.chat_template:
        vocabulary.tokenizer.chat_template = ("{{ bos_token }}" if vocabulary.prefix else "") + SIMPLE_TEMPLATE
    return vocabulary


def trained(texts: Iterable[str], kind: str, vocab_size: int, normaliser: dict[str, Any] | None) -> Vocabulary:
    """Of bytes, so that every text has tokens and every token its text. The same texts give the same tokenizer."""
    tokenizer = Tokenizer(models.Unigram() if kind == "unigram" else models.BPE())
    tokenizer.normalizer = normalizers.Sequence(baked_steps(normaliser))
    split = pre_tokenizers.Split(Regex(_WORDS), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    told: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": _SPECIAL, "show_progress": False}
    make = trainers.UnigramTrainer if kind == "unigram" else trainers.BpeTrainer
    tokenizer.train_from_iterator(texts, make(initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), **told))
    if kind == "unigram":
        tokenizer.model = _settled(tokenizer)
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, begin)])
    return Vocabulary(_of_transformers(tokenizer))


def _settled(tokenizer: Tokenizer) -> Any:
    """The trainer ranks bytes that never occurred in another order in each process, and sums in another: one rank for them, scores rounded,
    pieces sorted."""
    found = {piece: score for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"] if piece not in _SPECIAL}
    least = min(score for piece, score in found.items() if len(piece) > 1) if any(len(piece) > 1 for piece in found) else 0.0
    settled = {piece: round(least if len(piece) == 1 and score < least + _RANKED else score, 6) for piece, score in found.items()}
    ordered = sorted(settled.items(), key=lambda pair: (-pair[1], pair[0]))
    return models.Unigram([*((piece, 0.0) for piece in _SPECIAL), *ordered])


def _of_transformers(tokenizer: Tokenizer) -> Any:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    names = {"pad_token": PAD, "bos_token": BEGIN, "eos_token": END, "model_input_names": ["input_ids", "attention_mask"]}
    made = make(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)
    made.chat_template = "{{ bos_token }}" + SIMPLE_TEMPLATE
    return made


def blocks(texts: Sequence[str], vocabulary: Vocabulary, length: int, check: Check) -> Iterator[Sample]:
    """Texts one after another, cut into rows of at most ``length`` tokens; what goes on in the next row begins there with its last token,
    so that every token but a text's first is learnt just once."""
    parts: list[Tokens] = []
    room, text_bytes = length, 0
    for ids, sizes in _whole(texts, vocabulary, check):
        position = 0
        while position + 1 < len(ids):
            if room < 2:
                yield Sample(tuple(parts), text_bytes)
                parts, room, text_bytes = [], length, 0
            end = min(len(ids), position + room)
            parts.append(Tokens(ids[position:end], np.arange(end - position) > 0))
            text_bytes += int(sizes[position + 1 : end].sum())
            room -= end - position
            position = end - 1
    if parts:
        yield Sample(tuple(parts), text_bytes)


def _whole(texts: Sequence[str], vocabulary: Vocabulary, check: Check) -> Iterator[tuple[IntArray, IntArray]]:
    """(ids, bytes of each token) of each text with its beginning and its end."""
    end = [] if vocabulary.end is None else [vocabulary.end]
    for text, (ids, places) in zip(texts, vocabulary.encoded(texts, check), strict=True):
        sizes = np.diff(bytes_before(text)[np.append(places, len(text))])
        yield (
            np.concatenate([vocabulary.prefix, ids, end]).astype(np.int32),
            np.concatenate([np.zeros(len(vocabulary.prefix)), sizes, np.zeros(len(end))]).astype(np.int64),
        )


def bytes_before(text: str) -> IntArray:
    """UTF-8 bytes before each character and before the end, [characters + 1]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    sizes = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
    return np.concatenate([[0], np.cumsum(sizes)])
