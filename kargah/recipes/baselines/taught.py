"""A linear model that learns what a teacher says of its rows beside the labels of the data: the loss of ``engine.distilling``, solved.

No sampling, no rows written twice: with Z = X Wᵀ + b, labels Y, shares Q at the temperature T and the teacher's part s the minimum of

    ½ |W|² + C Σ over rows of ((1 − s) · CE(Y, Z) + s T² · CE(Q, Z / T))

is looked for by L-BFGS. It is convex, so there is but one. At T = 1 it is what logistic regression finds where each row stands there once
a label, weighted by (1 − s) Y + s Q.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.measures import FloatArray

#: Measured on parts of DeepSentiPers' training rows (docs/decisions/0043).
_C = 3.0
_MOST_STEPS = 300
#: What L-BFGS remembers of steps, in numbers of 8 bytes: fewer steps where labels times features are many.
_REMEMBERED_NUMBERS = 40_000_000


@dataclass(frozen=True)
class SoftTargets:
    """``hard`` and ``soft`` float64 [rows, outputs]: the data's labels, and the teacher's shares at ``temperature``, which count for
    ``share``. ``independent``: each output is a yes or no of its own."""

    hard: FloatArray
    soft: FloatArray
    temperature: float
    share: float
    independent: bool

    def loss(self, logits: FloatArray) -> tuple[float, FloatArray]:
        """(summed over the rows, its gradient by the logits [rows, outputs])."""
        of_labels, by_labels = self._cross_entropy(logits, self.hard)
        of_teacher, by_teacher = self._cross_entropy(logits / self.temperature, self.soft)
        rest, weight = 1 - self.share, self.share * self.temperature
        return rest * of_labels + weight * self.temperature * of_teacher, rest * by_labels + weight * by_teacher

    def _cross_entropy(self, logits: FloatArray, targets: FloatArray) -> tuple[float, FloatArray]:
        if self.independent:
            return float((np.logaddexp(0, logits) - targets * logits).sum()), 0.5 * (1 + np.tanh(0.5 * logits)) - targets
        top = logits.max(axis=1, keepdims=True)
        powers = np.exp(logits - top)
        sums = powers.sum(axis=1, keepdims=True)
        return float((targets * (np.log(sums) + top - logits)).sum()), powers / sums - targets


def solve(matrix: Any, targets: SoftTargets, check: Callable[[], None], strength: float = _C) -> tuple[FloatArray, FloatArray]:
    """``matrix``: sparse [rows, features]; ``strength``: C. Return (coefficients [outputs, features], intercept [outputs])."""
    from scipy.optimize import minimize

    outputs, features = targets.hard.shape[1], matrix.shape[1]
    turned = matrix.T.tocsr()

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(outputs, features + 1)
        total, by_logits = targets.loss(matrix @ weights[:, :-1].T + weights[:, -1])
        gradient = np.empty_like(weights)
        gradient[:, :-1] = weights[:, :-1] + strength * (turned @ by_logits).T
        gradient[:, -1] = strength * by_logits.sum(axis=0)
        return 0.5 * float((weights[:, :-1] ** 2).sum()) + strength * total, gradient.ravel()

    def stepped(_: FloatArray) -> None:
        check()

    begin = np.zeros(outputs * (features + 1))
    remembered = max(2, min(10, _REMEMBERED_NUMBERS // (2 * len(begin))))
    options = {"maxiter": _MOST_STEPS, "maxcor": remembered, "ftol": 1e-7, "gtol": 1e-4}
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", callback=stepped, options=options).x.reshape(outputs, features + 1)
    return found[:, :-1], found[:, -1]
