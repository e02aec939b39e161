"""From a table to texts with targets: roles, problem, labels, normalised once, split. No torch here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes import catalogue, weights
from kargah.recipes.distillation import AskedTeacher, check_hidden_states, check_teacher
from kargah.recipes.errors import NormalisersDiffer, NotNumeric, OneClassOnly, RoleMissing, TooFewRows
from kargah.recipes.labels import LabelKind, as_flags, decide_kind, label_sets, numbers_of, ordered
from kargah.recipes.parts import divide, named_parts, require_all, source_decisions, sources_of
from kargah.recipes.predictor import Input, Predictor
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.splits import strata_of_numbers
from kargah.recipes.table import Table, normaliser_of
from kargah.recipes.text_classification.spec import RECIPE, TextClassificationSpec, check


@dataclass
class TextData(Prepared):
    """``fields``: normalised texts of all rows, one list a field (the text, and the pair when there is one)."""

    problem: ColumnProblem
    fields: list[list[str]]

    def texts_of(self, rows: Iterable[int]) -> list[list[str]]:
        """For each field the texts of these rows."""
        picked = list(rows)
        return [[texts[row] for row in picked] for texts in self.fields]


@dataclass(frozen=True)
class Roles:
    text: str
    text_pair: str | None
    label: list[str]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """(role, column) of the texts."""
        pair = [("text_pair", self.text_pair)] if self.text_pair else []
        return [("text", self.text), *pair]


def prepare(request: Request) -> TextData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, TextClassificationSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)  # a pickle is refused in a second, not after torch and transformers are there
    roles, role_decision = _roles(request)
    described, fields, raw_labels = _rows(request, roles)
    kind, why = decide_kind(spec.problem_type, described, len(roles.label), spec.label_separator, "problem_type" in request.chosen)
    usable, targets, labels, strata = _targets(request, roles, kind, fields, raw_labels)
    fields, named = [[texts[row] for row in usable] for texts in fields], named_parts(request)
    check(spec.model_copy(update={"problem_type": kind.value}), request.base_model is not None)
    problem = ColumnProblem.of(kind, labels, spec.primary_metric, thresholds_are_learnt=spec.label_thresholds == "per_label")
    if request.teacher_model is not None:
        check_teacher(request.teacher_model, RECIPE.name, problem, [*(role for role, _ in roles.fields), "label"])
        check_hidden_states(request)
    parts = divide(request, named and [named[row] for row in usable], _groups(fields), strata)
    if kind is ProblemType.SINGLE_LABEL:
        require_all(targets, parts, labels)
    describe = {**problem.as_dict(), "columns": {**dict(roles.fields), "label": roles.label}, "normaliser": request.tables[0].normaliser}
    sources = sources_of(request, usable)
    decisions = [role_decision, Decision("problem_type", kind.value, *why), *parts.decisions, *source_decisions(sources)]
    return TextData(
        problem, targets, parts.train, parts.validation, describe, decisions, fields,
        test_rows=parts.test, split_column=parts.column, sources=sources, teacher=_teacher(request, roles, fields, labels),
    )  # fmt: skip


def _teacher(request: Request, roles: Roles, fields: list[list[str]], labels: tuple[str, ...]) -> AskedTeacher | None:
    """Asked as everybody asks it; its shares in the order of ``labels``."""
    names = [role for role, _ in roles.fields]

    def ask(predictor: Predictor, rows: list[int]) -> list[list[float]]:
        questions: list[Input] = [{name: texts[row] for name, texts in zip(names, fields, strict=True)} for row in rows]
        return [[answer["scores"][label] for label in labels] for answer in predictor.predict(questions)]

    folder = request.teacher_model
    return None if folder is None else AskedTeacher(folder, request, ask, lambda told: np.array(told, dtype=np.float64))


def _groups(fields: list[list[str]]) -> list[tuple[str, ...]]:
    """Rows that must stay together: copies; and of pairs, those with the same first text where many such exist.

    A premise with three hypotheses, one of each label, would otherwise betray the held-out label by the two that are seen.
    """
    if len(fields) == 2 and len(set(fields[0])) * 10 >= len(fields[0]):
        return [(text,) for text in fields[0]]
    return list(zip(*fields, strict=True))


def _roles(request: Request) -> tuple[Roles, Decision]:
    columns = request.spec.columns
    if not columns:
        match = catalogue.match_of(RECIPE, list(request.tables[0].columns.values()))
        if match is None:
            raise RoleMissing(field="spec.columns", role="text, label")
        columns = match.columns
    source, why = ("chosen", "why.chosen") if "columns" in request.chosen else ("adapted", "why.columns_guessed")
    for role in ("text", "label"):
        if not columns.get(role):
            raise RoleMissing(field=f"spec.columns.{role}", role=role)
    pair = _one(columns.get("text_pair"))
    label = columns["label"]
    roles = Roles(_one(columns["text"]) or "", pair, [label] if isinstance(label, str) else list(label))
    return roles, Decision("columns", columns, source, why)


def _one(value: str | list[str] | None) -> str | None:
    return value[0] if isinstance(value, list) and value else value if isinstance(value, str) else None


def _rows(request: Request, roles: Roles) -> tuple[list[Any], list[list[str]], list[list[Any]]]:
    """Return (descriptions of the label columns, texts a field, raw labels a label column), all tables one after another."""
    if any(table.normaliser != request.tables[0].normaliser for table in request.tables):
        raise NormalisersDiffer(field="datasets")
    fields: list[list[str]] = [[] for _ in roles.fields]
    labels: list[list[Any]] = [[] for _ in roles.label]
    for table in request.tables:
        for texts, (role, column) in zip(fields, roles.fields, strict=True):
            texts += _normalised(table, column, role, request)
        for values, column in zip(labels, roles.label, strict=True):
            values += table.column(column, "label")
    return [request.tables[0].columns.get(column) for column in roles.label], fields, labels


def _normalised(table: Table, column: str, role: str, request: Request) -> list[str]:
    """Text by text, exactly once: what the model learns from is what the same function makes of a question later."""
    normaliser = normaliser_of(table.normaliser)
    texts = []
    for number, value in enumerate(table.column(column, role)):
        if number % 1000 == 0:
            request.check()
        raw = "" if value is None else str(value)
        texts.append(normaliser.apply(raw) if normaliser else raw)
    return texts


def _targets(
    request: Request, roles: Roles, kind: LabelKind, fields: list[list[str]], raw: list[list[Any]]
) -> tuple[list[int], Any, tuple[str, ...], list[Any]]:
    """Return (the rows that can be used, their targets, labels, strata)."""
    spec = request.spec
    assert isinstance(spec, TextClassificationSpec)
    values: list[Any] = (
        numbers_of(raw[0]) if kind is ProblemType.REGRESSION else list(label_sets(raw, roles.label, kind, spec.label_separator))
    )
    usable = [row for row, value in enumerate(values) if value is not None and fields[0][row].strip()]
    _report_dropped(request, roles, kind, raw, values, len(usable))
    kept = [values[row] for row in usable]
    if len(kept) < 2:
        raise TooFewRows(field="datasets", rows=len(kept), needed=2)
    if kind is ProblemType.REGRESSION:
        numbers = np.array(kept, dtype=np.float64)
        return usable, numbers, (), strata_of_numbers(numbers)
    labels = ordered(kept)
    if len(labels) < 2:
        raise OneClassOnly(field="spec.columns.label", column=", ".join(roles.label), label=next(iter(labels), ""))
    if kind is ProblemType.MULTI_LABEL:
        return usable, as_flags(kept, labels), labels, [max(row, default="") for row in kept]
    places = {label: index for index, label in enumerate(labels)}
    indices = np.array([places[row[0]] for row in kept], dtype=np.int64)
    return usable, indices, labels, indices.tolist()


def _report_dropped(request: Request, roles: Roles, kind: LabelKind, raw: list[list[Any]], values: list[Any], usable: int) -> None:
    """Rows without text or label are left out and counted; a regression label that is no number is an error, with its row."""
    if kind is ProblemType.REGRESSION:
        for row, (value, number) in enumerate(zip(raw[0], values, strict=True)):
            if number is None and value is not None and str(value).strip():
                raise NotNumeric(field="spec.columns.label", column=roles.label[0], row=row + 1, value=str(value)[:80])
    if usable < len(values):
        request.log("train.rows_dropped", level="warning", dropped=len(values) - usable, rows=len(values))
