"""What is told of a model that was put before rows: figures with intervals, slices, calibration, errors; and of two, who is better."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kargah.contract.plans import EvaluatedModel
from kargah.contract.results import Calibration, Measured, ModelMeasured, Paired, SliceMeasured
from kargah.recipes import evidence
from kargah.recipes.evaluation import Exam, Group, by_size
from kargah.recipes.evidence import Measure
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.outcomes import Outcomes
from kargah.recipes.predictor import Predictor
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.table import Table, as_label, normaliser_of
from kargah.workers import kept
from kargah.workers.kept import Kept

_SLICE_RESAMPLES = 200
_MOST_SLICES = 24
_MOST_CHARACTERS = 20_000
_ROWS_A_GROUP = 5_000
_COLUMNS = {"row": pa.int64(), "input": pa.string(), "expected": pa.string(), "answered": pa.string(), "score": pa.float64(),
            "error": pa.float64()}  # fmt: skip


@dataclass
class Report:
    """On the rows of ``table``; ``slices``: its columns that part them. ``check`` raises when the attempt must end."""

    table: Table
    slices: Sequence[str]
    check: Callable[[], None]
    measures: list[Measure] = field(default_factory=list)

    def of_model(
        self, exam: Exam, scores: FloatArray, model: EvaluatedModel, answers: Sequence[str], folder: Path, number: int
    ) -> ModelMeasured:
        """``answers``: the columns that hold what is right. Writes the table of errors, and what is kept of each row, into ``folder``."""
        outcomes = exam.outcomes(scores)
        measure, whole = exam.measure(scores, outcomes), np.arange(len(exam.rows))
        self.measures.append(measure)
        metrics = evidence.figures(whole, measure, self.check)
        stated = exam.stated(scores)
        return ModelMeasured(
            version_id=model.version_id,
            title=model.title,
            metrics={name: Measured(**asdict(figure)) for name, figure in metrics.items()},
            slices=list(self._slices(exam, scores, measure)),
            calibration=Calibration.model_validate(asdict(evidence.calibration(*stated))) if stated is not None else None,
            detail=exam.problem.evaluate(exam.targets, scores).detail,
            errors=_write_errors(folder / f"errors-{number}.parquet", exam, scores, self.check),
            errors_file=f"errors-{number}.parquet",
            outcomes_file=self._keep(exam, scores, outcomes, answers, folder / f"outcomes-{number}.parquet"),
        )

    def _keep(self, exam: Exam, scores: FloatArray, outcomes: Outcomes | None, answers: Sequence[str], path: Path) -> str | None:
        """The name of the file, where one was written."""
        if outcomes is None:
            return None
        columns = [self.table.column(name, "answers") for name in answers]
        expected = kept.digests([[column[row] for column in columns] for row in exam.rows])
        whole = Kept(np.array(exam.rows, dtype=np.int64), expected, outcomes, exam.right(scores))
        return path.name if kept.write(path, whole) else None

    def paired(self, exams: Sequence[Exam], scores: Sequence[FloatArray]) -> Paired:
        problem, first, second = exams[0].problem, exams[0].right(scores[0]), exams[1].right(scores[1])
        right = (first, second) if first is not None and second is not None else None
        measures = (self.measures[0], self.measures[1])
        lower = problem.lower_is_better
        told = evidence.paired(problem.primary_metric, lower, len(exams[0].rows), measures, right, self.check)
        return Paired.model_validate(asdict(told))

    def _slices(self, exam: Exam, scores: FloatArray, measure: Measure) -> Iterator[SliceMeasured]:
        for by, column, group in self._groups(exam):
            places = np.array(group.places, dtype=np.int64)
            metric, measured = self._figure(exam, scores, measure, by, places)
            yield SliceMeasured(
                by=by, value=group.value, column=column, low=group.low, high=group.high, rows=len(places), metric=metric, measured=measured
            )  # fmt: skip

    def _figure(self, exam: Exam, scores: FloatArray, measure: Measure, by: Any, places: IntArray) -> tuple[str, Measured]:
        """Rows of one label have one class, of which F1 says nothing: there it is the share that is right. R² of a narrow range says as
        little: there it is the mean error."""
        problem = exam.problem
        if by == "label" and isinstance(problem, ColumnProblem):
            right = exam.right(scores)
            assert right is not None
            return "accuracy", Measured(**asdict(evidence.share(right[places])))
        metric = "mae" if isinstance(problem, ColumnProblem) and problem.type is ProblemType.REGRESSION else problem.primary_metric

        def only(rows: IntArray) -> dict[str, float | None]:
            return {metric: measure(rows)[metric]}

        return metric, Measured(**asdict(evidence.figures(places, only, self.check, _SLICE_RESAMPLES)[metric]))

    def _groups(self, exam: Exam) -> Iterator[tuple[Any, str | None, Group]]:
        """(what parts them, the column that does, the rows), the largest parts of each first; one part alone tells nothing."""
        own = sorted(exam.groups(), key=lambda group: -len(group.places) if not group.low else 0)
        yield from ((exam.grouped_by, None, group) for group in own[:_MOST_SLICES])
        if exam.raw is not None:
            yield from (("length", None, group) for group in by_size(np.array([len(text) for text in exam.raw])))
            normal = list(_by_spelling(exam))
            yield from (("normalised", None, group) for group in (normal if len(normal) > 1 else []))
        for column in self.slices:
            values = self.table.column(column, "slices")
            members: dict[str, list[int]] = {}
            for place, row in enumerate(exam.rows):
                members.setdefault(as_label(values[row]) or "", []).append(place)
            parts = sorted(members.items(), key=lambda part: (-len(part[1]), part[0]))
            yield from (("column", column, Group(value, places)) for value, places in parts[:_MOST_SLICES])


def _by_spelling(exam: Exam) -> Iterator[Group]:
    """Texts that the model's normaliser leaves as they are, and those that it changes."""
    predictor: Predictor | None = getattr(exam, "predictor", None)
    normaliser = normaliser_of(predictor.about["normaliser"]) if predictor is not None else None
    if normaliser is None or exam.raw is None:
        return
    as_is = np.array([all(normaliser.apply(line) == line for line in text.split("\n")) for text in exam.raw])
    for value, which in (("as_is", as_is), ("changed", ~as_is)):
        if which.any():
            yield Group(value, np.flatnonzero(which).tolist())


def _write_errors(path: Path, exam: Exam, scores: FloatArray, check: Callable[[], None]) -> int:
    """All rows that are not right, the worst first. Returns how many."""
    wrong = []
    for place in range(len(exam.rows)):
        if place % 1000 == 0:
            check()
        told = exam.told(place, scores[place])
        if told.error > 0:
            wrong.append((place, told))
    wrong.sort(key=lambda pair: (-pair[1].error, pair[0]))
    columns: dict[str, list[Any]] = {
        "row": [exam.rows[place] + 1 for place, _ in wrong],
        "input": [exam.inputs[place][:_MOST_CHARACTERS] for place, _ in wrong],
        "expected": [told.expected for _, told in wrong],
        "answered": [told.answered for _, told in wrong],
        "score": [told.score for _, told in wrong],
        "error": [told.error for _, told in wrong],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=pa.schema(_COLUMNS)), path, row_group_size=_ROWS_A_GROUP)
    return len(wrong)
