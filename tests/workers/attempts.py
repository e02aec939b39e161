"""Real attempts for tests: a data set laid out as the importer does, a plan, and the worker as its own process."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kargah.contract import wire
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event
from kargah.contract.plans import TrainPlan
from kargah.kit import files
from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind, LabelCount
from kargah.text.normalise import NormaliserSettings


def described(name: str, values: Sequence[Any]) -> Column:
    """A column as the importer would describe it, for the plain cases that tests need."""
    present = [value for value in values if value is not None]
    counts = Counter(str(value) for value in present)
    kind = _kind(present, len(counts))
    lengths = [len(str(value)) for value in present]
    numeric = kind in (ColumnKind.INTEGER, ColumnKind.NUMBER)
    return Column(
        name=name, kind=kind, rows=len(values), nulls=len(values) - len(present), distinct=len(counts),
        mean_length=sum(lengths) / max(1, len(lengths)), max_length=max(lengths, default=0),
        minimum=min(present) if numeric else None, maximum=max(present) if numeric else None,
        top=[LabelCount(value=value, count=count) for value, count in counts.most_common(200)] if len(counts) <= 200 else [],
    )  # fmt: skip


def _kind(present: Sequence[Any], distinct: int) -> ColumnKind:
    if not present:
        return ColumnKind.EMPTY
    for python_type, kind in (
        (bool, ColumnKind.BOOLEAN),
        (int, ColumnKind.INTEGER),
        ((int, float), ColumnKind.NUMBER),
        (dict, ColumnKind.ANSWERS),
        (list, ColumnKind.MESSAGES if isinstance(present[0], list) and isinstance(next(iter(present[0]), None), dict) else ColumnKind.LIST),
    ):
        if all(isinstance(value, python_type) for value in present):
            return kind
    return ColumnKind.CATEGORY if distinct <= min(200, len(present) // 2) else ColumnKind.TEXT


def write_dataset(folder: Path, columns: dict[str, list[Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "data.parquet")
    files.write_json(folder / "columns.json", [described(name, values).model_dump(mode="json") for name, values in columns.items()])


def read_csv(path: Path, delimiter: str = ",") -> dict[str, list[Any]]:
    """A file with its numbers parsed where all values of a column are numbers."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    return {name: _parsed([row[name] for row in rows]) for name in rows[0]}


def read_jsonl(path: Path) -> dict[str, list[Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _parsed(values: list[str]) -> list[Any]:
    for read in (int, float):
        try:
            return [None if value == "" else read(value) for value in values]
        except ValueError:
            continue
    if set(values) <= {"True", "False", ""}:
        return [None if value == "" else value == "True" for value in values]
    return [value or None for value in values]


class Job:
    """One job's directory; ``attempt()`` runs the worker as a process."""

    def __init__(self, home: Path, recipe: str, columns: dict[str, list[Any]], **plan: Any) -> None:
        self.home, self.recipe, self.columns, self.number = home, recipe, columns, 0
        self.spec = plan.pop("spec", {})
        self.plan = {"normaliser": NormaliserSettings().model_dump(mode="json"), **plan}

    def lay_out(self, **changes: Any) -> AttemptDirectory:
        self.number += 1
        directory = AttemptDirectory.of(self.home, "job_1", self.number)
        write_dataset(directory.inputs / "data", self.columns)
        plan = {**self.plan, **changes}
        dataset = {"folder": "data", "title": "نمونه", "normaliser": plan.pop("normaliser")}
        spec = catalogue.get(self.recipe).spec.model_validate(self.spec).model_dump(mode="json")
        base, teacher = plan.pop("base_model", None), plan.pop("teacher", None)
        for name, folder in (("base", base), ("teacher", teacher)):
            if folder is not None:
                (directory.inputs / name).symlink_to(folder)
        full = TrainPlan(
            job_id="job_1", attempt=self.number, title="آزمون", recipe=self.recipe, spec=spec, chosen=list(self.spec), datasets=[dataset],
            base_model={"folder": "base", "title": "base"} if base is not None else None,
            teacher_model={"folder": "teacher", "title": "آموزگار"} if teacher is not None else None, **plan,
        )  # fmt: skip
        files.write_bytes(directory.plan, full.model_dump_json().encode())
        return directory

    def run(self, **changes: Any) -> tuple[AttemptDirectory, list[Event]]:
        directory = self.lay_out(**changes)
        process = start(directory)
        assert process.wait(timeout=240) == 0, directory.log.read_text()
        return directory, events_of(directory)


def start(directory: AttemptDirectory, module: str = "kargah.workers.train") -> subprocess.Popen[bytes]:
    with directory.log.open("wb") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, "-m", module, str(directory.path)], stdout=log, stderr=log, env=environment)


def events_of(directory: AttemptDirectory) -> list[Event]:
    return [wire.decode(line) for line, _ in wire.whole_lines(directory.events, 0, 1 << 30)]


def of_kind(events: Iterable[Event], kind: str) -> list[Any]:
    return [event for event in events if event.kind == kind]
