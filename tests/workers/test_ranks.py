"""A training whose steps several processes share: it learns what one would, goes on exactly, and they live and die together."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from attempts import Job, events_of, of_kind, start
from safetensors.torch import load_file
from samples import sentiments, table
from support.forge import Forge
from test_training import counted_steps, weights

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import LAST_WORDS

SPEC = {"batch_size": 16, "baselines": False, "checkpoint_seconds": 3600}
TABLE = {**SPEC, "hidden_size": 16, "epochs": 3, "dropout": 0.2, "checkpoint_steps": 2}
TEXTS = {"preset": "transformer", "hidden_size": 16, "num_layers": 1, "vocab_size": 300, "epochs": 2, "dropout": 0.0}


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


def finished(forge: Forge, job: Job, threads: int = 2) -> AttemptDirectory:
    directory = job.lay_out(threads=threads)
    assert forge.run(directory) == 0, directory.log.read_text()
    assert events_of(directory)[-1].kind == "Finished", events_of(directory)[-1]
    return directory


def until(true: Callable[[], Any]) -> Any:
    waited_until = time.monotonic() + 240
    while not (found := true()):
        assert time.monotonic() < waited_until, "it never came"
        time.sleep(0.02)
    return found


def of_two(home: Path) -> Job:
    return Job(home, "tabular", table(120), spec={**TABLE, "processes": 2})


def test_two_processes_learn_what_one_does(tmp_path: Path, forge: Forge) -> None:
    """Of the same samples in each step, accumulated ones too; only the first of them says and writes anything."""
    columns, spec = sentiments(90), {**SPEC, **TEXTS, "gradient_accumulation_steps": 2}
    alone = finished(forge, Job(tmp_path / "alone", "text-classification", columns, spec=spec), threads=1)
    shared = finished(forge, Job(tmp_path / "shared", "text-classification", columns, spec={**spec, "processes": 2}))
    expected, found = (load_file(directory.outputs / "model" / "model.safetensors") for directory in (alone, shared))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        if name.endswith("key.bias"):  # attention does not change with it: its gradient is what rounding leaves
            continue
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
    steps = [of_kind(events_of(directory), "Step") for directory in (alone, shared)]
    losses = [[step.metrics["loss"] for step in own] for own in steps]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert [step.step for step in steps[1]] == list(range(1, len(steps[0]) + 1))
    choices = {choice.name: (choice.value, choice.source) for choice in of_kind(events_of(shared), "Running")[0].choices}
    assert choices["processes"] == (2, "chosen") and choices["threads"][0] == 1, "the threads are shared too"


def test_killed_or_paused_two_processes_end_together_and_go_on_exactly(tmp_path: Path, forge: Forge) -> None:
    """What is dropped at random in the second process is drawn again as it would have been. A process that is killed takes all with it."""
    whole = finished(forge, of_two(tmp_path / "whole"))
    undisturbed = events_of(whole)
    job, total = of_two(tmp_path / "interrupted"), of_kind(undisturbed, "Running")[0].total_steps
    killed, paused = (job.lay_out(threads=2) for _ in range(2))
    assert forge.run(killed, "rank", 7) == -9, "as if it had been killed itself: what is to be done about that is known"
    assert forge.run(paused, "pause", total - 4) == 0
    assert events_of(paused)[-1].kind == "Paused"
    last = finished(forge, job)
    attempts = [events_of(directory) for directory in (killed, paused, last)]
    assert not LAST_WORDS & {event.kind for event in attempts[0]}
    assert all(event.exact for events in attempts for event in of_kind(events, "Resumed"))
    assert counted_steps(attempts) == counted_steps([undisturbed])
    assert weights(last) == weights(whole)


def test_with_the_first_process_the_others_end(tmp_path: Path) -> None:
    directory = of_two(tmp_path).lay_out(threads=2)
    worker = start(directory)
    (other,) = until(lambda: psutil.Process(worker.pid).children())
    worker.kill()
    worker.wait()
    psutil.wait_procs([other], timeout=240)
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE


def test_what_one_of_them_fails_of_is_told_once_and_ends_all(tmp_path: Path) -> None:
    """Here it finds no plan in the place where it looks."""
    directory = AttemptDirectory.of(tmp_path, "job_1", 1)
    directory.path.mkdir(parents=True)
    script = (
        "import sys, time; from pathlib import Path; from types import SimpleNamespace\n"
        "from kargah.contract.attempt import AttemptDirectory; from kargah.contract.wire import EventWriter\n"
        "from kargah.workers.crew import Crew; from kargah.workers.telling import Teller\n"
        "directory = AttemptDirectory(Path(sys.argv[1]))\n"
        "crew = Crew(SimpleNamespace(directory=directory, tell=Teller(EventWriter(directory.events))), 2, 1, [])\n"
        "time.sleep(240)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(directory.path)], timeout=240, check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    (event,) = of_kind(events_of(directory), "Failed")
    assert event.code == "BUG" and "plan.json" in event.evidence
    assert len(events_of(directory)) == 1


def test_rows_that_are_compared_with_each_other_stay_in_one_process(tmp_path: Path, forge: Forge) -> None:
    rows = {"anchor": [f"سؤال {number}" for number in range(40)], "positive": [f"جواب {number}" for number in range(40)]}
    spec = {**SPEC, "processes": 2, "max_steps": 2, "preset": "bag"}
    said = events_of(finished(forge, Job(tmp_path, "sentence-embeddings", rows, spec=spec)))
    assert [(one.level, one.params) for one in of_kind(said, "Logged") if one.code == "train.processes_compare"] == [
        ("warning", {"processes": 2})
    ]
