"""What every making of a version leaves: data.parquet (written before), columns.json, preview.jsonl, report.json; perhaps ragged.jsonl."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kargah.contract.results import OutputFile
from kargah.kit import files
from kargah.recipes import catalogue
from kargah.recipes.columns import Column
from kargah.text.normalise import NORMALISER_VERSION
from kargah.workers.reading import ragged
from kargah.workers.reading.profile import ColumnProfile

OUTPUTS = ("data.parquet", "columns.json", "preview.jsonl", "report.json")
#: An event is one line that is carried whole: columns.json has what does not fit.
_MAX_COLUMNS_IN_EVENT_BYTES = 256 * 1024


def write_outcome(folder: Path, columns: list[Column], preview: list[dict[str, Any]], report: dict[str, Any]) -> list[OutputFile]:
    """The files beside data.parquet, and all of them with their hashes."""
    files.write_json(folder / "columns.json", [column.model_dump(mode="json") for column in columns])
    files.write_json(folder / "report.json", report)
    lines = (json.dumps(row, ensure_ascii=False, default=str) for row in preview)
    files.write_bytes(folder / "preview.jsonl", "".join(f"{line}\n" for line in lines).encode())
    kept = [*OUTPUTS, ragged.FILE] if (folder / ragged.FILE).exists() else OUTPUTS
    return [_output(folder, name) for name in kept]


def normalising(profiles: Sequence[ColumnProfile]) -> dict[str, Any]:
    """What the normaliser would change; the stored text is as it came."""
    counts: Counter[str] = Counter()
    for profile in profiles:
        counts.update(profile.normaliser_counts)
    return {
        "version": NORMALISER_VERSION,
        "counts": dict(counts.most_common()),
        "columns": {profile.name: profile.values_changed for profile in profiles if profile.values_changed},
        "values_changed": sum(profile.values_changed for profile in profiles),
        "values_looked_at": sum(profile.values_normalised for profile in profiles),
    }


def task_told(columns: list[Column]) -> dict[str, Any] | None:
    task = catalogue.task_of(columns)
    return {"name": task.name, "columns": task.columns, "has_recipe": task.has_recipe} if task else None


def columns_for_event(columns: list[Column]) -> list[dict[str, Any]]:
    dumped = [column.model_dump(mode="json") for column in columns]
    if len(json.dumps(dumped, ensure_ascii=False).encode()) <= _MAX_COLUMNS_IN_EVENT_BYTES:
        return dumped
    return [{**column, "top": [], "examples": []} for column in dumped]


def _output(folder: Path, name: str) -> OutputFile:
    digest = files.digest_of(folder / name)
    return OutputFile(path=name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
