"""Less exact products are as repeatable as exact ones: every recipe that takes them ends, when interrupted, with the very weights."""

from pathlib import Path

import pytest
import torch
from loops import small_loop
from test_resuming import families

from kargah.recipes.base import Recipe
from kargah.workers import checkpoint
from kargah.workers.checkpoint import TrainState
from kargah.workers.loop import Loop
from kargah.workers.precision import HALF
from kargah.workers.wants import Wants

pytestmark = pytest.mark.usefixtures("one_thread")
SAVED_EVERY, KILLED_AT = 4, 6
SMALL_NETWORKS = {"bag", "cnn", "bilstm"}


class Killed(BaseException):
    pass


def in_half(folder: Path, wants: Wants, recipe: Recipe, preset: str | None) -> Loop | None:
    """A small training in bf16; None where the network does not take it."""
    state = TrainState(plan="p", threads=1, precision=HALF)
    return small_loop(
        folder, recipe, preset, wants, lambda task: task.use_precision(HALF), state, max_steps=10, checkpoint_steps=SAVED_EVERY
    )  # fmt: skip


@pytest.mark.parametrize(("recipe", "preset"), list(families()))
def test_in_bf16_too_a_killed_training_ends_with_the_same_weights(tmp_path: Path, wants: Wants, recipe: Recipe, preset: str | None) -> None:
    whole = in_half(tmp_path / "whole", wants, recipe, preset)
    if whole is None:
        assert preset in SMALL_NETWORKS or recipe.name == "tabular", "no network of transformers is left in fp32"
        return
    whole.run()
    killed = in_half(tmp_path / "killed", wants, recipe, preset)
    assert killed is not None

    def kill(*_: object) -> None:
        if killed.state.step == KILLED_AT:
            killed.keeper.wait(wants.check)
            raise Killed

    killed.watch = kill
    with pytest.raises(Killed):
        killed.run()
    again = in_half(tmp_path / "again", wants, recipe, preset)
    found = checkpoint.latest(killed.keeper.folder, "p")
    assert again is not None and found is not None
    assert (found[1].step, found[1].precision) == (SAVED_EVERY, HALF)
    again.take_up(*found)
    again.run()
    expected = whole.task.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.task.module.state_dict().items())
