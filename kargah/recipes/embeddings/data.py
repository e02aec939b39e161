"""From a table to pairs of texts that belong together. Every distinct text is kept, and later encoded, once. No torch here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes import weights
from kargah.recipes.base import SPLIT
from kargah.recipes.embeddings.metrics import EmbeddingProblem, ranks_of
from kargah.recipes.embeddings.spec import RECIPE, SentenceEmbeddingsSpec
from kargah.recipes.errors import NotNumeric, TooFewRows
from kargah.recipes.labels import number_of
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.parts import divide, named_parts, source_decisions, sources_of
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.splits import strata_of_numbers
from kargah.recipes.text_columns import Roles, roles_of, texts_of

_QUESTIONS_AT_ONCE = 256


@dataclass
class EmbeddingData(Prepared):
    """``texts`` are distinct. ``anchors`` and ``positives`` name them by row, ``negatives`` those that a row sets against its positive."""

    problem: EmbeddingProblem
    texts: list[str]
    anchors: IntArray
    positives: IntArray
    negatives: list[list[int]]

    def corpus(self, rows: IntArray) -> tuple[IntArray, list[list[int]]]:
        """What the anchors of ``rows`` are searched in: (texts, for each row the places of its right ones among them)."""
        found = {*self.positives[rows].tolist(), *(text for row in rows for text in self.negatives[row])}
        corpus = np.array(sorted(found), dtype=np.int64)
        right: dict[int, set[int]] = {}
        for row in rows:
            right.setdefault(int(self.anchors[row]), set()).add(int(self.positives[row]))
        return corpus, [np.searchsorted(corpus, sorted(right[int(self.anchors[row])])).tolist() for row in rows]

    def used_by(self, rows: IntArray) -> list[int]:
        """The texts of these rows, each once."""
        named = {*self.anchors[rows].tolist(), *self.positives[rows].tolist(), *(text for row in rows for text in self.negatives[row])}
        return sorted(named)


@dataclass(frozen=True)
class _Rows:
    """As the tables have them; ``similarity`` null where no column tells it, an entry null where a cell is empty."""

    anchors: list[str]
    positives: list[str]
    negatives: list[list[str]]
    similarity: list[float | None] | None

    def usable(self) -> list[int]:
        told = self.similarity
        return [
            row
            for row, (anchor, positive) in enumerate(zip(self.anchors, self.positives, strict=True))
            if anchor.strip() and positive.strip() and (told is None or told[row] is not None)
        ]


def prepare(request: Request) -> EmbeddingData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, SentenceEmbeddingsSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
    roles, role_decision = roles_of(request, RECIPE)
    rows = _rows(request, roles)
    problem = EmbeddingProblem.of("retrieval" if rows.similarity is None else "similarity", spec.primary_metric)
    usable = _usable(request, rows)
    sides = [[side[row] for row in usable] for side in (rows.anchors, rows.positives, *rows.negatives)]
    texts, (anchors, positives, *negatives) = _numbered(sides)
    told = np.array([rows.similarity[row] for row in usable], dtype=np.float64) if rows.similarity else np.zeros(len(usable))
    named = named_parts(request)
    strata = strata_of_numbers(told) if rows.similarity else [0] * len(usable)
    parts = divide(request, named and [named[row] for row in usable], _families(anchors, positives), strata)
    sources = sources_of(request, usable)
    columns = {role: taken for role, taken in roles.items() if role != SPLIT.name}
    describe = {**problem.as_dict(), "columns": columns, "normaliser": request.tables[0].normaliser}
    kind = Decision("problem_type", problem.kind, "adapted", f"why.embeddings.{problem.kind}")
    return EmbeddingData(
        problem, told, parts.train, parts.validation, describe, [role_decision, kind, *parts.decisions, *source_decisions(sources)],
        texts, anchors, positives, _other_than_empty(negatives, texts, len(usable)),
        test_rows=parts.test, split_column=parts.column, sources=sources,
    )  # fmt: skip


def _usable(request: Request, rows: _Rows) -> list[int]:
    """Rows without a text or a needed number are left out and counted."""
    usable = rows.usable()
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    if len(usable) < len(rows.anchors):
        request.log("train.rows_dropped", level="warning", dropped=len(rows.anchors) - len(usable), rows=len(rows.anchors))
    return usable


def _rows(request: Request, roles: Roles) -> _Rows:
    anchors, positives = (texts_of(request, role, roles[role][0]) for role in ("anchor", "positive"))
    negatives = [texts_of(request, "negative", column) for column in roles.get("negative", [])]
    return _Rows(anchors, positives, negatives, _similarity(request, roles["similarity"][0]) if "similarity" in roles else None)


def _similarity(request: Request, column: str) -> list[float | None]:
    told: list[float | None] = []
    for table in request.tables:
        for row, value in enumerate(table.column(column, "similarity"), 1):
            number = number_of(value)
            if number is None and value is not None and str(value).strip():
                raise NotNumeric(field="spec.columns.similarity", column=column, row=row, value=str(value)[:80])
            told.append(number)
    return told


def _numbered(sides: list[list[str]]) -> tuple[list[str], list[IntArray]]:
    """(the distinct texts, in the order in which they come; for each side their numbers)."""
    numbers: dict[str, int] = {}
    named = [np.array([numbers.setdefault(text, len(numbers)) for text in side], dtype=np.int64) for side in sides]
    return list(numbers), named


def _other_than_empty(negatives: list[IntArray], texts: list[str], rows: int) -> list[list[int]]:
    return [[int(side[row]) for side in negatives if texts[side[row]].strip()] for row in range(rows)]


def _families(anchors: IntArray, positives: IntArray) -> list[int]:
    """Rows with a text in common, however far the chain, stay on one side: a paragraph that was learnt would be found by heart."""
    parent: dict[int, int] = {}

    def root(text: int) -> int:
        while (above := parent.setdefault(text, text)) != text:
            parent[text] = parent[above]
            text = parent[text]
        return text

    for anchor, positive in zip(anchors.tolist(), positives.tolist(), strict=True):
        parent[root(anchor)] = root(positive)
    return [root(anchor) for anchor in anchors.tolist()]


def scores_by(data: EmbeddingData, rows: IntArray, vectors: Mapping[int, FloatArray], check: Callable[[], None]) -> FloatArray:
    """As ``EmbeddingProblem`` takes them, of vectors of length 1 by text."""
    if not len(rows):
        return rows_of([])
    if data.problem.kind == "similarity":
        return np.array([vectors[data.anchors[row]] @ vectors[data.positives[row]] for row in rows], dtype=np.float64)
    corpus, right = data.corpus(rows)
    among = np.stack([vectors[text] for text in corpus.tolist()]).T
    found: list[Any] = []
    for start in range(0, len(rows), _QUESTIONS_AT_ONCE):
        check()
        part = slice(start, start + _QUESTIONS_AT_ONCE)
        asked = np.stack([vectors[text] for text in data.anchors[rows[part]].tolist()])
        found += list(ranks_of(asked @ among, right[part]))
    return rows_of(found)
