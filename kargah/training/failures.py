"""Why a training failed: what was said, the evidence for it, and what would help; and the training tried again with that."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.contract import memory
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.memory import Sample
from kargah.jobs import history, states
from kargah.jobs import service as jobs
from kargah.jobs.states import State
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit.errors import Conflict, NotFound
from kargah.store.access import Actor
from kargah.training import checkpoints, service
from kargah.training.checkpoints import NotATraining
from kargah.training.schemas import TrainingStarted
from kargah.training.service import Beginning

JsonDict = dict[str, Any]
LOG_LINES = 40
LOG_BYTES = 16 << 10
#: Nothing about the training was wrong: when the cause is mended it may go on as it was.
NOT_ITS_FAULT = frozenset({
    "ATTEMPTS_EXHAUSTED", "BUG", "DEADLINE_PASSED", "DISK_FULL", "FILE_MISSING", "LAUNCH_FAILED", "PACKAGE_MISSING", "RESULT_NOT_KEPT",
    "TRAINING_NOT_INSTALLED", "WORK_DISK_FULL",
})  # fmt: skip
MEMORY = frozenset({"OUT_OF_MEMORY", "GPU_OUT_OF_MEMORY", "MEMORY_LIMIT"})
DIVERGED = frozenset({"TRAINING_DIVERGED", "LOSS_EXPLODED"})


class NothingToRetry(Conflict):
    code = "NOTHING_TO_RETRY"


class NoFix(Conflict):
    code = "NO_FIX"


class Fix(BaseModel):
    """``code`` and ``params`` are a text, ``fix.*``. ``goes_on``: from the last checkpoint of the failed one, not from the beginning."""

    code: str
    params: JsonDict = {}
    spec: JsonDict = {}
    terms: JsonDict = {}
    goes_on: bool = False


class Failure(BaseModel):
    """``evidence``: the end of a traceback. ``log``: the last lines printed. ``memory``: the curve of the last attempt."""

    code: str
    params: JsonDict = {}
    evidence: str | None = None
    log: list[str] = []
    memory: list[Sample] = []
    fix: Fix | None = None


def explain(session: Session, actor: Actor, job_id: str, home: Path) -> Failure:
    """Raises NotFound for a job that has not failed."""
    job = jobs.get_for(session, actor, job_id)
    if job.state != State.FAILED or job.error is None:
        raise NotFound(kind="failures", id=job_id)
    directory = AttemptDirectory.of(home, job.id, job.attempt)
    said = history.life_cycle(session, job.id, "Failed")
    return Failure(
        code=job.error["code"],
        params=job.error.get("params") or {},
        evidence=said[-1].payload.get("evidence") if said else None,
        log=jobs.tail_of(directory.log, LOG_BYTES).splitlines()[-LOG_LINES:],
        memory=memory.read(directory.memory),
        fix=fix_for(session, job),
    )


def fix_for(session: Session, job: Job) -> Fix | None:
    """What would help a failed training; None where only people can mend the cause, by changing their request."""
    if job.kind != "train" or job.error is None:
        return None
    code, params = job.error["code"], job.error.get("params") or {}
    if code in DIVERGED:
        rate = float(f"{float(params.get('learning_rate') or 1e-3) / 10:.2g}")
        return Fix(code="fix.learning_rate", params={"learning_rate": rate}, spec={"learning_rate": rate})
    if code == "BAD_ROW":
        return Fix(code="fix.skip_bad_rows", spec={"skip_bad_rows": True}, goes_on=True)
    if code == "TIME_LIMIT":
        limit = {"time_limit_seconds": 2 * float(params["limit_seconds"])}
        return Fix(code="fix.time_limit", params=limit, terms=limit, goes_on=True)
    if code in MEMORY:
        return _smaller_passes(session, job)
    return Fix(code="fix.again", goes_on=True) if code in NOT_ITS_FAULT else None


def retry(session: Session, actor: Actor, job_id: str, home: Path, *, with_fix: bool = False) -> TrainingStarted:
    """A training that failed or was stopped, as a new one; where nothing that is learnt differs, from its last checkpoint on.

    Raises NothingToRetry, NotATraining, NoFix.
    """
    job = jobs.get_for(session, actor, job_id)
    if job.kind != "train":
        raise NotATraining(id=job_id)
    if job.state not in states.TERMINAL - {State.COMPLETED}:
        raise NothingToRetry(id=job_id)
    fix = fix_for(session, job) if with_fix else Fix(code="fix.again", goes_on=True)
    if fix is None:
        raise NoFix(code=(job.error or {}).get("code", ""))
    request = service.request_like(job.plan)
    terms = Terms.model_validate(job.terms).model_copy(update={"after": [], "not_before": None, "deadline": None, **fix.terms})
    changed = request.model_copy(update={"spec": request.spec | fix.spec, "terms": terms, "priority": job.priority})
    started = service.start(session, actor, changed, Beginning.of(job.plan))
    if fix.goes_on:
        checkpoints.hand_on(home, job.id, started.job.id)
    return started


def _smaller_passes(session: Session, job: Job) -> Fix | None:
    """Half the rows a pass and twice the passes, from what was really used. None when a pass has one row already."""
    said = history.life_cycle(session, job.id, "Running")
    used = {choice["name"]: choice["value"] for choice in said[-1].payload.get("choices", [])} if said else {}
    size, passes = used.get("batch_size"), used.get("gradient_accumulation_steps") or 1
    if not isinstance(size, int) or size < 2:
        return None
    smaller = {"batch_size": size // 2, "gradient_accumulation_steps": 2 * passes}
    return Fix(code="fix.batch_size", params=smaller, spec=smaller)
