"""Tokenizers trained on the user's own texts, with our normaliser inside so far as ``tokenizers`` can say it.

What is inside is applied to every text, whatever its language; training goes through it as well, so that a bare
``transformers`` sees exactly what our own predictor sees.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from kargah.recipes.table import normaliser_of

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train_tokenizer(texts: Sequence[str], vocab_size: int, normaliser: dict[str, Any] | None) -> Tokenizer:
    """BPE over words, lower-cased, with BERT's special tokens (padding is 0). The same texts give the same tokenizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizers.Sequence([*baked_steps(normaliser), normalizers.Lowercase()])
    # A mark before each word, not a prefix for its later pieces: prefixed letters would be numbered in another order in every process.
    words = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=SPECIAL_TOKENS, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def baked_steps(settings: dict[str, Any] | None) -> list[Any]:
    """Our normaliser's steps as ``tokenizers`` normalizers, as far as they can be said there.

    Not said: presentation forms (a table of hundreds), and white space, which the pre-tokenizer drops anyway.
    """
    normaliser = normaliser_of(settings)
    if normaliser is None:
        return []
    return [part for step in normaliser.steps for part in _baked(step)]


def _baked(step: Any) -> list[Any]:
    if step.name == "compose":
        return [normalizers.NFC()]
    if step.name in ("letters", "hamza", "digits"):
        changed = ((character, step.apply(character)) for character in step.pattern.pattern[1:-1])
        return [normalizers.Replace(old, new) for old, new in changed if old != new]
    if isinstance(getattr(step, "replacement", None), str):
        return [normalizers.Replace(Regex(step.pattern.pattern), step.replacement)]
    return []
