"""Networks compute where they are put: on a device that is not the processor they learn what they learn on it.

No graphics card was at hand. The second device of ``support.second_device`` shows that nothing is forgotten on the way there and back.
"""

import json
import subprocess
import sys
from pathlib import Path

STAYS = {"bag", "cnn", "bilstm", "tabular"}


def test_every_network_of_transformers_learns_on_a_second_device_what_it_learns_here(tmp_path: Path) -> None:
    script = Path(__file__).with_name("second_device_runs.py")
    folders = [script.parents[2], script.parents[1], script.parent]
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": ":".join(map(str, folders)), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, told in found.items() if told is None} == {name for name in found if name.rpartition("-")[2] in STAYS}
    apart = {name: told for name, told in found.items() if told and (told[0] > 1e-4 or told[1] > 1e-3 or told[2] > 2e-3)}
    assert apart == {}
