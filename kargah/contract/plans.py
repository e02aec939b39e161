"""What a worker is told. Inputs are named by hash; the agent lays them out under ``inputs/``."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kargah.contract.fixes import Fix, Meaning
from kargah.contract.stores import Store

JsonDict = dict[str, Any]
PLAN_VERSION = 1


class InputFile(BaseModel):
    """``path`` is relative to ``inputs/``."""

    path: str
    sha256: str
    size_bytes: int


class _Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: int = PLAN_VERSION
    job_id: str
    attempt: int = 1
    threads: int = 1
    inputs: list[InputFile] = []


class DatasetUse(BaseModel):
    """One of several data sets that a training mixes: ``id`` of a data set or version, or a file.

    ``weight``: how often a training row of it is seen in an epoch, on the mean. ``columns``: role → its own column, where that is
    named otherwise than in the first data set; by default the same name, else what its columns propose.
    """

    model_config = ConfigDict(extra="forbid")
    id: str = Field(min_length=1, max_length=4096)
    weight: float = Field(1.0, gt=0, le=100)
    columns: dict[str, str] = {}

    @classmethod
    def of(cls, given: "str | DatasetUse") -> "DatasetUse":
        return given if isinstance(given, DatasetUse) else cls(id=given)


class DatasetInput(BaseModel):
    """A data set version: ``folder`` (relative to ``inputs/``) holds ``data.parquet`` and ``columns.json``.

    ``columns``: the first data set's name of a column → its name here, where they differ.
    """

    folder: str
    version_id: str | None = None
    title: str
    licence: str | None = None
    weight: float = 1.0
    columns: dict[str, str] = {}
    normaliser: JsonDict | None = None


class BaseModelInput(BaseModel):
    """A model folder with safetensors weights, relative to ``inputs/``."""

    folder: str
    version_id: str | None = None
    title: str
    licence: str | None = None


class CheckpointInput(BaseModel):
    """Weights to begin with: ``folder`` (relative to ``inputs/``) holds the ``model.safetensors`` of another job's checkpoint."""

    folder: str
    job_id: str
    step: int


class TrainPlan(_Plan):
    """``spec`` is the recipe's spec, validated and complete; ``chosen`` names the fields that a person set.

    ``memory_splits``: into how many passes a batch is cut since memory ran out; what a step learns from stays the same.
    ``precision``: what products were taken in by the training that this one does once more; ``compiled``: whether its layers were.
    """

    kind: Literal["train"] = "train"
    title: str
    recipe: str
    spec: JsonDict
    chosen: list[str] = []
    datasets: list[DatasetInput]
    base_model: BaseModelInput | None = None
    teacher_model: BaseModelInput | None = None
    start_from: CheckpointInput | None = None
    memory_splits: int = 1
    precision: str | None = None
    compiled: bool | None = None
    dry_run: bool = False


class EvaluatedModel(BaseModel):
    """A model version before rows: ``folder`` (relative to ``inputs/``) holds its files.

    ``taught``: where it learnt from a version of the same data set, the folder that holds what its training was given: the rows that
    taught it are left out. A model that a training is still making has no ``version_id`` yet.
    """

    folder: str
    version_id: str = ""
    title: str
    taught: str | None = None


class EvaluatePlan(_Plan):
    """Measure one model, or two on the same rows, where the answers are known.

    The second is the one that the first is compared with. ``slices``: columns of the data whose values part the rows.
    ``asked``: columns (role → column) and slices as a person named them.
    """

    kind: Literal["evaluate"] = "evaluate"
    title: str
    recipe: str
    models: list[EvaluatedModel] = Field(min_length=1, max_length=2)
    dataset: DatasetInput
    part: Literal["all", "validation", "test"] = "all"
    slices: list[str] = []
    asked: JsonDict = {}


class FetchWish(BaseModel):
    """Where a file is to be had. ``allow``: addresses, networks and hosts besides the public ones (see kit.addresses)."""

    url: str
    allow: list[str] = []
    limit_bytes: int
    limit_seconds: float


class SaidBefore(BaseModel):
    """What a person said of version ``number``, to hold for a newer file of the same data: what columns are, by name.

    ``normaliser``: whether that of the plan is one that a person chose then.
    """

    model_config = ConfigDict(extra="forbid")
    number: int
    meant: dict[str, Meaning] = {}
    normaliser: bool = False


class IngestPlan(_Plan):
    """Read one uploaded file (``inputs/<file>``), or with ``fetch`` one from the network, into a data set version."""

    kind: Literal["ingest"] = "ingest"
    file: str
    filename: str
    encoding: str | None = None
    delimiter: str | None = None
    normaliser: JsonDict | None = None
    max_rows: int | None = None
    leave_out_bad_rows: bool = False
    fetch: FetchWish | None = None
    said: SaidBefore | None = None


class MendPlan(_Plan):
    """Make the next version of a data set from the one in ``folder`` (relative to ``inputs/``): data.parquet, columns.json, report.json."""

    kind: Literal["mend"] = "mend"
    folder: str = "parent"
    fixes: list[Fix]
    normaliser: JsonDict | None = None


