"""One text out of what a model is asked, or a refusal that names the input and the field."""

from collections.abc import Sequence

from kargah.recipes.errors import InputMissing, InputNotText
from kargah.recipes.predictor import Input


def text_of(index: int, value: Input, role: str, columns: Sequence[str]) -> str:
    """The text itself, or what stands under ``role`` or under one of ``columns``. Raises InputMissing, InputNotText."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise InputNotText(field=f"inputs[{index}]", index=index)
    text = next((value[name] for name in (role, *columns) if value.get(name) is not None), None)
    if text is None:
        raise InputMissing(field=f"inputs[{index}].{role}", index=index, missing=role)
    if not isinstance(text, str):
        raise InputNotText(field=f"inputs[{index}].{role}", index=index)
    return text
