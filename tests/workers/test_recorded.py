"""A training that an earlier release began (scripts/record.py) is brought to its end by this one, from its checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
from attempts import events_of, of_kind, start

from kargah.contract.attempt import AttemptDirectory

RECORDED = Path(__file__).parents[1] / "recorded"


@pytest.mark.parametrize("recorded", sorted(RECORDED.iterdir()), ids=lambda path: path.name)
def test_an_upgrade_in_mid_training_costs_no_step_that_a_checkpoint_holds(tmp_path: Path, recorded: Path) -> None:
    directory = AttemptDirectory.of(tmp_path, "job_1", 3)
    shutil.copytree(recorded / "inputs", directory.inputs)
    shutil.copytree(recorded / "checkpoints", directory.checkpoints)
    shutil.copy(recorded / "attempts" / "3" / "plan.json", directory.plan)
    newest = max(json.loads(path.read_bytes())["state"]["step"] for path in directory.checkpoints.glob("*/state.json"))
    assert start(directory).wait(timeout=240) == 0, directory.log.read_text()
    events = events_of(directory)
    assert [event.from_step for event in of_kind(events, "Resumed")] == [newest]
    total = of_kind(events, "Running")[0].total_steps
    assert [event.step for event in of_kind(events, "Step")] == list(range(newest + 1, total + 1))
    assert events[-1].kind == "Finished"
