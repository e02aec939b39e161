"""What a custom script and the worker beside it have in common: folders, and the lines in which the script speaks.

::

    attempts/<number>/
      told/          for the script to read: run.json, control.json (run, pause or stop), main.py
      inputs/        for the script to read: data sets
      checkpoint/    for the script to read: the last checkpoint that was kept, if any
      work/          the script's own: said.jsonl, saving/, outputs/, and its working directory

The script is believed nothing: every line is checked, and files are taken over only where they are plain files of its own folder.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

JsonDict = dict[str, Any]
#: Tells a script where the folders are.
FOLDER_VARIABLE = "KARGAH_RUN_FOLDER"
LONGEST_LINE_BYTES = 64 << 10
LONGEST_TEXT = 4000
MOST_METRICS = 64
#: As much as the columns of every database hold.
_GREATEST_STEP = 2**31 - 1
#: A figure that is no number (NaN) is null, as everywhere.
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][\w./@-]{0,63}$")]
Step = Annotated[int, Field(ge=0, le=_GREATEST_STEP)]
Metrics = Annotated[dict[MetricName, float | None], Field(max_length=MOST_METRICS)]
FolderName = Annotated[str, Field(pattern=r"^step-\d{8,16}$")]


class Folders:
    """``path``: the directory of an attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told, self.inputs, self.checkpoint, self.work = (path / name for name in ("told", "inputs", "checkpoint", "work"))
        self.about, self.control, self.script = (self.told / name for name in ("run.json", "control.json", "main.py"))
        self.said, self.saving, self.outputs = (self.work / name for name in ("said.jsonl", "saving", "outputs"))


class InputTold(BaseModel):
    """One data set: ``folder`` (relative to ``inputs/``) holds data.parquet and columns.json."""

    folder: str
    title: str
    version_id: str | None = None


class About(BaseModel):
    """What a script is told. ``checkpoint_step``: of what lies in ``checkpoint/``; null: it begins from the beginning."""

    job_id: str
    attempt: int
    threads: int
    parameters: JsonDict = {}
    inputs: list[InputTold] = []
    checkpoint_step: int | None = None


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SaidLog(_Said):
    kind: Literal["log"] = "log"
    text: str = Field(max_length=LONGEST_TEXT)
    level: Literal["info", "warning", "error"] = "info"


class SaidBegin(_Said):
    """How many steps there will be."""

    kind: Literal["begin"] = "begin"
    total_steps: Annotated[int, Field(ge=1, le=_GREATEST_STEP)] | None = None


class SaidMetrics(_Said):
    """``split`` null: of one step of training; else measured on rows that were not learnt from."""

    kind: Literal["metrics"] = "metrics"
    step: Step
    epoch: float = Field(0.0, ge=0, le=1e9)
    split: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")] | None = None
    metrics: Metrics


class SaidProgress(_Said):
    kind: Literal["progress"] = "progress"
    done: float = Field(ge=0)
    total: float | None = Field(None, gt=0)
    unit: str = Field("steps", max_length=40)


class SaidSaved(_Said):
    """A checkpoint lies in ``saving/<folder>``, whole; the worker takes it away from there."""

    kind: Literal["saved"] = "saved"
    step: Step
    folder: FolderName


class SaidHeard(_Said):
    """The script has seen that it is to stop: when it ends now, it has not finished."""

    kind: Literal["heard"] = "heard"


Said = Annotated[SaidLog | SaidBegin | SaidMetrics | SaidProgress | SaidSaved | SaidHeard, Field(discriminator="kind")]
AnySaid: TypeAdapter[Said] = TypeAdapter(Said)
