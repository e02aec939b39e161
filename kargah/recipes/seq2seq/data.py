"""From a table to texts and what is to be written from them. No torch here."""

from collections.abc import Iterable
from dataclasses import dataclass

from kargah.recipes import weights
from kargah.recipes.base import SPLIT
from kargah.recipes.errors import TooFewRows
from kargah.recipes.parts import divide, named_parts, source_decisions, sources_of
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Prepared, Request
from kargah.recipes.seq2seq.metrics import Seq2SeqProblem
from kargah.recipes.seq2seq.spec import RECIPE, Seq2SeqSpec
from kargah.recipes.text_columns import roles_of, texts_of


@dataclass
class Seq2SeqData(Prepared):
    """``texts``: what is read, normalised; ``targets`` are texts as well, normalised likewise."""

    problem: Seq2SeqProblem
    texts: list[str]

    def texts_of(self, rows: Iterable[int]) -> tuple[list[str], list[str]]:
        """(texts that are read, texts that are written) of these rows."""
        picked = list(rows)
        return [self.texts[row] for row in picked], [str(self.targets[row]) for row in picked]


def prepare(request: Request) -> Seq2SeqData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, Seq2SeqSpec)
    if request.base_model is not None:
        weights.shapes_of(request.base_model)
    roles, role_decision = roles_of(request, RECIPE)
    read, written = (texts_of(request, role, roles[role][0]) for role in ("source", "target"))
    usable = [row for row, (text, target) in enumerate(zip(read, written, strict=True)) if text.strip() and target.strip()]
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    if len(usable) < len(read):
        request.log("train.rows_dropped", level="warning", dropped=len(read) - len(usable), rows=len(read))
    texts, named = [read[row] for row in usable], named_parts(request)
    # Rows with the same source stay together: what is written from it would be known in part.
    parts = divide(request, named and [named[row] for row in usable], texts, [0] * len(usable))
    problem, sources = Seq2SeqProblem.of(spec.primary_metric), sources_of(request, usable)
    columns = {role: taken[0] for role, taken in roles.items() if role != SPLIT.name}
    return Seq2SeqData(
        problem, rows_of([written[row] for row in usable]), parts.train, parts.validation,
        {**problem.as_dict(), "columns": columns, "normaliser": request.tables[0].normaliser},
        [role_decision, *parts.decisions, *source_decisions(sources)], texts,
        test_rows=parts.test, split_column=parts.column, sources=sources,
    )  # fmt: skip
