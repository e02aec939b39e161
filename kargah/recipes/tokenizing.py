"""Tokenizers trained on the user's own texts, with our normaliser inside so far as ``tokenizers`` can say it.

What is inside is applied to every text, whatever its language; training goes through it as well, so that a bare
``transformers`` sees exactly what our own predictor sees.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from kargah.recipes.errors import BaseModelUnusable
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


def base_tokenizer(folder: Path, normaliser: dict[str, Any] | None, pads: bool = True) -> Any:
    """A base model's own, as transformers' fast ones are, our normaliser put before its own. ``pads``: it must know a padding token.

    Raises BaseModelUnusable for a folder without one, or with one that cannot tell where its tokens come from.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelUnusable(field="base_model", reason="tokenizer", detail=str(error)[:200]) from error
    if not tokenizer.is_fast or (pads and tokenizer.pad_token_id is None) or len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise BaseModelUnusable(field="base_model", reason="tokenizer")
    steps = baked_steps(normaliser)
    if steps:
        own = tokenizer.backend_tokenizer.normalizer
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([*steps, *([own] if own is not None else [])])
    return with_backend(tokenizer, tokenizer.backend_tokenizer)


def with_backend(tokenizer: Any, backend: Tokenizer) -> Any:
    """``backend`` with the names and habits of ``tokenizer``, under the class that takes tokenizer.json as it stands.

    A class of a family (BertTokenizer …) makes its normaliser anew from its own options when it is loaded, so that what
    was baked would be gone in bare transformers.
    """
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    return make(
        tokenizer_object=backend,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=False,
        chat_template=tokenizer.chat_template,
        **tokenizer.special_tokens_map,
    )


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
