"""Record what this release writes, for every later one to read: once a release, ``python scripts/record.py``.

tests/recorded/<version>/ gets a tiny training that was paused, killed and brought to its end: the plan and every event of its three
attempts, its inputs, and its checkpoints as they stood when the second attempt was killed.
"""

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "workers")]

from attempts import Job  # noqa: E402
from samples import table  # noqa: E402
from support.forge import Forge  # noqa: E402

from kargah import __version__  # noqa: E402

SPEC = {"epochs": 6, "batch_size": 16, "hidden_size": 8, "checkpoint_seconds": 3600, "checkpoint_steps": 4, "baselines": False}
INTERRUPTED = (("pause", 6), ("SIGKILL", 15))


def main() -> int:
    target = ROOT / "tests" / "recorded" / __version__
    shutil.rmtree(target, ignore_errors=True)
    forge = Forge()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), "tabular", table(60), spec=SPEC)
        attempts = []
        for way, step in INTERRUPTED:
            attempts.append(job.lay_out())
            forge.run(attempts[-1], way, step)
        shutil.copytree(attempts[0].checkpoints, target / "checkpoints", ignore=shutil.ignore_patterns(".*"))
        shutil.copytree(attempts[0].inputs, target / "inputs")
        attempts.append(job.lay_out())
        status = forge.run(attempts[-1])
        for number, attempt in enumerate(attempts, start=1):
            kept = target / "attempts" / str(number)
            kept.mkdir(parents=True)
            for path in (attempt.plan, attempt.events):
                shutil.copy(path, kept / path.name)
    forge.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
