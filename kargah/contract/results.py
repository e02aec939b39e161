"""What an attempt leaves behind: carried in ``Finished.result``, its files under ``outputs/``."""

from typing import Any

from pydantic import BaseModel

JsonDict = dict[str, Any]


class OutputFile(BaseModel):
    """``path`` is relative to the output's own folder. Hashes are taken by the worker right after writing."""

    path: str
    sha256: str
    git_sha1: str
    size_bytes: int


class Interval(BaseModel):
    """A 95 % confidence interval."""

    low: float
    high: float


class ModelOutput(BaseModel):
    """A usable model: ``outputs/<name>/``. Baselines are models like any other.

    ``family``: network, linear, trees or majority. ``metrics`` are those of the held-out split named by ``split``;
    ``validation_value`` is the primary metric on the validation rows, by which one model is recommended.
    """

    name: str
    family: str
    recipe: str
    architecture: str
    parameters: int
    base_version_id: str | None = None
    split: str
    primary_metric: str
    metrics: dict[str, float | None]
    validation_value: float | None = None
    interval: Interval | None = None
    detail: JsonDict = {}
    train_seconds: float
    files: list[OutputFile]
    size_bytes: int


class TrainResult(BaseModel):
    """``recommended`` names the model that is best by the primary metric; it need not be the network. A dry run has no models.

    ``outcome``: what it took, in the words of ``forecast``: train_seconds, evaluation_seconds, total_seconds, peak_memory_bytes …
    """

    models: list[ModelOutput]
    recommended: str | None
    primary_metric: str
    lower_is_better: bool = False
    steps: int
    dry_run: bool = False
    forecast: JsonDict = {}
    outcome: JsonDict = {}


class IngestResult(BaseModel):
    """``files``: data.parquet, columns.json, preview.jsonl, report.json, in ``outputs/dataset/``.

    ``source``: the file itself when it was fetched, in ``outputs/source/``, and what it is called there.
    """

    rows: int
    files: list[OutputFile]
    columns: list[JsonDict]
    report: JsonDict
    normaliser: JsonDict
    encoding: str
    format: str
    source: OutputFile | None = None
    source_filename: str = ""


class DownloadResult(BaseModel):
    """``files``: in ``outputs/repository/``, whole and of the hashes that the hub stated. ``licence`` and ``gated``: as the hub says.

    ``packed``: the files of a data set as one zip, ``outputs/packed.zip``, where there are several.
    ``fetched_bytes``: what came over the network in this attempt; the rest was here already.
    """

    repository: str
    revision: str
    commit: str
    hub: str
    files: list[OutputFile]
    packed: OutputFile | None = None
    licence: str | None = None
    gated: bool = False
    fetched_bytes: int = 0


class ScrubResult(BaseModel):
    """``damaged``: SHA-256 of files whose bytes are no longer those; ``unreadable``: of files that the disk does not give."""

    files: int
    size_bytes: int
    damaged: list[str] = []
    unreadable: list[str] = []


class ScanResult(BaseModel):
    """``hashed``: how many of ``files`` were read, the others being as they were. ``index``: the job's output that lists them all.

    Left out: ``links`` and what is no ordinary file, ``unreadable`` ones, and ``badly_named`` ones whose names are no text.
    """

    index: str
    files: int
    size_bytes: int
    hashed: int
    hashed_bytes: int
    links: int = 0
    unreadable: int = 0
    badly_named: int = 0
