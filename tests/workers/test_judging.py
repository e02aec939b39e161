"""What is told of a network is what its best weights say, and each evaluation is made once."""

from pathlib import Path
from typing import Any

import pytest
from loops import small_loop

from kargah.recipes import catalogue
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import VALIDATION
from kargah.workers.checkpoint import TrainState
from kargah.workers.wants import Wants


@pytest.mark.parametrize(
    ("recipe", "preset", "spec"),
    [("tabular", None, {}), ("text-classification", "transformer", {"ema_decay": 0.9}), ("token-classification", "transformer", {})],
)
def test_the_best_weights_are_told_of_as_they_were_judged(
    tmp_path: Path, wants: Wants, recipe: str, preset: str | None, spec: dict[str, Any]
) -> None:
    state = TrainState(plan="p", threads=1)
    loop = small_loop(tmp_path, catalogue.get(recipe), preset, wants, lambda _: True, state, epochs=3, **spec)
    assert loop is not None
    asked, scores = 0, loop.task.scores

    def counted(*arguments: Any) -> FloatArray:
        nonlocal asked
        asked += 1
        return scores(*arguments)

    loop.task.scores = counted  # type: ignore[method-assign]
    told = loop.run()
    assert asked == 3, "once an epoch; the end asks nothing again"
    again = loop.prepared.report(scores(lambda: None, VALIDATION))
    assert (told.metrics, told.detail) == (again.metrics, again.detail)
    assert told.metrics[loop.prepared.problem.primary_metric] == pytest.approx(loop.state.best_value)
