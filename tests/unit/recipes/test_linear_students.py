"""Linear models are taught by the loss that networks are taught by, and find its minimum."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from torch import nn

from kargah.engine.distilling import distilled
from kargah.recipes.baselines.taught import SoftTargets, solve
from kargah.recipes.token_classification.baselines import LinearTagger

ROWS, FEATURES, LABELS = 40, 12, 3


def drawn(temperature: float, share: float, independent: bool = False) -> tuple[np.ndarray, SoftTargets]:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(ROWS, FEATURES)) * (generator.random((ROWS, FEATURES)) < 0.5)
    soft = generator.dirichlet(np.ones(LABELS), size=ROWS)
    hard = (generator.random((ROWS, LABELS)) < 0.4).astype(float) if independent else np.eye(LABELS)[generator.integers(LABELS, size=ROWS)]
    return features, SoftTargets(hard, soft, temperature, share, independent)


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.0), (2.0, 0.5), (4.0, 1.0)])
def test_the_loss_and_its_gradient_are_those_of_networks(temperature: float, share: float, independent: bool) -> None:
    _, targets = drawn(temperature, share, independent)
    logits = torch.randn(ROWS, LABELS, dtype=torch.float64, requires_grad=True)
    hard, soft = torch.from_numpy(targets.hard), torch.from_numpy(targets.soft)
    told = nn.functional.binary_cross_entropy_with_logits if independent else nn.functional.cross_entropy
    expected = distilled(told(logits, hard), logits, soft, temperature, share, independent) * (ROWS * LABELS if independent else ROWS)
    loss, gradient = targets.loss(logits.detach().numpy())
    assert loss == pytest.approx(expected.item(), rel=1e-9)
    np.testing.assert_allclose(gradient, torch.autograd.grad(expected, logits)[0].numpy(), atol=1e-9)


def test_at_the_temperature_one_it_is_the_regression_of_rows_written_once_a_label() -> None:
    features, targets = drawn(1.0, 0.4)
    coefficients, intercept = solve(csr_matrix(features), targets, lambda: None, strength=2.0)
    weights = (0.6 * targets.hard + 0.4 * targets.soft).ravel()
    expected = LogisticRegression(C=2.0, tol=1e-9, max_iter=5000).fit(
        np.repeat(features, LABELS, axis=0), np.tile(np.arange(LABELS), ROWS), sample_weight=weights
    )
    np.testing.assert_allclose(coefficients, expected.coef_, atol=2e-3)
    centred = intercept - intercept.mean()  # a softmax does not change by what is added to all
    np.testing.assert_allclose(centred, expected.intercept_ - expected.intercept_.mean(), atol=2e-3)


def test_it_can_be_stopped_between_two_steps() -> None:
    features, targets = drawn(2.0, 0.5)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        solve(csr_matrix(features), targets, stop)


def test_a_linear_tagger_whose_tags_tell_nothing_learns_them_from_its_teacher() -> None:
    generator = np.random.default_rng(0)
    names = [["علی", "مریم"], ["به"], ["تهران", "شیراز"]]
    words = [[str(generator.choice(kind)) for kind in names] for _ in range(120)]
    right, spoilt = np.arange(3), [generator.integers(3, size=3) for _ in words]
    soft = [np.eye(3, dtype=np.float32) * 0.7 + 0.1 for _ in words]
    taught = LinearTagger.taught(words, spoilt, soft, 2.0, 1.0, lambda: None)
    assert all((row.argmax(axis=1) == right).all() for row in taught.scores_of(words))
    alone = LinearTagger.taught(words, spoilt, soft, 2.0, 0.0, lambda: None)
    assert not all((row.argmax(axis=1) == right).all() for row in alone.scores_of(words))
    assert (taught.name, taught.family) == ("linear-student", "linear")
