"""Two processes that share each step make the weights of one that has it all."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing, nn

from kargah.engine.ranks import Ranks, meet
from kargah.recipes.base import Spec
from kargah.recipes.runtime import Settings
from kargah.workers.checkpoint import TrainState
from kargah.workers.loop import Loop
from kargah.workers.steps import Group

ROWS, STEPS = 60, 6
#: What the second process can take at once: less than its share of a step.
FEW = 4


def trained(ranks: Ranks, most_rows: int = ROWS) -> dict[str, Tensor]:
    """Real steps of the loop: batches of seven (unequal shares), accumulated by two, clipped; one part never gets a gradient."""
    torch.manual_seed(0)
    inputs, goals = torch.randn(ROWS, 8), torch.randint(0, 3, (ROWS,))
    module = nn.ModuleDict({"used": nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)), "unused": nn.Linear(4, 4)})

    def loss(rows: Any) -> Tensor:
        if len(rows) > most_rows:
            raise RuntimeError("can't allocate memory")
        found: Tensor = nn.functional.cross_entropy(module["used"](inputs[list(rows)]), goals[list(rows)])
        return found

    spec = Spec(
        epochs=100, batch_size=7, learning_rate=1e-2, weight_decay=0.1, gradient_accumulation_steps=2, max_grad_norm=0.5, warmup_ratio=0.0
    )
    settings = Settings(**{name: getattr(spec, name) for name in Settings.__dataclass_fields__})
    task: Any = SimpleNamespace(
        module=module, settings=settings, costs=[1] * ROWS, loss=loss, weight=len, pads=False, stepped=lambda _: None
    )
    nothing: Any = None
    tell: Any = SimpleNamespace(log=lambda *_, **__: None)
    prepared: Any = SimpleNamespace(rows_an_epoch=ROWS, draws=())
    loop = Loop(task, prepared, TrainState(plan="", threads=1), tell, nothing, nothing, spec, group=Group(ranks))
    steps = [batches for epoch in range(2) for batches in loop.batches_by_step(epoch)][:STEPS]
    losses = [loop.step(batches).loss for batches in steps]
    return {**module.state_dict(), "losses": torch.tensor(losses), "passes": torch.tensor(len(loop.passes(steps[0])))}


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    ranks = meet(Path(folder) / "meeting", rank, 2)
    torch.save(trained(ranks, most_rows=FEW if rank else ROWS), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_make_the_weights_of_one_though_one_of_them_has_little_memory(tmp_path: Path) -> None:
    """What does not fit in one is cut in both."""
    multiprocessing.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone = trained(Ranks())
    assert (int(alone.pop("passes")), int(first["passes"]), int(second["passes"])) == (2, 6, 6)
    for name, expected in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=1e-6)
    assert alone["losses"][-1] < alone["losses"][0]
