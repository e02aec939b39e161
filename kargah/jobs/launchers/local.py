"""Starts an attempt as a process of this machine, in a session of its own, so that it outlives whoever started it."""

from contextlib import suppress
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import InputFile
from kargah.contract.process import start_worker
from kargah.jobs import cgroups
from kargah.jobs.launchers import forge
from kargah.jobs.processes import Child
from kargah.jobs.projection import Trades
from kargah.jobs.resources import Grant
from kargah.jobs.tables import Job
from kargah.jobs.terms import Terms
from kargah.kit import files

#: Where memory runs out, the kernel ends a worker, which goes on from its checkpoint, before the server (-1000 … 1000).
OOM_SCORE = "500"


def lay_out(home: Path, trades: Trades, job: Job, grant: Grant) -> AttemptDirectory:
    """Make the directory of the job's present attempt, its plan and inputs in it. Raises KargahError or OSError."""
    directory = AttemptDirectory.of(home, job.id, job.attempt)
    for folder in (directory.inputs, directory.outputs, directory.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    plan = {**job.plan, "kind": job.kind, "job_id": job.id, "attempt": job.attempt, "threads": grant.threads}
    trades.lay_out(home, [InputFile.model_validate(item) for item in plan.get("inputs", [])], directory.inputs)
    files.write_json(directory.plan, plan)
    directory.set_aside()
    return directory


def start(trades: Trades, job: Job, directory: AttemptDirectory, grant: Grant, host_has_gpus: bool) -> Child:
    """Raises OSError; then nothing runs."""
    module, gpus = trades.by_kind[job.kind].module, grant.gpus if host_has_gpus else None
    warm = None
    if trades.forge is not None and module == forge.MODULE and grant.gpu_share is None:  # that is read when torch is imported
        warm = trades.forge.start(directory, grant.threads, gpus)
    child: Child = warm or start_worker(module, directory, grant.threads, gpus, grant.gpu_share)
    with suppress(OSError):  # it is gone already, or this system has no such file
        Path(f"/proc/{child.pid}/oom_score_adj").write_text(OOM_SCORE)
    limit_bytes = Terms.model_validate(job.terms).memory_limit_bytes
    if limit_bytes is not None:
        cgroups.confine(child.pid, cgroups.name_of(job.id, job.attempt), limit_bytes)
    return child
