"""What tagging is asked and how it is scored: entities by seqeval's definition, or, for plain tags, words.

An entity is right when its type and both its ends are. F1 is the micro mean over all entities (CoNLL-2003's); ``macro_f1`` the mean
over types. Intervals are bootstraps over rows, not words: words of one text err together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kargah.recipes.measures import Evaluation, FloatArray, Interval, confusion
from kargah.recipes.problem import Problem, known_metric
from kargah.recipes.token_classification.decoding import decoded
from kargah.recipes.token_classification.schemes import Moves, Scheme, Span, spans_of, words_of

_RESAMPLES = 400


@dataclass(frozen=True)
class TagsProblem(Problem):
    """``labels``: all tags. ``scheme``: how entities are written with them. Targets: tag numbers [words] a row; scores: probabilities
    [words, tags] a row."""

    scheme: Scheme
    labels: tuple[str, ...]
    primary_metric: str

    @classmethod
    def of(cls, scheme: Scheme, labels: tuple[str, ...], wanted_metric: str) -> "TagsProblem":
        """Raises MetricUnfit for a metric that such tags do not have."""
        known = ("token_accuracy", "macro_f1") if scheme == "plain" else ("f1", "macro_f1", "token_accuracy")
        return cls(scheme, labels, known_metric(wanted_metric, known))

    @property
    def kind(self) -> str:
        return "words" if self.scheme == "plain" else "entities"

    @cached_property
    def moves(self) -> Moves:
        return Moves.of(self.labels, self.scheme)

    def spans(self, tags: Iterable[int]) -> list[Span]:
        named = [self.labels[tag] for tag in tags]
        return words_of(named) if self.scheme == "plain" else spans_of(named)

    def tags_of(self, scores: Sequence[FloatArray]) -> list[FloatArray]:
        """The likeliest tags of each row that the scheme allows."""
        return decoded(scores, self.moves)

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        predicted = self.tags_of(list(scores))
        words = _of_words(targets, predicted, scores)
        if self.scheme == "plain":
            metrics, table = words.metrics, _of_tags(words.counts, self.labels)
            metrics["macro_f1"] = _macro(table)
            detail: dict[str, Any] = {"classes": table, "confusion": {"labels": list(self.labels), "counts": words.counts.tolist()}}
            return Evaluation(metrics, words.interval if with_interval else None, detail)
        found = Counted.of([self.spans(row) for row in targets], [self.spans(row) for row in predicted])
        metrics = {**found.metrics, **words.metrics}
        interval = found.interval if self.primary_metric == "f1" else words.interval if self.primary_metric == "token_accuracy" else None
        return Evaluation(metrics, interval if with_interval else None, {"classes": found.table})

    def as_dict(self) -> dict[str, Any]:
        return {"scheme": self.scheme, "labels": list(self.labels), "primary_metric": self.primary_metric}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "TagsProblem":
        return cls(stored["scheme"], tuple(stored["labels"]), stored["primary_metric"])


@dataclass(frozen=True)
class Counted:
    """``rows`` int [rows, 3]: entities right, found and there. ``types``: the same by type."""

    rows: FloatArray
    types: dict[str, list[int]]

    @classmethod
    def of(cls, truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]) -> "Counted":
        rows, types = [], {kind: [0, 0, 0] for kind in sorted({span[0] for spans in (*truth, *found) for span in spans})}
        for true_spans, found_spans in zip(truth, found, strict=True):
            right = set(true_spans) & set(found_spans)
            rows.append((len(right), len(found_spans), len(true_spans)))
            for place, spans in enumerate((right, found_spans, true_spans)):
                for kind, count in Counter(span[0] for span in spans).items():
                    types[kind][place] += count
        return cls(np.array(rows, dtype=np.int64).reshape(-1, 3), types)

    @property
    def table(self) -> list[dict[str, Any]]:
        return [_line(kind, *counts) for kind, counts in self.types.items()]

    @property
    def metrics(self) -> dict[str, float | None]:
        told = _line("", *self.rows.sum(axis=0).tolist())
        return {"f1": told["f1"], "precision": told["precision"], "recall": told["recall"], "macro_f1": _macro(self.table)}

    @property
    def interval(self) -> Interval | None:
        right, found, there = _resampled(self.rows).T
        some = found + there > 0
        return _between(2 * right[some] / (found + there)[some])


@dataclass(frozen=True)
class _Words:
    metrics: dict[str, float | None]
    counts: FloatArray
    interval: Interval | None


def _of_words(targets: FloatArray, predicted: Sequence[FloatArray], scores: FloatArray) -> _Words:
    truth, told = np.concatenate(list(targets)), np.concatenate(list(predicted))
    chosen = np.concatenate([row[np.arange(len(tags)), tags] for row, tags in zip(scores, targets, strict=True)])
    hits = np.array([[(row == tags).sum(), len(tags)] for row, tags in zip(predicted, targets, strict=True)])
    loss = float(-np.log(np.clip(chosen, 1e-12, 1.0)).mean())
    right, words = _resampled(hits).T
    accuracy = float(hits[:, 0].sum() / max(1, hits[:, 1].sum()))
    counts = confusion(truth, told, scores[0].shape[1])
    return _Words({"token_accuracy": accuracy, "eval_loss": loss}, counts, _between(right / np.maximum(1, words)))


def tag_figures(spans: FloatArray, words: FloatArray, plain: bool) -> dict[str, float | None]:
    """Metrics of sums over rows. ``spans`` [kinds, 3]: right, found and there; ``words`` [3]: right, there, and their lost -log p."""
    right, found, there = spans.T if len(spans) else np.zeros((3, 1))
    f1 = 2 * right / np.maximum(1, found + there)
    occurring = found + there > 0
    figures: dict[str, float | None] = {"macro_f1": float(f1[occurring].mean()) if occurring.any() else 0.0}
    if not plain:
        figures["precision"], figures["recall"] = right.sum() / max(1, found.sum()), right.sum() / max(1, there.sum())
        figures["f1"] = float(2 * right.sum() / max(1, (found + there).sum()))
    words_there = max(1.0, float(words[1]))
    return {**figures, "token_accuracy": float(words[0]) / words_there, "eval_loss": float(words[2]) / words_there}


def _of_tags(counts: FloatArray, labels: Sequence[str]) -> list[dict[str, Any]]:
    numbers = zip(labels, np.diag(counts).tolist(), counts.sum(axis=0).tolist(), counts.sum(axis=1).tolist(), strict=True)
    return [_line(*line) for line in numbers]


def _line(label: str, right: int, found: int, there: int) -> dict[str, Any]:
    return {
        "label": label,
        "precision": right / max(1, found),
        "recall": right / max(1, there),
        "f1": 2 * right / max(1, found + there),
        "support": there,
        "predicted": found,
    }


def _macro(table: Sequence[dict[str, Any]]) -> float:
    occurring = [line["f1"] for line in table if line["support"] or line["predicted"]]
    return float(sum(occurring)) / max(1, len(occurring))


def _resampled(counts: FloatArray) -> FloatArray:
    """Sums [resamples, columns] of rows drawn with replacement, always the same."""
    drawn = np.random.default_rng(0).integers(0, len(counts), (_RESAMPLES, len(counts)))
    return np.asarray(counts[drawn].sum(axis=1))


def _between(values: FloatArray) -> Interval | None:
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