class PredictPlan(_Plan):
    """Serve one model version on a Unix socket until idle or told to stop."""

    kind: Literal["predict"] = "predict"
    model_version_id: str
    folder: str
    socket: str


class MeasurePlan(_Plan):
    """Measure what the machine can do: contract.measurement.Measurement."""

    kind: Literal["measure"] = "measure"


class PlannedFile(BaseModel):
    path: str
    sha256: str
    size_bytes: int


class BundledFiles(BaseModel):
    """``files`` lie below ``address``, a path of the other Kargah. ``manifest``, ``signature``: its words, as kargah.bundles reads them."""

    address: str
    commit: str
    files: list[PlannedFile]
    manifest: str
    signature: JsonDict


class StoredFiles(BaseModel):
    """``files`` lie at ``place`` below the prefix of ``store``, the root ``root_id``."""

    root_id: str
    store: Store
    place: str
    commit: str
    files: list[PlannedFile]


class DownloadPlan(_Plan):
    """Fetch the wanted files of one repository, at one commit, from ``hubs``: addresses in the order of preference.

    ``allow``: hosts besides public ones that a hub may lead on to (kit.addresses). ``limit_bytes``: room that the asker has left.
    ``folder``: of a data set of many parts, the only one wanted.
    ``silence_seconds`` without a byte break one answer; ``patience_seconds`` without one from any hub end the job.
    What is secret stands in contract.hubs.HubAccess under the name ``access``, not here.

    ``bundled``: what is wanted is a model of another Kargah, the only one of ``hubs``.
    ``stored``: what is wanted lies in an object store, the only one of ``hubs``.
    ``into``: the model here that gets a newer version of it.
    """

    kind: Literal["download"] = "download"
    repository: str
    repository_kind: Literal["model", "dataset"] = "model"
    revision: str = "main"
    folder: str | None = None
    title: str | None = None
    access: str = Field("hubs", pattern="^[a-z0-9_]{1,64}$")
    bundled: BundledFiles | None = None
    stored: StoredFiles | None = None
    into: str | None = None
    hubs: list[str] = Field(min_length=1)
    allow: list[str] = []
    connections: int = Field(4, ge=1, le=16)
    rate_bytes_per_second: int | None = Field(None, gt=0)
    limit_bytes: int | None = None
    silence_seconds: float = Field(30.0, gt=0)
    patience_seconds: float = Field(1800.0, gt=0)


class BundledContent(PlannedFile):
    git_sha1: str


class UnbundlePlan(_Plan):
    """Verify every content of the bundle at ``path``, a file of this host, and lay them out under their hashes.

    ``head``: SHA-256 of the manifest and of the signature, as they were looked at. ``manifest``, ``signature``: its words, as
    kargah.bundles reads them. ``upload_id``: where it was sent here; it goes with the end of the job. ``by_admin``: its signer is known
    from then on.
    """

    kind: Literal["unbundle"] = "unbundle"
    path: str
    head: tuple[str, str]
    requirements: BundledContent
    contents: list[BundledContent]
    manifest: str
    signature: JsonDict
    upload_id: str | None = None
    by_admin: bool = False


class ScrubPlan(_Plan):
    """Read every file of the store again, from the disk, and compare it with its name: contract.results.ScrubResult."""

    kind: Literal["scrub"] = "scrub"


class ScanPlan(_Plan):
    """Hash the files below ``folder``, a root of the id ``root_id``; what did not change since the last scan is not read again.

    ``store``: the root is no folder but lies there; ``patience_seconds`` without a byte of an object end the job. ``again``: what did not
    change is read all the same.
    """

    kind: Literal["scan"] = "scan"
    root_id: str
    folder: str
    store: Store | None = None
    again: bool = False
    patience_seconds: float = Field(1800.0, gt=0)


class ScriptPlan(_Plan):
    """Run a person's own Python file (``inputs/script/main.py``); what it may use is told by contract.scripts.

    ``user``: the system's user that it runs as where that can be; null: the worker's own.
    """

    kind: Literal["script"] = "script"
    title: str
    filename: str
    sha256: str
    parameters: JsonDict = {}
    datasets: list[DatasetInput] = []
    user: str | None = None
    output_limit_bytes: int = Field(gt=0)


Plan = Annotated[
    TrainPlan
    | EvaluatePlan
    | IngestPlan
    | MendPlan
    | PredictPlan
    | MeasurePlan
    | DownloadPlan
    | ScriptPlan
    | ScrubPlan
    | ScanPlan
    | UnbundlePlan,
    Field(discriminator="kind"),
]
AnyPlan: TypeAdapter[Plan] = TypeAdapter(Plan)


def whole_train_plan(stored: dict[str, Any]) -> TrainPlan | None:
    """What a training was made by; None where that is no whole plan of this release's."""
    try:
        return TrainPlan.model_validate(stored)
    except ValidationError:
        return None
