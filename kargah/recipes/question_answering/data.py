"""From a table to questions with passages and the places of their answers: roles, normalised once, split. No torch here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kargah.recipes import catalogue, weights
from kargah.recipes.errors import AnswerUnplaced, NormalisersDiffer, RoleMissing, TooFewRows
from kargah.recipes.parts import divide, named_parts, source_decisions, sources_of
from kargah.recipes.problem import rows_of
from kargah.recipes.question_answering.measuring import AnswersProblem
from kargah.recipes.question_answering.spec import RECIPE, QuestionAnsweringSpec
from kargah.recipes.question_answering.texts import Asked, Passage
from kargah.recipes.runtime import Decision, Prepared, Request
from kargah.recipes.table import Table, normaliser_of

_ROLES = ("context", "question", "answers")
#: Passages stand in many rows; so many are kept at hand normalised.
_PASSAGES = 4096
Read = Callable[[str], Passage]


@dataclass
class AnswerData(Prepared):
    """``asked``: of all rows."""

    problem: AnswersProblem
    asked: list[Asked]

    def asked_of(self, rows: Iterable[int]) -> list[Asked]:
        return [self.asked[row] for row in rows]


def prepare(request: Request) -> AnswerData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, QuestionAnsweringSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
    columns, role_decision = _roles(request)
    asked, usable = _rows(request, columns)
    problem = AnswersProblem.of(spec.primary_metric)
    named = named_parts(request)
    # Questions on one passage stay together: who has seen a passage's answers has seen the passage.
    groups, strata = [one.passage.read for one in asked], [bool(one.answers) for one in asked]
    parts = divide(request, named and [named[row] for row in usable], groups, strata)
    sources = sources_of(request, usable)
    return AnswerData(
        problem, rows_of([tuple(text for text, _, _ in one.answers) for one in asked]), parts.train, parts.validation,
        {**problem.as_dict(), "columns": columns, "normaliser": request.tables[0].normaliser, "longest_answer": spec.longest_answer},
        [role_decision, *parts.decisions, *source_decisions(sources)], asked,
        test_rows=parts.test, split_column=parts.column, sources=sources,
    )  # fmt: skip


def _roles(request: Request) -> tuple[dict[str, str], Decision]:
    given = request.spec.columns
    if not given:
        match = catalogue.match_of(RECIPE, list(request.tables[0].columns.values()))
        given = match.columns if match else {}
    columns = {}
    for role in _ROLES:
        taken = given.get(role)
        if not taken:
            raise RoleMissing(field=f"spec.columns.{role}", role=role)
        columns[role] = taken if isinstance(taken, str) else taken[0]
    source, why = ("chosen", "why.chosen") if "columns" in request.chosen else ("adapted", "why.columns_guessed")
    return columns, Decision("columns", columns, source, why)


def _rows(request: Request, columns: dict[str, str]) -> tuple[list[Asked], list[int]]:
    """Return (questions, numbers of the rows that can be used), all tables one after another."""
    if any(table.normaliser != request.tables[0].normaliser for table in request.tables):
        raise NormalisersDiffer(field="datasets")
    normaliser = normaliser_of(request.tables[0].normaliser)
    read = lru_cache(maxsize=_PASSAGES)(lambda text: Passage.of(text, normaliser))
    asked, usable, seen, moved = [], [], 0, 0
    for table in request.tables:
        cells = zip(*(table.column(columns[role], role) for role in _ROLES), strict=True)
        for row, (context, question, answers) in enumerate(cells, 1):
            if row % 200 == 0:
                request.check()
            if context and question and str(context).strip() and str(question).strip():
                one, off = _asked(str(context), str(question), answers, read, (request, table, row))
                moved += off
                if one is not None:
                    asked.append(one)
                    usable.append(seen)
            seen += 1
    if moved:
        request.log("train.answers_moved", level="warning", rows=moved)
    if len(usable) < seen:
        request.log("train.rows_dropped", level="warning", dropped=seen - len(usable), rows=seen)
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    return asked, usable


def _asked(context: str, question: str, answers: Any, read: Read, where: tuple[Request, Table, int]) -> tuple[Asked | None, bool]:
    """Return (the question, whether an answer stood elsewhere than its row says); None for a row that is left out."""
    request, table, row = where
    passage, asked = read(context), normaliser_of(table.normaliser)
    found, moved = [], False
    for text, start in zip((answers or {}).get("text") or [], (answers or {}).get("answer_start") or [], strict=False):
        place = start if start is not None and context[start : start + len(text)] == text else context.find(text)
        if not text or place < 0:
            if request.spec.skip_bad_rows:
                return None, False
            raise AnswerUnplaced(field="spec.columns.answers", row=row, title=table.title, answer=str(text)[:80], start=start)
        moved = moved or place != start
        found.append((text, *passage.seen(place, place + len(text))))
    return Asked(asked.apply(question) if asked else question, passage, tuple(found)), moved
