"""What a text classifier is taught by, held against the formulas written out in numpy."""

from typing import Any

import numpy as np
import pytest
import torch

from kargah.recipes.errors import SettingUnfit
from kargah.recipes.problem import ProblemType
from kargah.recipes.text_classification.losses import focal_of_one, of_several
from kargah.recipes.text_classification.spec import TextClassificationSpec, check

ROWS, LABELS = 7, 4


def random_logits(seed: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(0, 3, (ROWS, LABELS)), dtype=torch.float64)


def gradient(loss: Any, logits: torch.Tensor) -> np.ndarray[Any, Any]:
    own = logits.clone().requires_grad_(True)
    loss(own).backward()
    assert own.grad is not None
    return own.grad.numpy()


def numeric_gradient(loss: Any, logits: torch.Tensor, step: float = 1e-6) -> np.ndarray[Any, Any]:
    found = np.zeros(tuple(logits.shape))
    for place in np.ndindex(*logits.shape):
        moved = [logits.clone(), logits.clone()]
        moved[0][place] += step
        moved[1][place] -= step
        found[place] = (loss(moved[0]) - loss(moved[1])) / (2 * step)
    return found


def plain_focal(logits: np.ndarray[Any, Any], goals: list[int], weights: list[float] | None, smoothing: float, gamma: float) -> float:
    total = 0.0
    for row, goal in zip(logits, goals, strict=True):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        wanted = [(1 - smoothing) * (label == goal) + smoothing / LABELS for label in range(LABELS)]
        each = -sum((weights[label] if weights else 1.0) * wanted[label] * np.log(shares[label]) for label in range(LABELS))
        total += (1 - shares[goal]) ** gamma * each
    return float(total / len(goals))


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 0.25]])
@pytest.mark.parametrize(("smoothing", "gamma"), [(0.0, 2.0), (0.1, 2.0), (0.2, 0.7), (0.0, 0.0)])
def test_the_focal_loss_of_one_label_is_the_papers(weights: list[float] | None, smoothing: float, gamma: float) -> None:
    logits, goals = random_logits(1), [0, 3, 2, 1, 1, 0, 2]
    alpha = None if weights is None else torch.tensor(weights, dtype=torch.float64)

    def loss(own: torch.Tensor) -> torch.Tensor:
        return focal_of_one(own, torch.tensor(goals), alpha, smoothing, gamma)

    assert float(loss(logits)) == pytest.approx(plain_focal(logits.numpy(), goals, weights, smoothing, gamma), rel=1e-12)
    assert gradient(loss, logits) == pytest.approx(numeric_gradient(loss, logits), abs=1e-7)


def plain_several(
    logits: np.ndarray[Any, Any], goals: np.ndarray[Any, Any], rarity: list[float] | None, smoothing: float, gamma: float
) -> float:
    found = []
    for row, wanted in zip(logits, goals, strict=True):
        for label, (logit, goal) in enumerate(zip(row, wanted, strict=True)):
            share, smooth = 1 / (1 + np.exp(-logit)), goal * (1 - smoothing) + smoothing / 2
            each = -((rarity[label] if rarity else 1.0) * smooth * np.log(share) + (1 - smooth) * np.log(1 - share))
            found.append((1 - (share if goal else 1 - share)) ** gamma * each)
    return float(np.mean(found))


@pytest.mark.parametrize("rarity", [None, [3.0, 0.5, 9.0, 1.0]])
@pytest.mark.parametrize(("smoothing", "gamma"), [(0.0, 0.0), (0.1, 0.0), (0.0, 2.0), (0.2, 1.5)])
def test_several_labels_are_taught_each_by_itself(rarity: list[float] | None, smoothing: float, gamma: float) -> None:
    logits, goals = random_logits(2), np.random.default_rng(3).integers(0, 2, (ROWS, LABELS)).astype(np.float64)
    weights = None if rarity is None else torch.tensor(rarity, dtype=torch.float64)

    def loss(own: torch.Tensor) -> torch.Tensor:
        return of_several(own, torch.tensor(goals), weights, smoothing, gamma)

    assert float(loss(logits)) == pytest.approx(plain_several(logits.numpy(), goals, rarity, smoothing, gamma), rel=1e-12)
    assert gradient(loss, logits) == pytest.approx(numeric_gradient(loss, logits), abs=1e-7)


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("label_thresholds", "per_label", ProblemType.SINGLE_LABEL),
        ("loss", "focal", ProblemType.REGRESSION),
        ("class_weights", "balanced", ProblemType.REGRESSION),
        ("label_smoothing", 0.1, ProblemType.REGRESSION),
        ("frozen_encoder", True, ProblemType.MULTI_LABEL),
    ],
)
def test_a_setting_that_could_do_nothing_is_refused_by_its_name(setting: str, value: object, problem: ProblemType) -> None:
    spec = TextClassificationSpec.model_validate({setting: value, "problem_type": problem})
    with pytest.raises(SettingUnfit) as refused:
        check(spec, has_base_model=False)
    assert refused.value.params["field"] == f"spec.{setting}"
    check(spec.model_copy(update={"problem_type": "multi_label"}), has_base_model=True)
