"""Every recipe learns the same from tokens that were kept as from those that it makes."""

from pathlib import Path

import pytest
import torch
from loops import small_loop
from test_resuming import families

from kargah.recipes import token_rows
from kargah.recipes.base import Recipe
from kargah.recipes.token_rows import KeptTokens
from kargah.workers.checkpoint import TrainState
from kargah.workers.wants import Wants

#: Those that read no texts, make no tokens, or cut their texts into windows.
WITHOUT = {"tabular", "token-classification", "question-answering"}
WITHOUT_PRESETS = {"bag"}


@pytest.mark.parametrize(("recipe", "preset"), [case for case in families() if case.values[0].name not in WITHOUT])
def test_the_same_is_learnt_from_kept_tokens(
    tmp_path: Path, recipe: Recipe, preset: str | None, wants: Wants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_rows, "LEAST_CHARACTERS", 0)
    kept = KeptTokens(tmp_path / "tokens-1" / "a")

    def losses(number: int, kept: KeptTokens | None) -> list[float]:
        loop = small_loop(tmp_path / str(number), recipe, preset, wants, lambda task: True, TrainState(plan="", threads=1), kept=kept)
        assert loop is not None
        torch.manual_seed(7)
        return [float(loop.task.loss([row, row + 1])) for row in range(6)]

    expected = losses(1, None)
    assert losses(2, kept) == expected
    files = {path: path.stat().st_ino for path in tmp_path.glob("tokens-1/*/*")}
    assert bool(files) == (preset not in WITHOUT_PRESETS)
    assert losses(3, kept) == expected
    assert {path: path.stat().st_ino for path in tmp_path.glob("tokens-1/*/*")} == files, "nothing was made again"
