"""From a table to words with tags: roles, scheme, entities written anew in the model's own scheme, split. No torch here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kargah.recipes import catalogue, weights
from kargah.recipes.distillation import check_hidden_states, check_teacher
from kargah.recipes.errors import NormalisersDiffer, OneClassOnly, RoleMissing, TagsUnaligned, TooFewRows
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import divide, named_parts, source_decisions, sources_of
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.table import Table, normaliser_of
from kargah.recipes.token_classification import schemes
from kargah.recipes.token_classification.lessons import teacher_of
from kargah.recipes.token_classification.measuring import TagsProblem
from kargah.recipes.token_classification.schemes import OUTSIDE, Scheme
from kargah.recipes.token_classification.spec import RECIPE, TokenClassificationSpec
from kargah.recipes.token_classification.words import parted

Rows = list[list[str]]


@dataclass
class TagData(Prepared):
    """``words``: normalised, of all rows."""

    problem: TagsProblem
    words: Rows

    def words_of(self, rows: Iterable[int]) -> Rows:
        return [self.words[row] for row in rows]

    def tags_of(self, rows: Iterable[int]) -> list[FloatArray]:
        return [self.targets[row] for row in rows]


def prepare(request: Request) -> TagData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, TokenClassificationSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
    columns, role_decision = _roles(request)
    words, tags, usable = _rows(request, columns)
    scheme = schemes.scheme_of(tags)
    own: Scheme = "plain" if scheme == "plain" else "bilou" if spec.tag_scheme == "bilou" else "iob2"
    tags = _in_own_scheme(request, tags, scheme, own)
    labels = tuple(sorted({tag for row in tags for tag in row} | ({OUTSIDE} if own != "plain" else set())))
    if len(labels) < 2:
        raise OneClassOnly(field="spec.columns.tags", column=columns["tags"], label=next(iter(labels), ""))
    problem = TagsProblem.of(own, labels, spec.primary_metric)
    if request.teacher_model is not None:
        check_teacher(request.teacher_model, RECIPE.name, problem, list(columns))
        check_hidden_states(request)
    named = named_parts(request)
    parts = divide(request, named and [named[row] for row in usable], [tuple(row) for row in words], [_stratum(row) for row in tags])
    numbers = {label: number for number, label in enumerate(labels)}
    targets = rows_of([np.array([numbers[tag] for tag in row], dtype=np.int64) for row in tags])
    sources = sources_of(request, usable)
    why = "why.tags_plain" if scheme == "plain" else "why.tag_scheme"
    told = Decision("tag_scheme", own, "chosen" if "tag_scheme" in request.chosen else "adapted", why, {"found": scheme.upper()})
    return TagData(
        problem, targets, parts.train, parts.validation,
        {**problem.as_dict(), "columns": columns, "normaliser": request.tables[0].normaliser},
        [role_decision, told, *parts.decisions, *source_decisions(sources)], words,
        test_rows=parts.test, split_column=parts.column, sources=sources, teacher=teacher_of(request, words, labels),
    )  # fmt: skip


def _roles(request: Request) -> tuple[dict[str, str], Decision]:
    given = request.spec.columns
    if not given:
        match = catalogue.match_of(RECIPE, list(request.tables[0].columns.values()))
        given = match.columns if match else {}
    columns = {}
    for role in ("tokens", "tags"):
        taken = given.get(role)
        if not taken:
            raise RoleMissing(field=f"spec.columns.{role}", role=role)
        columns[role] = taken if isinstance(taken, str) else taken[0]
    source, why = ("chosen", "why.chosen") if "columns" in request.chosen else ("adapted", "why.columns_guessed")
    return columns, Decision("columns", columns, source, why)


def _rows(request: Request, columns: dict[str, str]) -> tuple[Rows, Rows, list[int]]:
    """Return (normalised words, tags as they stand, numbers of the rows that can be used), all tables one after another."""
    if any(table.normaliser != request.tables[0].normaliser for table in request.tables):
        raise NormalisersDiffer(field="datasets")
    read = _reader(request.tables[0])
    words, tags, usable, seen = [], [], [], 0
    for table in request.tables:
        cells = zip(table.column(columns["tokens"], "tokens"), table.column(columns["tags"], "tags"), strict=True)
        for row, (own_words, own_tags) in enumerate(((parted(one), parted(other)) for one, other in cells), 1):
            if row % 500 == 0:
                request.check()
            if own_tags and len(own_words) != len(own_tags) and not request.spec.skip_bad_rows:
                raise TagsUnaligned(field="spec.columns.tags", row=row, words=len(own_words), tags=len(own_tags), title=table.title)
            if own_tags and len(own_words) == len(own_tags):
                words.append([read(word) for word in own_words])
                tags.append(own_tags)
                usable.append(seen)
            seen += 1
    if len(usable) < seen:
        request.log("train.rows_dropped", level="warning", dropped=seen - len(usable), rows=seen)
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    return words, tags, usable


def _reader(table: Table) -> Callable[[str], str]:
    """Word by word, as a question's are normalised later. A language's words repeat, so most are looked up."""
    normaliser = normaliser_of(table.normaliser)
    return lru_cache(maxsize=200_000)(normaliser.apply) if normaliser else str


def _in_own_scheme(request: Request, tags: Rows, scheme: Scheme, own: Scheme) -> Rows:
    """Entities as they are read, written in the model's scheme; in how many places the data break their own rules is said."""
    if scheme == "plain":
        return tags
    if broken := sum(schemes.faults(row, scheme) for row in tags):
        request.log("train.tags_repaired", level="warning", places=broken, scheme=scheme.upper())
    return [schemes.written(schemes.spans_of(row), len(row), own) for row in tags]


def _stratum(row: Sequence[str]) -> str:
    """What a row is told by when rows are parted evenly: a text with an entity is not one without."""
    return next((tag for tag in row if tag != OUTSIDE), OUTSIDE)
