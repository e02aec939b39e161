"""Sequence classifiers of transformers on packed batches: the encoder sees every real token once, the head one vector a sequence."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from kargah.engine.attention import use_packed_attention
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
_TAKES_TYPES = frozenset({"bert", "electra", "roberta", "xlm-roberta", "camembert"})
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


class UnpaddedClassifier:
    """``model`` is a ``…ForSequenceClassification`` of a family in HEADS; it is changed to attend within packed sequences."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._family = model.config.model_type
        use_packed_attention(model)

    @property
    def first_position(self) -> int:
        return int(self._model.config.pad_token_id) + 1 if self._family in _POSITIONS_AFTER_PADDING else 0

    def __call__(self, packed: Packed) -> Tensor:
        """Logits [sequences, outputs]."""
        arguments = packed.arguments()
        if self._family in _TAKES_TYPES:
            arguments["token_type_ids"] = packed.token_type_ids
        hidden = self._model.base_model(**arguments).last_hidden_state[0]
        return HEADS[self._family](self._model, hidden[packed.starts])
