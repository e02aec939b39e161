"""From a column of texts to passages short enough to be read whole. No torch here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes import weights
from kargah.recipes.distillation import check_language_teacher
from kargah.recipes.errors import TooFewRows
from kargah.recipes.masked_lm.metrics import MaskedProblem
from kargah.recipes.masked_lm.spec import RECIPE, MaskedLMSpec
from kargah.recipes.parts import divide, named_parts, source_decisions, sources_of
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.text_columns import roles_of, texts_of

DEFAULT_MAX_LENGTH = 128
#: A token of Persian prose is about four characters, special ones and rare words counted three: so hardly a passage is cut.
_CHARACTERS_A_TOKEN = 3


@dataclass
class MaskedData(Prepared):
    """``texts``: the passages. ``tokens``: they as tokens (``masked_lm.tokens``), once somebody asked for those."""

    problem: MaskedProblem
    texts: list[str]
    tokens: Any = None


def prepare(request: Request) -> MaskedData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, MaskedLMSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
    check_language_teacher(request)
    roles, role_decision = roles_of(request, RECIPE)
    rows = texts_of(request, "text", roles["text"][0])
    limit = _CHARACTERS_A_TOKEN * (spec.max_length or DEFAULT_MAX_LENGTH)
    parted = [(row, passage) for row, text in enumerate(rows) for passage in passages(text, limit)]
    if len(parted) < 2:
        raise TooFewRows(field="datasets", rows=len(parted), needed=2)
    of_row, texts = [row for row, _ in parted], [passage for _, passage in parted]
    named, problem = named_parts(request), MaskedProblem.of(spec.primary_metric)
    # Passages of one text, and of its copies, stay together.
    parts = divide(request, named and [named[row] for row in of_row], [rows[row] for row in of_row], [0] * len(texts))
    sources = sources_of(request, of_row)
    decisions = [role_decision, Decision("passages", len(texts), "adapted", "why.passages", {"characters": limit})]
    columns = {"text": roles["text"][0]}
    describe = {**problem.as_dict(), "columns": columns, "normaliser": request.tables[0].normaliser}
    return MaskedData(
        problem, np.zeros(len(texts)), parts.train, parts.validation, describe,
        [*decisions, *parts.decisions, *source_decisions(sources)], texts,
        test_rows=parts.test, split_column=parts.column, sources=sources,
    )  # fmt: skip


def passages(text: str, limit: int) -> Iterator[str]:
    """Parts of at most ``limit`` characters, ending between words where there is a space to end at; nothing for an empty text."""
    rest = text.strip()
    while rest:
        end = len(rest) if len(rest) <= limit else rest.rfind(" ", 1, limit + 1)
        end = end if end > 0 else limit
        yield rest[:end].rstrip()
        rest = rest[end:].lstrip()
