"""The strength of a linear model: what leaving each row out says is what fitting without it says."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from kargah.recipes.baselines import strengths


def nothing() -> None:
    return None


def rows_of(classes: int, rows: int = 120, noise: float = 1.5) -> tuple[Any, Any]:
    """Noisy points around as many middles, of length 1 each."""
    generator = np.random.default_rng(0)
    middles = generator.normal(size=(classes, 40))
    targets = generator.integers(0, classes, rows)
    points = middles[targets] + noise * generator.normal(size=(rows, 40))
    return csr_matrix(points / np.linalg.norm(points, axis=1, keepdims=True)), targets


def fitted(matrix: Any, flags: Any, strength: float) -> LinearSVC:
    return LinearSVC(C=strength, random_state=0, tol=1e-10, max_iter=200_000).fit(matrix, flags)


@pytest.mark.parametrize("strength", strengths.STRENGTHS)
def test_margins_without_a_row_are_those_of_a_fit_without_it(strength: float) -> None:
    matrix, targets = rows_of(2)
    flags = targets == 1
    signs = np.where(flags, 1.0, -1.0)
    products = ((matrix @ matrix.T).toarray() + 1).astype(np.float32)
    foreseen = strengths.left_out(products, signs * fitted(matrix, flags, strength).decision_function(matrix), strength)
    real = np.empty(len(flags))
    for row in range(len(flags)):
        others = np.arange(len(flags)) != row
        real[row] = signs[row] * fitted(matrix[others], flags[others], strength).decision_function(matrix[row])[0]
    assert np.abs(foreseen - real).max() < 0.1 * np.abs(real).max()
    assert np.median(np.abs(foreseen - real)) < 0.01
    assert np.mean((foreseen > 0) == (real > 0)) > 0.98


def test_rows_beyond_the_margin_keep_theirs() -> None:
    beyond = np.array([1.5, 2.0, 1.2])
    assert strengths.left_out(np.ones((3, 3), np.float32), beyond, 1.0).tolist() == beyond.tolist()


@pytest.mark.parametrize("classes", [2, 4])
def test_the_chosen_strength_is_the_one_that_tells_most_left_out_rows_right(classes: int) -> None:
    matrix, targets = rows_of(classes, noise=3.0)
    right = dict.fromkeys(strengths.STRENGTHS, 0)
    for strength in strengths.STRENGTHS:
        for row in range(len(targets)):
            others = np.arange(len(targets)) != row
            right[strength] += fitted(matrix[others], targets[others], strength).predict(matrix[row])[0] == targets[row]
    chosen = strengths.chosen(matrix, targets, nothing)
    assert right[chosen] >= max(right.values()) - 1, right
    assert max(right.values()) > min(right.values()) + 1, "one as good as another says nothing"


def test_where_all_are_as_good_and_where_asking_is_dear_it_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, targets = rows_of(2, noise=0.01)
    assert strengths.chosen(matrix, targets, nothing) == strengths.USUAL
    matrix, targets = rows_of(2, noise=2.0)
    monkeypatch.setattr(strengths, "_MOST_INVERTED", len(targets) ** 3 - 1)
    assert strengths.chosen(matrix, targets, lambda: pytest.fail("nothing is asked")) == strengths.USUAL
