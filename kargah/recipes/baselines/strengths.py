"""How strongly a linear model of classes should follow its rows: the C of a support vector machine, chosen by leaving each row out.

For the squared hinge the margin of a row that is left out follows from one fit on all of them, by one step of Newton's method: exactly
while the same rows remain inside the margin, closely else (Beirami et al. 2017; Rad and Maleki 2018). With S the rows inside the margin, K
their inner products (and 1 for the intercept), λ = 1 / 2C and d the diagonal of (K + λI)⁻¹, the margin m of a row of S becomes

    1 − (1 − m) / (λ d)

and that of any other row stays. So a strength costs one fit and one inverse, and no row has to be kept back.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kargah.recipes.measures import FloatArray
from kargah.recipes.splits import IntArray

USUAL = 0.5
STRENGTHS = (0.25, USUAL, 1.0, 2.0, 4.0)
#: Of the inverses (margins × rows³) and of the inner products (multiplications): seconds each. Many rows make the strength matter less.
_MOST_INVERTED, _MOST_MULTIPLIED = 4000**3, 2e9
_ROWS_AT_ONCE, _TOLERANCE = 256, 0.01


def chosen(matrix: Any, targets: IntArray, check: Callable[[], None]) -> float:
    """The one under which the most rows are told right by all others; ``USUAL`` where asking would take long, and where all are as good.

    ``matrix``: sparse [rows, features]; ``targets`` [rows], of two classes at least.
    """
    classes = len(np.unique(targets))
    multiplied = float((np.bincount(matrix.indices).astype(np.float64) ** 2).sum())
    if (classes if classes > 2 else 1) * len(targets) ** 3 > _MOST_INVERTED or multiplied > _MOST_MULTIPLIED:
        return USUAL
    products = _products(matrix, check)
    right = {strength: _right(matrix, products, targets, strength, check) for strength in STRENGTHS}
    return max(STRENGTHS, key=lambda strength: (right[strength], strength == USUAL))


def left_out(products: FloatArray, margins: FloatArray, strength: float) -> FloatArray:
    """The ``margins`` [rows] (signed: right above 0) of an SVM as each would be if its row had not been among the others.

    ``products``: float32 [rows, rows], inner products of the rows with their 1 for the intercept.
    """
    from scipy.linalg import lapack

    inside = np.flatnonzero(margins < 1)
    moved = np.asarray(margins, dtype=np.float64).copy()
    if not len(inside):
        return moved
    ridge = 0.5 / strength
    system = products[np.ix_(inside, inside)].T  # in LAPACK's order of elements: then it is worked on where it lies
    system[np.diag_indices(len(inside))] += ridge
    factor, _ = lapack.spotrf(system, lower=1, overwrite_a=1)
    inverse, _ = lapack.strtri(factor, lower=1, overwrite_c=1)  # of the triangle; the other one is zero
    diagonal = np.einsum("ij,ij->j", inverse, inverse)
    moved[inside] = 1 - (1 - moved[inside]) / (ridge * diagonal)
    return moved


def _right(matrix: Any, products: FloatArray, targets: IntArray, strength: float, check: Callable[[], None]) -> int:
    from sklearn.svm import LinearSVC

    check()
    model = LinearSVC(C=strength, random_state=0, tol=_TOLERANCE).fit(matrix, targets)
    decided = model.decision_function(matrix)
    if decided.ndim == 1:
        return int((left_out(products, np.where(targets == model.classes_[1], decided, -decided), strength) > 0).sum())
    alone = np.empty_like(decided)
    for place, label in enumerate(model.classes_):
        check()
        signs = np.where(targets == label, 1.0, -1.0)
        alone[:, place] = signs * left_out(products, signs * decided[:, place], strength)
    return int((model.classes_[alone.argmax(axis=1)] == targets).sum())


def _products(matrix: Any, check: Callable[[], None]) -> FloatArray:
    single, rows = matrix.astype(np.float32), matrix.shape[0]
    turned = single.T
    products = np.empty((rows, rows), dtype=np.float32)
    for start in range(0, rows, _ROWS_AT_ONCE):
        check()
        products[start : start + _ROWS_AT_ONCE] = (single[start : start + _ROWS_AT_ONCE] @ turned).toarray()
    products += 1
    return products
