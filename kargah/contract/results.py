"""What an attempt leaves behind: carried in ``Finished.result``, its files under ``outputs/``."""

from typing import Any, Literal

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
    ``validation_value`` is the primary metric on the validation rows, by which one model is recommended. ``validation_error`` is its
    standard error, of a simple model that has since learnt again from the training and validation rows together.
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
    validation_error: float | None = None
    interval: Interval | None = None
    detail: JsonDict = {}
    train_seconds: float
    files: list[OutputFile]
    size_bytes: int


class TeacherMeasured(BaseModel):
    """A model that taught others, on the very rows that they are measured on; no output of the training."""

    title: str
    version_id: str | None = None
    architecture: str
    split: str
    metrics: dict[str, float | None]
    interval: Interval | None = None


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
    teacher: TeacherMeasured | None = None


class Measured(BaseModel):
    """A figure with its 95 % interval, where there is one."""

    value: float | None
    low: float | None = None
    high: float | None = None


class SliceMeasured(BaseModel):
    """Some of the rows, and how good the answers are there.

    ``by``: label, length (of the text, in characters), target (a number), normalised, or column. ``value``: which of them; of lengths and
    numbers the ``low`` and ``high`` that count in. ``column``: of the data, where ``by`` is column.
    """

    by: Literal["label", "length", "target", "normalised", "column"]
    value: str = ""
    column: str | None = None
    low: float | None = None
    high: float | None = None
    rows: int
    metric: str
    measured: Measured


class CalibrationBin(BaseModel):
    """Answers whose stated probability lies between ``low`` and ``high``: the mean of those, and the share that was right."""

    low: float
    high: float
    count: int
    stated: float
    right: float


class Calibration(BaseModel):
    """``expected_error``: ECE over ten bins of equal width (Guo et al. 2017). ``answers`` are rows, words or labels."""

    answers: int
    expected_error: float
    bins: list[CalibrationBin]


class ModelMeasured(BaseModel):
    """``errors``: rows of ``errors_file`` (a Parquet table, the worst first), relative to ``outputs/evaluation/``.

    ``outcomes_file``: what later comparisons take of each row, beside it; null where a recipe keeps none, or that would be too much.
    """

    version_id: str
    title: str
    metrics: dict[str, Measured]
    slices: list[SliceMeasured]
    calibration: Calibration | None = None
    detail: JsonDict = {}
    errors: int
    errors_file: str
    outcomes_file: str | None = None


class McNemar(BaseModel):
    """Rows that one of two models alone had right, and how likely that is where neither is better (exact, two-sided)."""

    only_first: int
    only_second: int
    p_value: float


class Paired(BaseModel):
    """``difference``: the first model's primary metric less the second's, on the same rows, with its 95 % bootstrap interval.

    ``verdict``: first or second where one is better beyond chance, else none.
    """

    metric: str
    difference: Measured
    p_value: float | None
    mcnemar: McNemar | None = None
    verdict: Literal["first", "second", "none"]


class Compared(BaseModel):
    """Two models by what was kept of two evaluations, on the ``rows`` that both were asked; ``only_first`` and ``only_second`` rows were
    asked of one alone and do not count. ``first``, ``second``: their metric on the common rows."""

    rows: int
    only_first: int
    only_second: int
    first: float | None
    second: float | None
    lower_is_better: bool
    paired: Paired


class EvaluateResult(BaseModel):
    """``left_out``: why → how many rows were not asked: other_part, unusable, taught. ``taught_rows``: the first of those that taught
    a model, numbered from 1."""

    rows: int
    left_out: dict[str, int]
    taught_rows: list[int] = []
    primary_metric: str
    lower_is_better: bool
    models: list[ModelMeasured]
    paired: Paired | None = None
    files: list[OutputFile]


class IngestResult(BaseModel):
    """``files``: data.parquet, columns.json, preview.jsonl, report.json, and ragged.jsonl where there is one, in ``outputs/dataset/``.

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


class ScriptResult(BaseModel):
    """``files``: all that a custom script left in ``outputs/``."""

    files: list[OutputFile]
    step: int


class UnbundleResult(BaseModel):
    """All contents of a bundle lie in ``outputs/contents``, verified."""

    files: int
    size_bytes: int


class ScrubResult(BaseModel):
    """``damaged``: SHA-256 of files whose bytes are no longer those; ``unreadable``: of files that the disk does not give."""

    files: int
    size_bytes: int
    damaged: list[str] = []
    unreadable: list[str] = []


class ScanResult(BaseModel):
    """``hashed``: how many of ``files`` were read, the others being as they were. ``index``: the job's output that lists them all.

    Left out: ``links`` and what is no ordinary file, ``unreadable`` ones, and ``badly_named`` ones whose names are no text.
    ``damaged``: objects of a store that have other bytes than they had, and are said to be unchanged. ``pickles``: of a store, the one
    of each folder that would be a model, had it its weights in another form.
    """

    index: str
    files: int
    size_bytes: int
    hashed: int
    hashed_bytes: int
    links: int = 0
    unreadable: int = 0
    badly_named: int = 0
    damaged: list[str] = []
    pickles: list[str] = []
