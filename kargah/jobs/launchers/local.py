"""Starts an attempt as a process of this machine, in a session of its own, so that it outlives whoever started it."""

import os
import subprocess
import sys
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import InputFile
from kargah.jobs.projection import Trades
from kargah.jobs.tables import Job
from kargah.kit import files

#: All of the agent's environment that a worker gets: no secret passes.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")
PACKAGE_ROOT = Path(__file__).parents[3]


def launch(home: Path, trades: Trades, job: Job, threads: int) -> "subprocess.Popen[bytes]":
    """Lay out the directory of the job's present attempt and start its worker. Raises KargahError or OSError; then nothing runs."""
    directory = AttemptDirectory.of(home, job.id, job.attempt)
    for folder in (directory.inputs, directory.outputs, directory.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    plan = {**job.plan, "kind": job.kind, "job_id": job.id, "attempt": job.attempt, "threads": threads}
    trades.lay_out(home, [InputFile.model_validate(item) for item in plan.get("inputs", [])], directory.inputs)
    files.write_json(directory.plan, plan)
    command = [sys.executable, "-m", trades.by_kind[job.kind].module, str(directory.path)]
    with directory.log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=directory.path, env=environment(threads), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, close_fds=True,
        )  # fmt: skip


def environment(threads: int) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    path = os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **passed,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        "HF_HUB_OFFLINE": "1",
    }
