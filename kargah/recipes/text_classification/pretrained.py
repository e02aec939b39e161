"""Transformers of the ``transformers`` library: a small one from scratch, or a base model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kargah.engine.classifiers import HEADS, UnpaddedClassifier
from kargah.engine.dropout import make_dropout_cheap
from kargah.engine.packing import Packed
from kargah.engine.vocabulary import CompactVocabulary, compact
from kargah.kit import files
from kargah.recipes import base_models
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Request
from kargah.recipes.text_classification.presets import Preset
from kargah.recipes.tokenizing import SPECIAL_TOKENS

_PROBLEM_NAMES = {
    ProblemType.SINGLE_LABEL: "single_label_classification",
    ProblemType.MULTI_LABEL: "multi_label_classification",
    ProblemType.REGRESSION: "regression",
}
_LONGEST = 512


class Transformer(nn.Module):
    """A ``…ForSequenceClassification``; ``forward`` takes a packed batch or its keyword arguments and returns logits [texts, outputs].

    ``first_position`` for packed batches; null for a family that only takes padded ones.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.vocabulary: CompactVocabulary | None = None
        self._unpadded = UnpaddedClassifier(model) if model.config.model_type in HEADS else None

    @property
    def first_position(self) -> int | None:
        return self._unpadded.first_position if self._unpadded else None

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    @property
    def longest(self) -> int:
        """Tokens that the position table has room for, special tokens included."""
        config = self.model.config
        positions = getattr(config, "max_position_embeddings", _LONGEST) or _LONGEST
        reserved = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0  # their positions begin after the padding's
        return int(min(positions - reserved, _LONGEST))

    @property
    def parameters_when_saved(self) -> int:
        left_out = self.vocabulary.rows_left_out * self._embedding.embedding_dim if self.vocabulary else 0
        return left_out + sum(parameter.numel() for parameter in self.parameters())

    def make_cheap(self, sequences: Iterable[Sequence[int]]) -> None:
        """For training: plain dropouts by cheap ones, and only the vectors of tokens in ``sequences``."""
        make_dropout_cheap(self.model)
        if self._unpadded:
            self.vocabulary = compact(self.model, sequences)

    def recompute(self) -> bool:
        """Keep of each layer only what goes in; False for a family that cannot."""
        if not self.model.supports_gradient_checkpointing:
            return False
        later, earlier = "activation_checkpointing_enable", "gradient_checkpointing_enable"  # by the version of transformers
        getattr(self.model, later if hasattr(self.model, later) else earlier)({"use_reentrant": False})
        return True

    def forward(self, batch: Packed | dict[str, Tensor]) -> Tensor:
        if isinstance(batch, Packed):
            assert self._unpadded is not None
            known = batch if self.vocabulary is None else replace(batch, input_ids=self.vocabulary.rows_of(batch.input_ids))
            return self._unpadded(known)
        logits: Tensor = self.model(**batch).logits
        return logits

    @property
    def _embedding(self) -> nn.Embedding:
        embedding: nn.Embedding = self.model.get_input_embeddings()
        return embedding

    def save(self, folder: Path, scale: tuple[float, float]) -> None:
        state = self.model.state_dict()
        if self.vocabulary is not None:
            trained = self._embedding.weight
            name = next(name for name, parameter in self.model.named_parameters() if parameter is trained)
            state[name] = self.vocabulary.restored(trained)
        self.model.save_pretrained(folder, state_dict=state)
        config = files.read_json(folder / "config.json")
        files.write_json(folder / "config.json", {**config, "kargah_scale": scale})


def label_settings(problem: ColumnProblem) -> dict[str, Any]:
    """What a transformers configuration must say about the task."""
    labels = problem.labels or ("value",)
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    return {"num_labels": problem.outputs, "problem_type": _PROBLEM_NAMES[problem.type], **named}


def small_transformer(tokenizer: Any, problem: ColumnProblem, preset: Preset, max_length: int) -> Transformer:
    """A BERT small enough to learn from thousands of rows."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=preset.hidden_size,
        num_hidden_layers=preset.num_layers,
        num_attention_heads=max(1, preset.hidden_size // 32),
        intermediate_size=4 * preset.hidden_size,
        max_position_embeddings=max_length + 3,
        hidden_dropout_prob=preset.dropout,
        attention_probs_dropout_prob=preset.dropout,
        pad_token_id=tokenizer.pad_token_id,
        **label_settings(problem),
    )
    return Transformer(BertForSequenceClassification(config))


def fast_tokenizer(tokenizer: Any) -> Any:
    """Our tokenizer as transformers knows them."""
    from transformers import PreTrainedTokenizerFast

    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    special = dict(zip(names, SPECIAL_TOKENS, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, model_input_names=inputs, clean_up_tokenization_spaces=False, **special)


def load(folder: Path, problem: ColumnProblem, normaliser: dict[str, Any] | None, request: Request) -> tuple[Transformer, Any]:
    """Return (model, tokenizer) of a base model's folder, the head fresh. Raises what ``base_models.load`` does."""
    from transformers import AutoModelForSequenceClassification

    settings = label_settings(problem)
    model, tokenizer = base_models.load(folder, AutoModelForSequenceClassification, normaliser, request.check, **settings)
    return Transformer(model), tokenizer
