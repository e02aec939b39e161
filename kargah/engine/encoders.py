"""Encoders of transformers on packed batches: every real token goes through once, padding never."""

from typing import Any

from torch import Tensor

from kargah.engine.attention import use_packed_attention
from kargah.engine.packing import Packed
from kargah.engine.products import make_products_quick

#: By ``model_type``: families whose encoder takes packed batches.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"})
_TAKES_TYPES = FAMILIES - {"distilbert"}
_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert"})


class UnpaddedEncoder:
    """``model`` is one of transformers with an encoder of FAMILIES; it is changed to attend within packed sequences."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._family = model.config.model_type
        use_packed_attention(model)
        make_products_quick(model)

    @property
    def first_position(self) -> int:
        return int(self._model.config.pad_token_id) + 1 if self._family in _POSITIONS_AFTER_PADDING else 0

    def __call__(self, packed: Packed) -> Tensor:
        """The vectors of all tokens, [tokens, width], where the model is; ``packed`` is to be there too."""
        arguments = packed.arguments()
        if self._family in _TAKES_TYPES:
            arguments["token_type_ids"] = packed.token_type_ids
        hidden: Tensor = self._model.base_model(**arguments).last_hidden_state[0, : packed.tokens]
        return hidden
