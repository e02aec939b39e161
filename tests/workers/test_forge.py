"""The warm parent of trainings: the same training, and nothing is lost with it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attempts import Job, events_of, start
from safetensors.torch import load_file
from samples import sentiments

from kargah.contract.attempt import AttemptDirectory, hold_alive, is_held
from kargah.jobs.launchers.forge import Forge, ForgedChild
from kargah.kit.clock import SystemClock

SPEC = {"preset": "transformer", "epochs": 1, "baselines": False, "hidden_size": 32, "num_layers": 1, "batch_size": 8}


class Later(SystemClock):
    """The agent has settled long ago."""

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() + self.ahead_seconds

    ahead_seconds = 0.0


@pytest.fixture(scope="module")
def clock() -> Later:
    return Later()


@pytest.fixture(scope="module")
def forge(clock: Later) -> Iterator[Forge]:
    made = Forge(clock)
    made.tend()
    assert not made.alive  # not in the agent's first seconds
    clock.ahead_seconds = 60.0
    made.tend()
    until(lambda: made.ready)
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def job(home: Path, **spec: object) -> Job:
    return Job(home, "text-classification", sentiments(64), spec={**SPEC, **spec})


def warm(forge: Forge, directory: AttemptDirectory) -> ForgedChild:
    child = forge.start(directory, 1, None)
    assert child is not None
    return child


def test_a_warm_training_makes_the_weights_of_a_cold_one(forge: Forge, tmp_path: Path) -> None:
    cold = job(tmp_path / "cold").lay_out()
    assert start(cold).wait(timeout=240) == 0
    directory = job(tmp_path / "warm").lay_out()
    assert warm(forge, directory).wait() == 0, directory.log.read_text()
    assert events_of(directory)[-1].kind == "Finished"
    expected = load_file(cold.outputs / "model" / "model.safetensors")
    for name, tensor in load_file(directory.outputs / "model" / "model.safetensors").items():
        assert tensor.equal(expected[name]), name


def test_a_worker_is_in_a_session_of_its_own_and_holds_its_lock_before_anybody_hears_of_it(forge: Forge, tmp_path: Path) -> None:
    directory = job(tmp_path, epochs=500).lay_out()
    child = warm(forge, directory)
    assert is_held(directory.alive)
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not is_held(directory.alive)


def test_an_attempt_that_lives_is_not_started_again(forge: Forge, tmp_path: Path) -> None:
    directory = job(tmp_path, epochs=500).lay_out()
    child = warm(forge, directory)
    try:
        other = Forge(Later())
        assert other.start(directory, 1, None) is None  # not ready: the caller starts cold
        assert forge.start(directory, 1, None) is None
    finally:
        child.kill()
        child.wait()


def test_the_lock_of_a_test_is_no_obstacle(tmp_path: Path) -> None:
    """``hold_alive`` twice in one process is one lock: a worker of the forge takes it early, and again at its edge."""
    first, second = hold_alive(tmp_path / "alive"), hold_alive(tmp_path / "alive")
    os.close(first)
    os.close(second)


def test_what_a_lost_forge_started_goes_on(forge: Forge, clock: Later, tmp_path: Path) -> None:
    """The last of this module: it loses the forge of all."""
    directory = job(tmp_path).lay_out()
    child = warm(forge, directory)
    forge.close()
    assert forge.start(directory, 1, None) is None
    assert child.wait() == 0
    assert events_of(directory)[-1].kind == "Finished"
    clock.ahead_seconds = 200.0
    forge.tend()
    assert forge.alive
