"""What a dry run foresees of time and memory, against what the training then takes.

    python benchmarks/forecast.py [--quick]

Three trainings as they are by default, each foreseen by a dry run just before: real MiniLM weights on en-sst2, a small transformer from
scratch on Persian comments, the network for tables on house prices. Beside it stands what the training's own first steps foresaw.
"""

import argparse
import csv
import itertools
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from form import figure, report
from training import DATA, minilm

from kargah.cli import attempts
from kargah.contract.events import Event
from kargah.contract.plans import BaseModelInput, DatasetInput, IngestPlan, TrainPlan
from kargah.hardware.profile import usable_cores
from kargah.recipes import choosing
from kargah.recipes.columns import Column


@dataclass(frozen=True)
class Case:
    name: str
    file: str
    rows: int
    recipe: str
    spec: dict[str, Any] = field(default_factory=dict)
    base: Path | None = None


CASES = (
    Case("minilm", "en-sst2/train.csv", 1000, "text-classification", {"epochs": 1, "batch_size": 8}, minilm()),
    Case("small_transformer", "sentiment-deepsentipers/train.csv", 2000, "text-classification", {"epochs": 2, "preset": "transformer"}),
    Case("table", "tabular-house-tehran/housePrice.csv", 3000, "tabular", {"epochs": 30, "columns": {"target": "Price"}}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the rows")
    quick = parser.parse_args().quick
    figures: dict[str, dict[str, Any]] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            foreseen, early, outcome = measured(case, Path(folder), case.rows // 4 if quick else case.rows)
        figures |= figures_of(case.name, foreseen, early, outcome)
    report("forecast", figures)


def figures_of(name: str, foreseen: dict[str, Any], early: dict[str, Any], outcome: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The ratio of what was foreseen to what it took."""
    found = {}
    for key, most in (("total_seconds", 0.20), ("peak_memory_bytes", 0.15)):
        ratio = foreseen[key] / outcome[key]
        more = {"first_steps_said": early.get(key), "dry_run_said": foreseen[key], "it_took": outcome[key]}
        goal = f"within {most:.0%}"
        found[f"{name}_{key}"] = figure(foreseen[key], outcome[key], "the outcome", goal, abs(ratio - 1) <= most, **more)
    return found


def measured(case: Case, folder: Path, rows: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(Foreseen by a dry run, foreseen by the first steps, the outcome)."""
    ingested = ingest(case, folder, rows)
    foreseen, _ = trained(case, folder, ingested, dry_run=True)
    finished, events = trained(case, folder, ingested, dry_run=False)
    early = next((event.params for event in events if event.kind == "Logged" and event.code == "train.forecast"), {})
    return foreseen["forecast"], early, finished["outcome"]


def ingest(case: Case, folder: Path, rows: int) -> tuple[Path, dict[str, Any]]:
    directory = attempts.new_attempt(folder, "ingest")
    with (
        (DATA / case.file).open(newline="", encoding="utf-8-sig") as source,
        (directory.inputs / "data.csv").open("w", newline="") as target,
    ):
        csv.writer(target).writerows(itertools.islice(csv.reader(source), rows + 1))
    plan = IngestPlan(job_id="local", file="data.csv", filename="data.csv")
    result = attempts.run("ingest", directory, plan.model_dump(mode="json"), lambda *_: None)
    return directory.outputs / "dataset", result


def trained(case: Case, folder: Path, ingested: tuple[Path, dict[str, Any]], *, dry_run: bool) -> tuple[dict[str, Any], list[Any]]:
    dataset, result = ingested
    columns = [Column.model_validate(column) for column in result["columns"]]
    recipe, match = choosing.choose(case.recipe, columns)
    directory = attempts.new_attempt(folder, "dry" if dry_run else "real")
    shutil.copytree(dataset, directory.inputs / "dataset-1")
    if case.base:
        (directory.inputs / "base").symlink_to(case.base)
    plan = TrainPlan(
        job_id="local", threads=usable_cores(), title=case.name, recipe=recipe.name,
        spec=choosing.complete(recipe, match, case.spec, columns), chosen=sorted(case.spec), dry_run=dry_run,
        datasets=[DatasetInput(folder="dataset-1", title=case.name, normaliser=result["normaliser"])],
        base_model=BaseModelInput(folder="base", title=case.base.name) if case.base else None,
    )  # fmt: skip
    finished = attempts.run("train", directory, plan.model_dump(mode="json"), lambda *_: None)
    return finished, list(said(directory.events))


def said(path: Path) -> Iterable[Event]:
    from kargah.contract import wire

    return (wire.decode(line) for line, _ in wire.whole_lines(path, 0, 1 << 30))


if __name__ == "__main__":
    main()
