"""A finished training done once more with the very same plan, and whether it came out the same."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session

from kargah.contract.plans import TrainPlan, whole_train_plan
from kargah.datasets import service as datasets
from kargah.datasets.tables import DatasetVersion
from kargah.jobs import history, states
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State
from kargah.jobs.tables import Attempt
from kargah.jobs.terms import Terms
from kargah.kit.errors import Conflict, NotFound
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.runs import service as runs
from kargah.runs.tables import Run
from kargah.store.access import Actor, require_creator
from kargah.training import service
from kargah.training.schemas import TrainingStarted

JsonDict = dict[str, Any]
#: A run's tag: the run that it does once more.
TAG = "reproduces"
#: Files of a model that tell how it was made; the others hold what was learnt.
TOLD = frozenset({"README.md", "README.fa.md", "environment.json", "kargah.json", "metrics.json", "plan.json"})
#: Settings whose values follow the data alone, or are measured anew each time, and change nothing that is learnt.
_NOT_COMPARED = frozenset({"columns"})


class NothingToReproduce(Conflict):
    """Only what was finished, and was no rehearsal, has an outcome to compare with."""

    code = "NOTHING_TO_REPRODUCE"


class Difference(BaseModel):
    """``code`` and ``params`` are a text, ``reproduction.why.*``."""

    code: str
    params: JsonDict = {}


class MetricPair(BaseModel):
    name: str
    first: float | None
    again: float | None


class ModelCompared(BaseModel):
    """``weights_same``: every file of what was learnt has the same SHA-256. ``metrics``: those that differ."""

    name: str
    weights_same: bool
    metrics: list[MetricPair] = []

    @property
    def is_same(self) -> bool:
        return self.weights_same and not self.metrics


class Reproduction(BaseModel):
    """``same``: null until it is over. ``reasons``: what of the two runs is known to differ, where the outcome does."""

    run_id: str
    of_run_id: str
    of_title: str
    state: State
    same: bool | None = None
    models: list[ModelCompared] = []
    reasons: list[Difference] = []


def reproduce(session: Session, actor: Actor, run_id: str) -> TrainingStarted:
    """The same plan as a new job: data set versions, settings, seed, GPUs, threads, precision, compiled layers, passes.

    Raises NothingToReproduce.
    """
    require_creator(actor)
    first = runs.get_for(session, actor, run_id)
    job = jobs.get_for(session, actor, first.job_id) if first.job_id else None
    if job is None or job.kind != "train" or job.state != State.COMPLETED or job.plan.get("dry_run"):
        raise NothingToReproduce(id=run_id)
    plan = whole_train_plan(job.plan)
    if plan is None:
        raise NothingToReproduce(id=run_id)
    _check_inputs(session, actor, plan)
    plan.precision = (first.params.get("precision") or {}).get("value") or plan.precision
    plan.compiled = (first.params.get("compile") or {}).get("value", plan.compiled)
    threads = session.get_one(Attempt, (job.id, job.attempt)).threads
    its = Terms.model_validate(job.terms)
    terms = Terms(gpus=its.gpus, gpu_memory_bytes=its.gpu_memory_bytes, gains_by_gpu=its.gains_by_gpu)
    again = jobs.submit(session, actor, "train", job.title, plan.model_dump(mode="json"), threads_wanted=threads, terms=terms)
    versions = [dataset.version_id for dataset in plan.datasets if dataset.version_id]
    tags = {"dry_run": False, TAG: first.id}
    run = runs.create_for_job(session, actor, again, plan.recipe, dataset_version_ids=versions, sources=service.sources_of(plan), tags=tags)
    return TrainingStarted(job=JobOut.model_validate(again), run_id=run.id)


def _check_inputs(session: Session, actor: Actor, plan: TrainPlan) -> None:
    """Who may see a run need not see all that it was made of. Raises NotFound."""
    for dataset in plan.datasets:
        version = session.get(DatasetVersion, dataset.version_id or "")
        datasets.get_for(session, actor, version.dataset_id if version else dataset.title)
    for model in (plan.base_model, plan.teacher_model):
        if model is not None and model.version_id:
            models.get_version_for(session, actor, model.version_id)


def compare(session: Session, actor: Actor, run_id: str) -> Reproduction:
    """How a run that reproduces another came out beside it. Raises NotFound for one that reproduces none."""
    again = runs.get_for(session, actor, run_id)
    of_run_id = again.tags.get(TAG)
    if not of_run_id or not again.job_id:
        raise NotFound(kind="reproductions", id=run_id)
    first = runs.get_for(session, actor, str(of_run_id))
    job = jobs.get_for(session, actor, again.job_id)
    told = Reproduction(run_id=again.id, of_run_id=first.id, of_title=first.title, state=states.shown(job.state))
    if job.state != State.COMPLETED:
        return told
    made = [{one.name: one for one in models.versions_of_run(session, actor, run.id)} for run in (first, again)]
    compared = [_compared(name, one, made[1].get(name)) for name, one in made[0].items()]
    same = bool(compared) and all(one.is_same for one in compared)
    reasons = [] if same else _reasons(session, first, again)
    return told.model_copy(update={"same": same, "models": compared, "reasons": reasons})


def _compared(name: str, first: ModelVersionOut, again: ModelVersionOut | None) -> ModelCompared:
    if again is None:
        return ModelCompared(name=name, weights_same=False)
    keys = sorted(first.metrics.keys() | again.metrics.keys())
    pairs = [MetricPair(name=key, first=first.metrics.get(key), again=again.metrics.get(key)) for key in keys]
    differ = [pair for pair in pairs if pair.first != pair.again]
    return ModelCompared(name=name, weights_same=_learnt(first) == _learnt(again), metrics=differ)


def _learnt(version: ModelVersionOut) -> dict[str, str]:
    return {file.path: file.sha256 for file in version.files if file.path not in TOLD}


def _reasons(session: Session, first: Run, again: Run) -> list[Difference]:
    """Versions, processor and settings that are not the same; interruptions that were not bit-exact; if nothing is known, that."""
    known = [*_of_environment(session, first, again), *_of_settings(first, again), *_of_interruptions(session, first, again)]
    return known or [Difference(code="reproduction.why.unknown")]


def _of_environment(session: Session, first: Run, again: Run) -> Iterable[Difference]:
    before, after = (_environment(session, run) for run in (first, again))
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            code = "hardware" if name in {"machine", "processor"} else "version"
            yield Difference(code=f"reproduction.why.{code}", params={"name": name, "before": before[name], "after": after[name]})


def _environment(session: Session, run: Run) -> dict[str, str]:
    said = history.life_cycle(session, run.job_id or "", "Started")
    return dict(said[-1].payload.get("environment") or {}) if said else {}


def _of_settings(first: Run, again: Run) -> Iterable[Difference]:
    for name, told in first.params.items():
        before, after = told.get("value"), (again.params.get(name) or {}).get("value")
        if name not in _NOT_COMPARED and before != after:
            yield Difference(code="reproduction.why.setting", params={"name": name, "before": str(before), "after": str(after)})


def _of_interruptions(session: Session, first: Run, again: Run) -> Iterable[Difference]:
    for number, run in enumerate((first, again)):
        resumed = history.life_cycle(session, run.job_id or "", "Resumed")
        if any(not event.payload.get("exact", True) for event in resumed):
            yield Difference(code=f"reproduction.why.resumed_{('first', 'again')[number]}")


def tagged(tags: JsonDict) -> bool:
    return bool(tags.get(TAG))
