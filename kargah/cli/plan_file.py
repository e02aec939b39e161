"""``plan.yaml``: a training written down. The same fields as POST /api/v1/trainings, and files beside data set ids.

::

    title: Reviews
    datasets: [reviews.csv]          # files, or with --server ids as well; of several each may be {id: more.csv, weight: 0.5,
                                     # columns: {text: its own name of that column}}
    recipe: text-classification      # guessed from the columns when left out
    base_model: models/bert-fa       # a folder, or with --server a model version's id; from scratch when left out
    teacher_model: models/big         # a model of the same recipe and labels, whose answers are learnt from as well
    spec: {epochs: 3, columns: {text: comment, label: mood}}
    output: reviews-model            # where the model goes; not with --server
    dry_run: false
    priority: 5                      # from here on only with --server
    terms: {after: [job_…], window: {start: "22:00", end: "06:00"}, deadline: 2027-01-01T00:00:00Z, time_limit_seconds: 3600}
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kargah.cli.errors import FileUnreadable, PlanUnreadable
from kargah.contract.plans import DatasetUse


class PlanFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    datasets: list[str | DatasetUse] = Field(min_length=1)
    title: str | None = None
    recipe: str | None = None
    base_model: str | None = None
    teacher_model: str | None = None
    spec: dict[str, Any] = {}
    output: Path | None = None
    dry_run: bool = False
    priority: int = 0
    terms: dict[str, Any] = {}


def read(path: Path) -> PlanFile:
    """Paths in the plan are relative to the plan. Raises FileUnreadable, PlanUnreadable."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FileUnreadable(path=str(path), reason=error.strerror or str(error)) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlanUnreadable(path=str(path), field=_line_of(error), reason=_problem_of(error)) from error
    try:
        plan = PlanFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PlanUnreadable(path=str(path), field=".".join(str(part) for part in first["loc"]), reason=first["msg"]) from error
    return plan.model_copy(update=_beside(plan, path.parent))


def _beside(plan: PlanFile, folder: Path) -> dict[str, Any]:
    """Names that are files beside the plan become their paths; all else (an id) stays as it is."""
    datasets = [_found_use(folder, given) for given in plan.datasets]
    named = {name: _found(folder, given) if (given := getattr(plan, name)) else None for name in ("base_model", "teacher_model")}
    return {"datasets": datasets, **named, "output": folder / plan.output if plan.output else None}


def _found_use(folder: Path, given: str | DatasetUse) -> str | DatasetUse:
    return _found(folder, given) if isinstance(given, str) else given.model_copy(update={"id": _found(folder, given.id)})


def _found(folder: Path, name: str) -> str:
    path = folder / Path(name).expanduser()
    return str(path) if path.exists() else name


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


def _problem_of(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error)
