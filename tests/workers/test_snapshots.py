"""What a checkpoint holds is what was there at its step; taking it costs a copy into memory that is there already, and no more."""

import threading
from pathlib import Path

import torch
from safetensors.torch import load_file
from test_mending import SmallTask, loop_of

from kargah.kit import files
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Copies, Keeping, Snapshot, TrainState
from kargah.workers.keeper import Keeper
from kargah.workers.wants import Wants


def test_a_checkpoint_is_of_its_step_however_far_training_goes_while_it_is_written(tmp_path: Path, wants: Wants) -> None:
    task, seen, farther = SmallTask(), dict[int, torch.Tensor](), threading.Event()
    loop = loop_of(task, tmp_path, wants, checkpoint_steps=2)
    loop.keeper = Keeper(tmp_path, Keeping(last=9), loop.tell)

    def watch(*_: object) -> None:
        seen[loop.state.step] = task.module.weight.detach().clone()
        if loop.state.step == 3:
            farther.set()

    def hold(deed: str, path: Path, _: Path | None) -> None:
        if deed == "write" and path.suffix == ".safetensors":
            assert farther.wait(60)

    loop.watch = watch
    with files.watched(hold):
        loop.run()
    kept = sorted(loop.keeper.folder.glob("step-*"))
    assert len(kept) == loop.total_steps // 2
    assert len({float(weight) for weight in seen.values()}) == len(seen) == loop.total_steps
    for path in kept:
        step = int(path.name.removeprefix("step-"))
        assert torch.equal(load_file(path / "model.safetensors")["weight"], seen[step])


class Half(torch.nn.Module):
    """One layer learns, one does not and is there under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = torch.nn.Linear(64, 64).requires_grad_(False)
        self.again = self.frozen
        self.learns = torch.nn.Linear(64, 64)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        self.learns(self.again(torch.ones(1, 64))).sum().backward()
        optimizer.step()


def half() -> tuple[Half, torch.optim.Optimizer]:
    module = Half()
    optimizer = torch.optim.AdamW([parameter for parameter in module.parameters() if parameter.requires_grad])
    module.step(optimizer)
    return module, optimizer


def places(taken: Snapshot) -> dict[str, int]:
    parts = taken.parts.items()
    return {f"{part}.{name}": tensor.data_ptr() for part, tensors in parts for name, tensor in tensors.items() if name != "random_state"}


def test_snapshots_use_the_memory_of_the_one_before_and_copy_no_weights_that_do_not_learn(tmp_path: Path) -> None:
    (module, optimizer), copies = half(), Copies()
    first = places(checkpoint.snapshot(TrainState("p", 1), module, optimizer, None, copies))
    module.step(optimizer)
    taken = checkpoint.snapshot(TrainState("p", 1, step=2), module, optimizer, None, copies)
    assert places(taken) == first
    assert first["model.frozen.weight"] == module.frozen.weight.data_ptr()
    assert first["model.learns.weight"] != module.learns.weight.data_ptr()
    path, _ = checkpoint.write(tmp_path, taken)
    other, others = half()
    checkpoint.restore(path, other, others)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(others.state_dict()["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


def test_memory_made_ready_is_what_the_first_snapshot_uses_and_leaves_what_is_held(tmp_path: Path) -> None:
    (module, optimizer), copies = half(), Copies()
    best = checkpoint.copied(module, copies, "best")
    before = {name: tensor.clone() for name, tensor in best.items()}
    checkpoint.getting_ready(module, optimizer, copies)()
    assert all(torch.equal(before[name], tensor) for name, tensor in best.items())
    ready = {tensor.data_ptr() for held in copies._held.values() for tensor in held.values()}
    taken = checkpoint.snapshot(TrainState("p", 1), module, optimizer, best, copies)
    assert {place for name, place in places(taken).items() if "frozen" not in name} <= ready
