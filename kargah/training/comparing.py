"""Whether one model is really better than another, by what two evaluations of the same data set version kept of each row."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.contract.results import Compared, EvaluateResult
from kargah.datasets import rows
from kargah.kit.errors import BadInput, Conflict, NotFound
from kargah.store.access import Actor
from kargah.training import evaluations
from kargah.training.schemas import EvaluationOut, EvaluationSummary

PAIRING = "kargah.workers.pairing"
MOST_OFFERED = 20


class EvaluationsUnlike(BadInput):
    """``reason``: a text, ``evaluation.unlike.*``."""

    code = "EVALUATIONS_UNLIKE"


class NotEvaluatedYet(Conflict):
    """``title``: of an evaluation that is not over, or came to nothing."""

    code = "NOT_EVALUATED_YET"


class OutcomesNotKept(Conflict):
    """``title``: of an evaluation that kept nothing to compare it by."""

    code = "OUTCOMES_NOT_KEPT"


@dataclass(frozen=True)
class Pair:
    """Two files of ``workers.kept``, and the first model's primary metric."""

    first: rows.Table
    second: Path
    metric: str
    lower_is_better: bool


def pair_of(session: Session, actor: Actor, evaluation_id: str, other_id: str, home: Path, model: int = 0, other_model: int = 0) -> Pair:
    """``model``, ``other_model``: 0 for the evaluated model, 1 for the one that was asked beside it. Access to both is checked here.

    Raises NotFound, NotEvaluatedYet, OutcomesNotKept, EvaluationsUnlike for other data or another task.
    """
    one, other = (evaluations.show(session, actor, given) for given in (evaluation_id, other_id))
    first, second = _outcomes(one, model, home), _outcomes(other, other_model, home)
    if one.dataset_version_id != other.dataset_version_id:
        raise EvaluationsUnlike(field="other", reason={"code": "evaluation.unlike.data"})
    if one.recipe != other.recipe:
        raise EvaluationsUnlike(field="other", reason={"code": "evaluation.unlike.task"})
    result = _result_of(one)
    table = rows.Table(first, home, one.id, model + 1, one.title, [])
    return Pair(table, second, result.primary_metric, result.lower_is_better)


async def compared(pair: Pair) -> Compared:
    """Raises EvaluationsUnlike where no row, or not the same answer, was asked of both; RowsUnreadable."""
    wish = {"other": str(pair.second), "metric": pair.metric, "lower_is_better": pair.lower_is_better}
    told = await rows.asked(pair.first, wish, PAIRING)
    if "unlike" in told:
        raise EvaluationsUnlike(field="other", reason={"code": f"evaluation.unlike.{told['unlike']}"})
    return Compared.model_validate(told)


def comparable(session: Session, actor: Actor, found: EvaluationOut) -> list[EvaluationSummary]:
    """The newest others of the same data and task that came to figures."""
    listed = evaluations.list_for(session, actor, limit=MOST_OFFERED, dataset=found.dataset_version_id).items
    return [one for one in listed if one.id != found.id and one.recipe == found.recipe and one.primary_metric is not None]


def _outcomes(found: EvaluationOut, model: int, home: Path) -> Path:
    result = _result_of(found)
    if model >= len(result.models):
        raise NotFound(kind="evaluations", id=f"{found.id}/models/{model}")
    name = result.models[model].outcomes_file
    if name is None:
        raise OutcomesNotKept(title=found.title)
    sha256 = next(file.sha256 for file in result.files if file.path == name)
    path = blobs.path_of(home, sha256)
    if not path.is_file():
        raise blobs.FileMissing(path=name, sha256=sha256)
    return path


def _result_of(found: EvaluationOut) -> EvaluateResult:
    if found.result is None:
        raise NotEvaluatedYet(title=found.title)
    return found.result
