"""Starts an attempt as a process of this machine, in a session of its own, so that it outlives whoever started it."""

import subprocess
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import InputFile
from kargah.contract.process import start_worker
from kargah.jobs.projection import Trades
from kargah.jobs.tables import Job
from kargah.kit import files


def launch(home: Path, trades: Trades, job: Job, threads: int) -> "subprocess.Popen[bytes]":
    """Lay out the directory of the job's present attempt and start its worker. Raises KargahError or OSError; then nothing runs."""
    directory = AttemptDirectory.of(home, job.id, job.attempt)
    for folder in (directory.inputs, directory.outputs, directory.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    plan = {**job.plan, "kind": job.kind, "job_id": job.id, "attempt": job.attempt, "threads": threads}
    trades.lay_out(home, [InputFile.model_validate(item) for item in plan.get("inputs", [])], directory.inputs)
    files.write_json(directory.plan, plan)
    return start_worker(trades.by_kind[job.kind].module, directory, threads)
