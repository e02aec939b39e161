"""Without the training packages a job fails with what to install, not with a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from attempts import Job, events_of
from samples import table


@pytest.mark.parametrize("missing", ["torch", "numpy", "sklearn"])
def test_a_missing_package_is_told_with_the_way_to_get_it(tmp_path: Path, missing: str) -> None:
    directory = Job(tmp_path, "tabular", table(60), spec={"max_steps": 2}).lay_out()
    code = (
        "import sys; from pathlib import Path\n"
        "sys.modules[sys.argv[1]] = None\n"
        "from kargah.workers.train import run_attempt, train\n"
        "sys.exit(run_attempt(Path(sys.argv[2]), train))"
    )
    assert subprocess.run([sys.executable, "-c", code, missing, str(directory.path)], check=False).returncode == 0
    last = events_of(directory)[-1]
    assert (last.kind, last.code) == ("Failed", "TRAINING_NOT_INSTALLED")
    assert last.params == {"missing": missing, "extra": "train"}
