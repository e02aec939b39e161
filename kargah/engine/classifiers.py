"""What heads of transformers make of the vectors of a packed batch: of each sequence, or of each token."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from kargah.engine.encoders import UnpaddedEncoder
from kargah.engine.packing import Packed

Head = Callable[[Any, Tensor], Tensor]


def _pooled(model: Any, firsts: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(model.base_model.pooler(firsts[:, None])))
    return logits


def _head_of_first(model: Any, firsts: Tensor) -> Tensor:
    logits: Tensor = model.classifier(firsts[:, None])
    return logits


def _two_layers(model: Any, firsts: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(nn.functional.relu(model.pre_classifier(firsts))))
    return logits


#: By ``model_type``: what makes logits [sequences, outputs] of first tokens' vectors [sequences, width].
HEADS: dict[str, Head] = {
    "bert": _pooled,
    "roberta": _head_of_first,
    "xlm-roberta": _head_of_first,
    "camembert": _head_of_first,
    "electra": _head_of_first,
    "distilbert": _two_layers,
}


def logits_of_sequences(model: Any, hidden: Tensor, packed: Packed) -> Tensor:
    """``model`` is a ``…ForSequenceClassification``: [sequences, outputs]."""
    return HEADS[model.config.model_type](model, hidden[packed.starts])


def logits_of_tokens(model: Any, hidden: Tensor, packed: Packed) -> Tensor:
    """``model`` is a ``…ForTokenClassification``: [tokens, outputs]."""
    del packed
    logits: Tensor = model.classifier(model.dropout(hidden))
    return logits


def logits_of_spans(model: Any, hidden: Tensor, packed: Packed) -> Tensor:
    """``model`` is a ``…ForQuestionAnswering``: [tokens, 2], of an answer's first and last token."""
    del packed
    if model.config.model_type == "distilbert":
        hidden = model.dropout(hidden)
    logits: Tensor = model.qa_outputs(hidden)
    return logits


class UnpaddedClassifier:
    """``model`` is a ``…ForSequenceClassification`` of a family in HEADS."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._encoder = UnpaddedEncoder(model)

    @property
    def first_position(self) -> int:
        return self._encoder.first_position

    def __call__(self, packed: Packed) -> Tensor:
        """Logits [sequences, outputs]."""
        return logits_of_sequences(self._model, self._encoder(packed), packed)
