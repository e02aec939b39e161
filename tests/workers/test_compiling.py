"""Compiled layers that a person asks for: measured before they are used, gone on with as begun, and never the end of a training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from attempts import Job, events_of, of_kind
from loops import small_loop
from test_mending import SmallTask, loop_of, messages
from test_planner import TextLike, gradient_of
from test_precision import SMALL_NETWORKS
from test_resuming import families
from test_training import weights

from kargah.engine.ranks import Ranks
from kargah.recipes.base import Recipe
from kargah.recipes.text_classification.spec import TextClassificationSpec
from kargah.workers import compiling, planner
from kargah.workers.checkpoint import TrainState
from kargah.workers.loop import Loop
from kargah.workers.steps import Group
from kargah.workers.wants import Wants

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = {"text": [f"{word} {number}" for number in range(24) for word in ("good", "bad")], "label": ["yes", "no"] * 24}
SPEC = {
    "preset": "transformer", "hidden_size": 16, "num_layers": 1, "vocab_size": 300, "dropout": 0.1, "max_length": 16, "epochs": 2,
    "batch_size": 8, "precision": "fp32", "baselines": False, "checkpoint_seconds": 3600, "compile": True,
}  # fmt: skip
NEEDS_A_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None and os.environ.get("CI") != "true", reason="the worker compiles for real, by g++"
)


def asking(folder: Path, wants: Wants, task: SmallTask | None = None, **settled: Any) -> tuple[Loop, Any]:
    """A loop whose spec asks for compiled layers, and what was decided; by a backend that needs no compiler of C++."""
    loop = loop_of(task or TextLike(), folder, wants)
    loop.spec = TextClassificationSpec(compile=True)
    compiling.settle(loop, folder / "programs", **{"backend": "eager", **settled})
    return loop, loop.task.decisions[-1]


def in_programs_of(job: Job, home: Path) -> Job:
    """What was compiled in ``home`` is there already."""
    job.home.mkdir(parents=True, exist_ok=True)
    (home / "cache").mkdir(parents=True, exist_ok=True)
    (job.home / "cache").symlink_to(home / "cache")
    return job


def choice_of(events: Any) -> Any:
    return next(choice for choice in of_kind(events, "Running")[0].choices if choice.name == "compile")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The directory of the same training without any of it."""
    return Job(tmp_path_factory.mktemp("plain"), "text-classification", ROWS, spec={**SPEC, "compile": False}).run()[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training by compiled layers as if it were done once more, so that nothing is measured: (its home, its directory, its events)."""
    home, programs = tmp_path_factory.mktemp("whole"), tmp_path_factory.getbasetemp() / "programs"
    programs.mkdir(exist_ok=True)
    (home / "cache").mkdir()
    (home / "cache" / "programs-1").symlink_to(programs)
    return (home, *Job(home, "text-classification", ROWS, spec=SPEC, compiled=True).run())


@pytest.mark.slow
@NEEDS_A_COMPILER
def test_by_compiled_layers_a_worker_trains_and_keeps_what_was_compiled_in_its_home(whole: Any) -> None:
    home, directory, events = whole
    assert events[-1].kind == "Finished"
    assert (choice_of(events).value, choice_of(events).why) == (True, "why.compile_begun")
    assert "train.compiling" in [event.code for event in of_kind(events, "Logged")]
    assert any((home / "cache" / "programs-1").rglob("*.so"))
    assert json.loads((directory.outputs / "model" / "kargah.json").read_text())["settings"]["compile"] is True


@pytest.mark.slow
@NEEDS_A_COMPILER
def test_paused_and_gone_on_with_it_has_the_layers_it_began_with_and_ends_with_the_same_weights(tmp_path: Path, whole: Any) -> None:
    from support.forge import Forge

    job = in_programs_of(Job(tmp_path / "paused", "text-classification", ROWS, spec=SPEC, compiled=True), whole[0])
    forge = Forge()
    first = job.lay_out()
    forge.run(first, "pause", 5)
    second = job.lay_out(compiled=None)
    assert forge.run(second) == 0, second.log.read_text()
    forge.close()
    assert events_of(first)[-1].kind == "Paused"
    events = events_of(second)
    assert (choice_of(events).value, choice_of(events).why) == (True, "why.compile_begun")
    resumed = of_kind(events, "Resumed")[0]
    assert (resumed.from_step, resumed.exact) == (5, True)
    assert weights(second) == weights(whole[1])


@pytest.mark.slow
@NEEDS_A_COMPILER
def test_a_dry_run_measures_what_compiled_layers_would_bring(tmp_path: Path, whole: Any) -> None:
    _, events = in_programs_of(Job(tmp_path / "dry", "text-classification", ROWS, spec=SPEC), whole[0]).run(dry_run=True)
    choices = {choice["name"]: choice for choice in events[-1].result["forecast"]["choices"]}
    told = choices["compile"]
    assert (told["value"], told["why"]) in {(True, "why.compile_pays"), (False, "why.compile_hurts")}
    assert told["params"]["times"] >= 1 and told["params"]["seconds"] >= 0


@pytest.mark.parametrize(("compiler", "why"), [(None, "why.compile_no_compiler"), ("#!/bin/sh\nexit 1\n", "why.compile_failed")])
def test_without_a_compiler_or_with_one_that_fails_it_is_said_and_trained_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Any, compiler: str | None, why: str
) -> None:
    program = tmp_path / "c++-of-ours"
    if compiler is not None:
        program.write_text(compiler)
        program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    directory, events = Job(tmp_path / "asked", "text-classification", ROWS, spec=SPEC).run()
    assert events[-1].kind == "Finished"
    assert (choice_of(events).value, choice_of(events).source, choice_of(events).why) == (False, "adapted", why)
    assert weights(directory) == weights(plain)


def test_a_training_that_does_not_ask_for_it_brings_no_compiler(tmp_path: Path) -> None:
    directory = Job(tmp_path, "text-classification", ROWS, spec={**SPEC, "compile": False}).lay_out()
    code = """
import sys
from pathlib import Path
from kargah.workers import edge, sparing
sparing.begin()
from kargah.workers.train import train
edge.run_attempt(Path(sys.argv[1]), train)
print(sorted({"sympy", "torch._inductor", "torch._dynamo.convert_frame"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code, str(directory.path)], capture_output=True, text=True, env=os.environ, check=True)
    assert events_of(directory)[-1].kind == "Finished"
    assert done.stdout.splitlines()[-1] == "[]"


def test_measuring_compiled_layers_leaves_no_trace(tmp_path: Path, wants: Wants) -> None:
    task = TextLike()
    state, before = torch.get_rng_state(), {name: tensor.clone() for name, tensor in task.module.state_dict().items()}
    loop, decision = asking(tmp_path, wants, task)
    assert torch.equal(state, torch.get_rng_state())
    assert list(before) == list(task.module.state_dict())
    assert all(torch.equal(before[name], tensor) for name, tensor in task.module.state_dict().items())
    assert all(parameter.grad is None for parameter in task.module.parameters())
    assert decision.why in {"why.compile_pays", "why.compile_hurts"}
    assert loop.state.compiled == decision.value == (loop.compiled is not None)
    if loop.compiled:
        loop.compiled.undo()


def test_compiled_layers_that_fail_in_a_step_are_given_up_and_the_step_is_done_again(tmp_path: Path, wants: Wants) -> None:
    """By a compiler whose programs are used up after a while."""
    left = [200]

    def backend(graph: Any, _: Any) -> Any:
        def run(*given: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise RuntimeError("the program is gone")
            return graph.forward(*given)

        return run

    plain = loop_of(TextLike(), tmp_path / "plain", wants)
    torch.manual_seed(3)
    for batches in plain.batches_by_step(0):
        plain.step(batches)
    loop, decision = asking(tmp_path / "failing", wants, begun=True, backend=backend)
    assert decision.value and loop.state.compiled
    torch.manual_seed(3)
    for batches in loop.batches_by_step(0):
        loop.step(batches)
    assert left[0] < 0
    assert (loop.compiled, loop.state.compiled) == (None, False)
    told = dict(messages(tmp_path / "failing"))
    assert told["train.compile_failed"] == {"reason": "RuntimeError: the program is gone"}
    expected = plain.task.module.state_dict()
    assert all(torch.allclose(tensor, expected[name], atol=1e-6) for name, tensor in loop.task.module.state_dict().items())


def test_activations_made_again_and_compiled_layers_are_not_used_together(tmp_path: Path, wants: Wants) -> None:
    loop, decision = asking(tmp_path, wants, begun=True)
    assert decision.value
    with compiling.aside(loop):
        planned = planner.plan(loop, free_bytes=1000)
    assert planned.passes.recomputed
    compiling.leave(loop, "why.compile_recomputed")
    told = [(choice.value, choice.why) for choice in loop.task.decisions if choice.name == "compile"]
    assert told == [(False, "why.compile_recomputed")]
    assert (loop.compiled, loop.state.compiled) == (None, False)
    assert gradient_of(loop.task, [0, 9]).isfinite().all()  # type: ignore[arg-type]


def test_where_they_are_not_used_it_is_said_why(tmp_path: Path, wants: Wants) -> None:
    """As it began; with several processes; without layers. Where it began otherwise, that is said too."""
    assert asking(tmp_path / "begun", wants, begun=False)[1].why == "why.compile_begun_without"
    assert asking(tmp_path / "line", wants, SmallTask())[1].why == "why.compile_no_layers"
    loop = loop_of(TextLike(), tmp_path / "shared", wants)
    loop.spec, loop.group = TextClassificationSpec(compile=True), Group(Ranks(0, 2))
    compiling.settle(loop, tmp_path / "programs", begun=True)
    assert [choice.why for choice in loop.task.decisions] == ["why.compile_processes"]
    assert [code for code, _ in messages(tmp_path / "shared")] == ["why.compile_processes", "train.compile_lost"]


def test_a_row_that_the_network_cannot_take_ends_no_training_by_being_tried(tmp_path: Path, wants: Wants) -> None:
    class Broken(TextLike):
        def loss(self, rows: Any) -> torch.Tensor:
            raise IndexError("index out of range in self")

    loop, decision = asking(tmp_path, wants, Broken())
    assert (decision.value, decision.params) == (False, {"reason": "IndexError: index out of range in self"})
    assert loop.compiled is None


@pytest.mark.parametrize(("recipe", "preset"), list(families()))
def test_every_network_of_transformers_learns_the_same_by_compiled_layers(
    tmp_path: Path, wants: Wants, recipe: Recipe, preset: str | None
) -> None:
    """With dropout; smaller networks have no layers to compile, and recipes without any have no such setting."""
    loop = small_loop(tmp_path, recipe, preset, wants, lambda _: True, TrainState(plan="p", threads=1), max_steps=4, compile=True)
    assert loop is not None
    compiling.settle(loop, tmp_path / "programs", begun=True, backend="eager")
    if preset in SMALL_NETWORKS or recipe.name == "tabular":
        assert [choice.why for choice in loop.task.decisions if choice.name == "compile"] in ([], ["why.compile_no_layers"])
        return
    assert loop.compiled is not None, loop.task.decisions[-1]
    state = torch.get_rng_state()
    with loop.compiled.strictly():
        found = [loop.step(batches).loss for batches in loop.batches_by_step(0)[:2]]
    loop.compiled.undo()
    written = small_loop(tmp_path, recipe, preset, wants, lambda _: True, TrainState(plan="p", threads=1), max_steps=4)
    assert written is not None
    torch.set_rng_state(state)
    assert [written.step(batches).loss for batches in written.batches_by_step(0)[:2]] == pytest.approx(found, rel=1e-4)


def test_a_checkpoint_of_an_older_release_was_not_compiled() -> None:
    assert TrainState.of({"plan": "p", "threads": 1}).compiled is False


def test_programs_of_long_ago_go_when_there_are_too_many(tmp_path: Path, wants: Wants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "MOST_BYTES", 10)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    old = tmp_path / "programs" / "ab" / "old.so"
    old.parent.mkdir(parents=True)
    for content, stays in ((b"x" * 10, True), (b"x" * 11, False)):
        old.write_bytes(content)
        loop, _ = asking(tmp_path, wants, begun=True)
        assert loop.compiled is not None
        loop.compiled.undo()
        assert old.exists() == stays
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "programs")
