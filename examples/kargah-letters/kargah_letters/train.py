"""The three functions that the loop asks for. Torch is imported in ``build``, so that what is refused is refused in a second."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kargah.recipes.baselines.majority import Majority
from kargah.recipes.errors import TooFewRows
from kargah.recipes.labels import ordered
from kargah.recipes.parts import divide, named_parts, require_all
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Baseline, Prepared, Request, Task
from kargah.recipes.table import as_label
from kargah.recipes.text_columns import roles_of, texts_of
from kargah_letters.spec import RECIPE

BASELINE_LIBRARIES: tuple[str, ...] = ()


@dataclass
class Letters(Prepared):
    texts: list[str]


def prepare(request: Request) -> Letters:
    roles, decision = roles_of(request, RECIPE)
    texts = texts_of(request, "text", roles["text"][0])
    names = [as_label(value) for table in request.tables for value in table.column(roles["label"][0], "label")]
    usable = [row for row, name in enumerate(names) if name is not None and texts[row].strip()]
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    labels = ordered([(names[row],) for row in usable])
    targets = np.array([labels.index(names[row]) for row in usable], dtype=np.int64)
    texts, named = [texts[row] for row in usable], named_parts(request)
    parts = divide(request, named and [named[row] for row in usable], texts, targets.tolist())
    require_all(targets, parts, labels)
    problem = ColumnProblem.of(ProblemType.SINGLE_LABEL, labels, "auto")
    describe = {**problem.as_dict(), "columns": {"text": roles["text"][0]}, "normaliser": request.tables[0].normaliser}
    return Letters(problem, targets, parts.train, parts.validation, describe, [decision, *parts.decisions], texts, test_rows=parts.test)


def baselines(prepared: Prepared, _: Request) -> Iterator[Callable[[], Baseline]]:
    yield lambda: Majority.fit(prepared.problem, prepared.targets[prepared.train_rows])


def build(prepared: Prepared, request: Request) -> Task:
    from kargah_letters.model import build_task

    return build_task(prepared, request)
