"""How good answers are: the field's metrics, with 95 % intervals. numpy only.

F1 of a class that has neither truth nor prediction is 0 and counts in no mean (scikit-learn's macro F1 over the labels
that occur). R² is null when all targets are equal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[Any]
IntArray = NDArray[np.int64]
Interval = tuple[float, float]
_RESAMPLES = 400
FEWEST_POSITIVES = 3


@dataclass(frozen=True)
class Evaluation:
    """``interval`` is the 95 % interval of the primary metric, where it was asked for: Wilson's for accuracy, else a seeded bootstrap."""

    metrics: dict[str, float | None]
    interval: Interval | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def single_label(targets: FloatArray, scores: FloatArray, labels: tuple[str, ...], primary: str | None) -> Evaluation:
    """``targets`` int [rows]; ``scores`` probabilities [rows, labels]."""
    predicted = scores.argmax(axis=1)
    counts = confusion(targets, predicted, len(labels))
    metrics: dict[str, float | None] = {"eval_loss": _log_loss(targets, scores), **of_confusion(counts)}
    table = _table(labels, np.diag(counts), counts.sum(axis=0), counts.sum(axis=1))
    if primary == "accuracy":
        interval: Interval | None = wilson(float(np.diag(counts).sum()), len(targets))
    else:
        interval = bootstrap(len(targets), primary, lambda rows: of_confusion(confusion(targets[rows], predicted[rows], len(labels))))
    return Evaluation(metrics, interval, {"classes": table, "confusion": {"labels": list(labels), "counts": counts.tolist()}})


def multi_label(
    targets: FloatArray, scores: FloatArray, labels: tuple[str, ...], threshold: float | FloatArray, primary: str | None
) -> Evaluation:
    """``targets`` 0/1 [rows, labels]; ``scores`` independent probabilities. Accuracy means all labels of a row right.

    ``threshold``: one for all labels, or [labels].
    """
    predicted = scores >= threshold
    truth = targets > 0.5
    clipped = np.clip(scores, 1e-7, 1 - 1e-7)
    loss = float(-np.where(truth, np.log(clipped), np.log1p(-clipped)).mean())
    metrics: dict[str, float | None] = {"eval_loss": loss, **of_flags(truth, predicted)}
    interval = bootstrap(len(truth), primary, lambda rows: of_flags(truth[rows], predicted[rows]))
    hits = (truth & predicted).sum(axis=0)
    return Evaluation(metrics, interval, {"classes": _table(labels, hits, predicted.sum(axis=0), truth.sum(axis=0))})


def best_thresholds(targets: FloatArray, scores: FloatArray, otherwise: float) -> tuple[float, ...]:
    """Of each label the threshold with the highest F1 on these rows: ``targets`` 0/1 [rows, labels], ``scores`` [rows, labels].

    Midway between two scores; of those that are as good the nearest to ``otherwise``, which a label of fewer than
    ``FEWEST_POSITIVES`` rows keeps: a threshold learnt from one or two rows is chance.
    """
    return tuple(_best_threshold(targets[:, label] > 0.5, scores[:, label], otherwise) for label in range(targets.shape[1]))


def _best_threshold(truth: FloatArray, scores: FloatArray, otherwise: float) -> float:
    if truth.sum() < FEWEST_POSITIVES:
        return otherwise
    levels = np.unique(scores)
    limits = np.array([*((levels[1:] + levels[:-1]) / 2), otherwise])
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    hits = len(positives) - np.searchsorted(positives, limits)
    wrong = len(negatives) - np.searchsorted(negatives, limits)
    f1 = 2 * hits / (hits + wrong + len(positives))
    best = limits[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - otherwise).argmin()])


def regression(targets: FloatArray, values: FloatArray, primary: str | None) -> Evaluation:
    """``targets`` and ``values`` float [rows], in the target's own unit."""
    interval = bootstrap(len(targets), primary, lambda rows: of_errors(targets[rows], values[rows]))
    shown = np.linspace(0, len(targets) - 1, min(len(targets), 200)).astype(int)
    sample = [[float(targets[row]), float(values[row])] for row in shown]
    return Evaluation(of_errors(targets, values), interval, {"predicted_against_true": sample})


def confusion(targets: FloatArray, predicted: FloatArray, size: int) -> FloatArray:
    """counts[true, predicted], int64 [size, size]."""
    return np.bincount(targets.astype(np.int64) * size + predicted, minlength=size * size).reshape(size, size)


def wilson(hits: float, rows: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: honest for few rows and for shares near 0 and 1, where the plain one is not."""
    share = hits / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(0.0, centre - half), min(1.0, centre + half)


def of_confusion(counts: FloatArray) -> dict[str, float | None]:
    f1, support = _f1(np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)), counts.sum(axis=1)
    occurring = (counts.sum(axis=0) + support) > 0
    return {
        "accuracy": float(np.diag(counts).sum() / counts.sum()),
        "macro_f1": float(f1[occurring].mean()),
        "weighted_f1": float((f1 * support).sum() / support.sum()),
    }


def of_flags(truth: FloatArray, predicted: FloatArray) -> dict[str, float | None]:
    hits, named, support = (truth & predicted).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0)
    f1 = _f1(hits, named, support)
    occurring = (named + support) > 0
    micro = _f1(np.array([hits.sum()]), np.array([named.sum()]), np.array([support.sum()]))
    return {
        "accuracy": float((truth == predicted).all(axis=1).mean()),
        "micro_f1": float(micro[0]),
        "macro_f1": float(f1[occurring].mean()) if occurring.any() else 0.0,
        "weighted_f1": float((f1 * support).sum() / max(1, support.sum())),
    }


def _f1(hits: FloatArray, predicted: FloatArray, support: FloatArray) -> FloatArray:
    return np.asarray(2 * hits / np.maximum(1, predicted + support))


def _table(labels: tuple[str, ...], hits: FloatArray, predicted: FloatArray, support: FloatArray) -> list[dict[str, Any]]:
    precision, recall, f1 = hits / np.maximum(1, predicted), hits / np.maximum(1, support), _f1(hits, predicted, support)
    rows = zip(labels, precision, recall, f1, support, strict=True)
    return [{"label": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)} for name, p, r, f, s in rows]


def of_errors(targets: FloatArray, values: FloatArray) -> dict[str, float | None]:
    difference = values - targets
    spread = float(((targets - targets.mean()) ** 2).sum())
    r2 = 1 - float((difference**2).sum()) / spread if spread > 0 else None
    return {"mae": float(np.abs(difference).mean()), "rmse": math.sqrt(float((difference**2).mean())), "r2": r2}


def _log_loss(targets: FloatArray, scores: FloatArray) -> float:
    chosen = scores[np.arange(len(targets)), targets.astype(np.int64)]
    return float(-np.log(np.clip(chosen, 1e-12, 1.0)).mean())


def bootstrap(rows: int, metric: str | None, measure: Callable[[IntArray], dict[str, float | None]]) -> Interval | None:
    """95 % interval of ``metric`` over resampled rows, seeded; ``measure`` takes row numbers. None where no metric is asked for."""
    if metric is None:
        return None
    generator = np.random.default_rng(0)
    values = [measure(generator.integers(0, rows, rows))[metric] for _ in range(_RESAMPLES)]
    known = [value for value in values if value is not None]
    if len(known) < _RESAMPLES / 2:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
