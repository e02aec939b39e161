"""Imports for tests: the real worker's work in this process, or its own process."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kargah.contract import wire
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event
from kargah.contract.fixes import AnyFix
from kargah.contract.plans import IngestPlan, MendPlan
from kargah.contract.results import IngestResult
from kargah.contract.wire import EventWriter
from kargah.kit import files
from kargah.workers.edge import Attempt
from kargah.workers.ingest import Import
from kargah.workers.mend import Mending
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data beside the checkout")


class Imported:
    """What an import left. ``problems`` by code, the first of each."""

    def __init__(self, directory: AttemptDirectory, result: IngestResult) -> None:
        self.folder, self.result = directory.outputs / "dataset", result
        self.report = result.report
        self.columns = {column["name"]: column for column in result.columns}
        self.problems: dict[str, dict[str, Any]] = {}
        for problem in result.report["problems"]:
            self.problems.setdefault(problem["code"], problem)

    def table(self) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = pq.read_table(self.folder / "data.parquet").to_pydict()
        return columns

    def kinds(self) -> dict[str, str]:
        return {name: column["kind"] for name, column in self.columns.items()}

    def preview(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "preview.jsonl").read_text().splitlines()]


def lay_out(home: Path, content: bytes | Path, filename: str = "data.csv", **options: Any) -> AttemptDirectory:
    """An attempt with its plan and input. Options are the plan's: encoding, delimiter, max_rows …"""
    directory = AttemptDirectory.of(home, "job_1", 1)
    directory.inputs.mkdir(parents=True)
    if isinstance(content, Path):
        shutil.copyfile(content, directory.inputs / "upload")
        filename = content.name
    else:
        (directory.inputs / "upload").write_bytes(content)
    plan = IngestPlan(job_id="job_1", file="upload", filename=filename, **options)
    files.write_bytes(directory.plan, plan.model_dump_json().encode())
    return directory


def read(home: Path, content: bytes | str | Path, filename: str = "data.csv", **options: Any) -> Imported:
    """Raises what the worker would fail with."""
    directory = lay_out(home, content.encode() if isinstance(content, str) else content, filename, **options)
    plan = IngestPlan.model_validate_json(directory.plan.read_bytes())
    result = Import(plan, directory, Teller(EventWriter(directory.events)), lambda: None).run()
    return Imported(directory, IngestResult.model_validate(result.model_dump(mode="json")))


def start(directory: AttemptDirectory) -> subprocess.Popen[bytes]:
    with directory.log.open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "kargah.workers.ingest", str(directory.path)], stdout=log, stderr=log)


def events_of(directory: AttemptDirectory) -> list[Event]:
    return [wire.decode(line) for line, _ in wire.whole_lines(directory.events, 0, 1 << 30)]


def lay_out_mend(home: Path, parent: Imported, fixes: Sequence[Any]) -> AttemptDirectory:
    """An attempt that makes the next version of ``parent``."""
    directory = AttemptDirectory.of(home, "job_2", 1)
    shutil.copytree(parent.folder, directory.inputs / "parent")
    plan = MendPlan(job_id="job_2", fixes=[AnyFix.validate_python(fix) for fix in fixes], normaliser=parent.result.normaliser)
    files.write_bytes(directory.plan, plan.model_dump_json().encode())
    return directory


def mend(home: Path, parent: Imported, *fixes: dict[str, Any]) -> Imported:
    """The next version. Raises what the worker would fail with."""
    directory = lay_out_mend(home, parent, fixes)
    plan = MendPlan.model_validate_json(directory.plan.read_bytes())
    tell = Teller(EventWriter(directory.events))
    attempt = Attempt(directory, tell, Wants(directory.control, tell, directory.memory))
    try:
        result = Mending(plan, directory, attempt).run()
    finally:
        attempt.wants.close()
    return Imported(directory, IngestResult.model_validate(result.model_dump(mode="json")))


def start_mend(home: Path, parent: Imported, fixes: Sequence[Any]) -> AttemptDirectory:
    """The worker as its own process, to its end."""
    directory = lay_out_mend(home, parent, fixes)
    with directory.log.open("wb") as log:
        command = [sys.executable, "-m", "kargah.workers.mend", str(directory.path)]
        assert subprocess.run(command, stdout=log, stderr=log, timeout=120, check=False).returncode == 0
    return directory
