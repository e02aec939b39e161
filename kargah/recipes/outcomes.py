"""What is kept of each row of an evaluation, so that two of them are compared later without asking either model again.

By their ``form`` the metrics follow from what is kept, to the digit as they did when it was measured. numpy only, and nothing of the
models: who compares has started in a moment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kargah.recipes import measures
from kargah.recipes.embeddings.metrics import spearman
from kargah.recipes.evidence import Measure, sums_measure
from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.seq2seq.metrics import chrf
from kargah.recipes.token_classification.measuring import tag_figures

LABEL, FLAGS, VALUE, ORDER, MEANS, TEXTS, TAGS = "label", "flags", "value", "order", "means", "texts", "tags"


@dataclass(frozen=True)
class Outcomes:
    """``columns``: by name an array [rows] or [rows, numbers]; ``about``: what else the metrics of ``form`` take (see ``_FORMS``)."""

    form: str
    columns: dict[str, FloatArray]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        return sum(column.size for column in self.columns.values())

    @property
    def tells_all(self) -> bool:
        """Of labels the loss takes the probabilities, which are not kept."""
        return self.form not in (LABEL, FLAGS)

    def of(self, places: IntArray) -> "Outcomes":
        return replace(self, columns={name: column[places] for name, column in self.columns.items()})

    def measure(self) -> Measure:
        return _FORMS[self.form](self)


def means(names: tuple[str, ...], by_row: list[list[float]]) -> Outcomes:
    """Where every metric is a mean over rows: ``by_row`` [rows, names]."""
    return Outcomes(MEANS, {"means": np.array(by_row)}, {"names": list(names)})


def _of_label(kept: Outcomes) -> Measure:
    """``target``, ``said``: numbers below ``about["labels"]``."""
    target, said, labels = kept.columns["target"], kept.columns["said"], int(kept.about["labels"])
    return lambda rows: measures.of_confusion(measures.confusion(target[rows], said[rows], labels))


def _of_flags(kept: Outcomes) -> Measure:
    """``target``, ``said``: bool [rows, labels]."""
    target, said = kept.columns["target"], kept.columns["said"]
    return lambda rows: measures.of_flags(target[rows], said[rows])


def _of_value(kept: Outcomes) -> Measure:
    target, said = kept.columns["target"], kept.columns["said"]
    return lambda rows: measures.of_errors(target[rows], said[rows])


def _of_order(kept: Outcomes) -> Measure:
    target, said = kept.columns["target"], kept.columns["said"]
    return lambda rows: {"spearman": spearman(target[rows], said[rows])}


def _of_means(kept: Outcomes) -> Measure:
    names = kept.about["names"]
    return sums_measure(_counted(kept.columns["means"]), lambda totals: _means(names, totals))


def _of_texts(kept: Outcomes) -> Measure:
    """``means``: metrics that are means over rows; ``counts``: of characters, of which chrF is over all rows together."""
    names = kept.about["names"]
    split = len(names) + 1
    sums = np.concatenate([_counted(kept.columns["means"]), kept.columns["counts"]], axis=1)
    return sums_measure(sums, lambda totals: {**_means(names, totals[:split]), "chrf": chrf(totals[split:])})


def _of_tags(kept: Outcomes) -> Measure:
    """``sums`` [rows, 3 for each kind and 3 of words], whose totals ``tag_figures`` takes; ``about["plain"]``: no entities."""
    sums, plain = kept.columns["sums"], bool(kept.about["plain"])
    return sums_measure(sums, lambda totals: tag_figures(totals[:-3].reshape(-1, 3), totals[-3:], plain))


def _counted(by_row: FloatArray) -> FloatArray:
    """With a 1 before each row: its sum is how many there are."""
    return np.concatenate([np.ones((len(by_row), 1)), by_row], axis=1)


def _means(names: list[str], totals: FloatArray) -> dict[str, float | None]:
    return {name: float(total / totals[0]) for name, total in zip(names, totals[1:], strict=True)}


_FORMS: dict[str, Callable[[Outcomes], Measure]] = {
    LABEL: _of_label, FLAGS: _of_flags, VALUE: _of_value, ORDER: _of_order, MEANS: _of_means, TEXTS: _of_texts, TAGS: _of_tags,
}  # fmt: skip
