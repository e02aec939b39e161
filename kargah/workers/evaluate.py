"""Measure models on rows with known answers: ``python -m kargah.workers.evaluate ATTEMPT_DIR``.

In: plan.json, inputs/, control.json. Out: events.jsonl, and in outputs/evaluation/ for each model a table of its errors, the worst
first, and what is kept of each row (``workers.kept``). Begun again, it begins anew: nothing of an attempt that broke off is kept.
"""

import importlib
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kargah.contract.plans import DatasetInput, EvaluatePlan, Plan, TrainPlan
from kargah.contract.results import EvaluateResult, OutputFile
from kargah.kit import files
from kargah.recipes import catalogue, hints
from kargah.recipes.base import Recipe
from kargah.recipes.errors import NothingToEvaluate
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.threads import limit_threads

if TYPE_CHECKING:
    from collections.abc import Hashable

    from kargah.recipes.evaluation import EvaluateModule, Exam
    from kargah.recipes.table import Table

_PROGRESS_SECONDS = 0.5
#: Settings of a base model, which is not at hand here; they change nothing of which rows taught.
_OF_A_BASE_MODEL = frozenset({"new_tokens", "frozen_encoder"})
_MOST_NAMED = 20
FOLDER = "evaluation"


def evaluate(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    """Return the EvaluateResult as JSON. Raises a KargahError for what cannot be done."""
    assert isinstance(plan, EvaluatePlan)
    limit_threads(plan.threads)
    work = _Work(plan, attempt, catalogue.get(plan.recipe))
    return work.done().model_dump(mode="json")


@dataclass
class _Work:
    plan: EvaluatePlan
    attempt: Attempt
    recipe: Recipe
    told_seconds: float = 0.0

    def done(self) -> EvaluateResult:
        from kargah.workers import judging

        table = _table(self.attempt.directory.inputs, self.plan.dataset)
        module = cast("EvaluateModule", importlib.import_module(f"{self.recipe.runtime}.evaluate"))
        exams = [self._exam(module, model.folder, table) for model in self.plan.models]
        wanted, left_out = self._wanted(table, exams)
        taught = self._taught(module, exams)
        left_out["taught"] = len(wanted & taught)
        asked = sorted(wanted - taught)
        if not asked:
            raise NothingToEvaluate(field="dataset", title=self.plan.dataset.title, rows=table.rows, taught=left_out["taught"])
        exams = [_among(exam, set(asked)) for exam in exams]
        self.attempt.tell("Running")
        scores = [exam.scores(self._tick_of(number, len(exams))) for number, exam in enumerate(exams)]
        self._say(1.0, len(asked), "evaluate.measuring")
        report = judging.Report(table, self.plan.slices, self.attempt.wants.check)
        models, outputs = [], self.attempt.directory.outputs / FOLDER
        for number, (exam, model, told) in enumerate(zip(exams, self.plan.models, scores, strict=True)):
            models.append(report.of_model(exam, told, model, self._answers(model.folder), outputs, number))
        problem = exams[0].problem
        return EvaluateResult(
            rows=len(asked),
            left_out={why: count for why, count in left_out.items() if count},
            taught_rows=[row + 1 for row in sorted(wanted & taught)[:_MOST_NAMED]],
            primary_metric=problem.primary_metric,
            lower_is_better=problem.lower_is_better,
            models=models,
            paired=report.paired(exams, scores) if len(exams) > 1 else None,
            files=[_file(outputs, path) for path in sorted(outputs.iterdir())],
        )

    def _exam(self, module: "EvaluateModule", folder: str, table: "Table") -> "Exam":
        from kargah.recipes.predictor import load_predictor

        self.attempt.wants.check()
        return module.exam(load_predictor(self.attempt.directory.inputs / folder, self.plan.threads), table)

    def _answers(self, folder: str) -> list[str]:
        """The columns that hold what is right, by the names that the model learnt them by."""
        taken = files.read_json(self.attempt.directory.inputs / folder / "kargah.json")["columns"][self.recipe.target]
        return [taken] if isinstance(taken, str) else list(taken)

    def _wanted(self, table: "Table", exams: "list[Exam]") -> tuple[set[int], dict[str, int]]:
        """(the rows of the wanted part that every model can be asked, how many others there are and why)."""
        of_part = set(range(table.rows)) if self.plan.part == "all" else _rows_of_part(table, self.plan.part)
        usable = set(exams[0].rows).intersection(*(exam.rows for exam in exams))
        return of_part & usable, {"other_part": table.rows - len(of_part), "unusable": len(of_part - usable)}

    def _taught(self, module: "EvaluateModule", exams: "list[Exam]") -> set[int]:
        """Rows that taught one of the models, or are to it the same as one that did."""
        found: set[int] = set()
        for exam, model in zip(exams, self.plan.models, strict=True):
            if model.taught is not None:
                keys = self._learnt(module, model.folder, model.taught)
                found |= {row for row, key in zip(exam.rows, exam.keys, strict=True) if key in keys}
        return found

    def _learnt(self, module: "EvaluateModule", folder: str, taught: str) -> "set[Hashable]":
        """The training's own rows are prepared once more, to the same effect: its plan travels with the model."""
        from kargah.recipes.runtime import Request

        inputs = self.attempt.directory.inputs
        plan = TrainPlan.model_validate(files.read_json(inputs / folder / "plan.json"))
        runtime = importlib.import_module(f"{self.recipe.runtime}.train")
        tables = [_table(inputs / taught, dataset) for dataset in plan.datasets]
        spec = self.recipe.spec.model_validate({name: value for name, value in plan.spec.items() if name not in _OF_A_BASE_MODEL})
        request = Request(
            recipe=self.recipe.name, spec=spec, chosen=frozenset(plan.chosen), tables=tables, base_model=None, threads=self.plan.threads,
            scratch=self.attempt.directory.path, log=lambda *_, **__: None, check=self.attempt.wants.check,
        )  # fmt: skip
        return module.learnt(runtime.prepare(request))

    def _tick_of(self, number: int, models: int) -> Any:
        rows = 0

        def tick(done: int) -> None:
            nonlocal rows
            rows = max(rows, done)
            self.attempt.wants.check()
            self._say_now_and_then(rows, self.plan.models[number].title, number, models)

        return tick

    def _say_now_and_then(self, done: int, title: str, number: int, models: int) -> None:
        now = time.monotonic()
        if now - self.told_seconds >= _PROGRESS_SECONDS:
            self.told_seconds = now
            params = {"model": title, "of": models, "number": number + 1}
            self.attempt.tell("Progress", done=done, unit="rows", code="evaluate.asking", params=params)

    def _say(self, done: float, total: float, code: str) -> None:
        self.attempt.tell("Progress", done=done * total, total=total, unit="rows", code=code)


def _table(inputs: Path, dataset: DatasetInput) -> "Table":
    from kargah.recipes import table

    found = replace(table.read(inputs / dataset.folder, dataset.normaliser), title=dataset.title, weight=dataset.weight)
    return table.renamed(found, dataset.columns) if dataset.columns else found


def _rows_of_part(table: "Table", part: str) -> set[int]:
    column = next(name for name, column in table.columns.items() if hints.is_split(column))
    return {row for row, value in enumerate(table.values[column]) if hints.part_of(value) == part}


def _among(exam: "Exam", rows: set[int]) -> "Exam":
    return exam.keep([place for place, row in enumerate(exam.rows) if row in rows])


def _file(folder: Path, path: Path) -> OutputFile:
    digest = files.digest_of(path)
    return OutputFile(path=str(path.relative_to(folder)), sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m kargah.workers.evaluate ATTEMPT_DIR\n")
        return 2
    return run_attempt(Path(sys.argv[1]), evaluate)


if __name__ == "__main__":
    sys.exit(main())
