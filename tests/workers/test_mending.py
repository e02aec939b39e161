"""What a training mends by itself, and what it ends for, tried on a small network whose memory and rows are made to fail."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attempts import of_kind

from kargah.contract import wire
from kargah.contract.wire import EventWriter
from kargah.kit.errors import KargahError
from kargah.recipes.base import Spec
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Prepared, Settings
from kargah.workers import keeper
from kargah.workers.checkpoint import Keeping, TrainState
from kargah.workers.keeper import Keeper
from kargah.workers.loop import Loop
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants

ROWS = 32


class SmallTask:
    """A line through 32 points. More than ``most_rows`` in a pass are too much for its memory; ``bad_row`` is one it cannot take."""

    family, architecture, pads, parameters = "network", "line", False, 2

    def __init__(self, learning_rate: float = 0.01, most_rows: int = ROWS, bad_row: int | None = None) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Linear(1, 1)
        self.costs = [1] * ROWS
        self.decisions: list[Any] = []
        self.settings = Settings(4, None, 8, learning_rate, 0.0, 0.0, 0.0, 1, None, 7)
        self.inputs = torch.linspace(-1, 1, ROWS)[:, None]
        self.most_rows, self.bad_row = most_rows, bad_row

    def weight(self, rows: Sequence[int]) -> float:
        return len(rows)

    def loss(self, rows: Sequence[int]) -> torch.Tensor:
        if len(rows) > self.most_rows:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        if self.bad_row in rows:
            raise IndexError("index out of range in self")
        inputs = self.inputs[list(rows)]
        return torch.nn.functional.mse_loss(self.module(inputs), 3 * inputs + 1)

    def scores(self, check: Callable[[], None], part: str = "validation") -> Any:
        check()
        return self.module(self.inputs).detach().double().numpy()[:, 0]

    def save(self, folder: Path) -> None: ...

    def stepped(self, learning_rate: float) -> None: ...

    def use_precision(self, precision: str) -> bool:
        return precision == "fp32"

    def recompute(self) -> bool:
        return False


def loop_of(task: SmallTask, folder: Path, wants: Wants, **spec: Any) -> Loop:
    tell = Teller(EventWriter(folder / "events.jsonl"))
    problem = ColumnProblem.of(ProblemType.REGRESSION, (), "auto")
    targets = (3 * task.inputs[:, 0] + 1).double().numpy()
    prepared = Prepared(problem, targets, np.arange(ROWS), np.arange(ROWS), {}, [])
    chosen = Spec(checkpoint_seconds=3600, **spec)
    return Loop(task, prepared, TrainState(plan="p", threads=1), tell, wants, Keeper(folder, Keeping(), tell), chosen)


def messages(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    events = [wire.decode(line) for line, _ in wire.whole_lines(folder / "events.jsonl", 0)]
    return [(event.code, event.params) for event in of_kind(events, "Logged")]


def test_too_little_memory_is_mended_by_smaller_passes_that_learn_the_same(tmp_path: Path, wants: Wants) -> None:
    short, ample = SmallTask(most_rows=3), SmallTask()
    loop_of(ample, tmp_path / "ample", wants).run()
    loop_of(short, tmp_path / "short", wants).run()
    assert torch.allclose(short.module.weight, ample.module.weight, atol=1e-5)
    mended = [(code, said["tokens"]) for code, said in messages(tmp_path / "short")]
    assert mended == [("train.passes_shortened", 4), ("train.passes_shortened", 2)]


def test_memory_that_does_not_suffice_for_one_row_is_told(tmp_path: Path, wants: Wants) -> None:
    with pytest.raises(RuntimeError, match="allocate"):
        loop_of(SmallTask(most_rows=0), tmp_path, wants).run()


def test_a_row_that_the_model_cannot_take_is_named(tmp_path: Path, wants: Wants) -> None:
    with pytest.raises(KargahError) as caught:
        loop_of(SmallTask(bad_row=12), tmp_path, wants).run()
    assert (caught.value.code, caught.value.params["row"]) == ("BAD_ROW", 13)


def test_a_bad_row_is_left_out_where_that_was_asked_for(tmp_path: Path, wants: Wants) -> None:
    task = SmallTask(bad_row=12, learning_rate=0.1)
    loop_of(task, tmp_path, wants, skip_bad_rows=True).run()
    assert [(code, said["row"]) for code, said in messages(tmp_path)] == [("train.row_skipped", 13)]


@pytest.mark.parametrize(("learning_rate", "code"), [(float("inf"), "TRAINING_DIVERGED"), (500.0, "LOSS_EXPLODED")])
def test_a_loss_that_is_no_number_or_explodes_ends_the_training_by_name(
    tmp_path: Path, wants: Wants, learning_rate: float, code: str
) -> None:
    with pytest.raises(KargahError) as caught:
        loop_of(SmallTask(learning_rate=learning_rate), tmp_path, wants).run()
    assert caught.value.code == code


def test_a_full_disk_makes_a_checkpoint_wait_until_there_is_room(tmp_path: Path) -> None:
    tell, tries, looked = Teller(EventWriter(tmp_path / "events.jsonl")), [], []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return "written"

    assert keeper.when_there_is_room(write, tmp_path, 1000, tell, looked.append) == "written"
    assert looked == [True, True, False]
    assert [code for code, _ in messages(tmp_path)] == ["train.disk_full", "train.disk_has_room"]
