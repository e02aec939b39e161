"""How good vectors are: by where the right texts stand when all are ranked, or by how their nearness follows a given one.

nDCG as Järvelin & Kekäläinen 2002 with relevance 0 or 1; MRR of the first right text; recall at k is the share of the right texts
among the first k (a question mostly has one). Ties stand before a right text: nothing is won by telling all alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.embeddings.spec import METRICS
from kargah.recipes.measures import Evaluation, FloatArray, IntArray, bootstrap
from kargah.recipes.problem import Problem, known_metric, rows_of

_DEPTH = 10


@dataclass(frozen=True)
class EmbeddingProblem(Problem):
    """Targets and scores by ``type``. Retrieval: scores are the ranks of each row's right texts, ascending from 1; targets count for
    nothing. Similarity: targets and scores are numbers whose order is compared.
    """

    type: str
    primary_metric: str
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem_type: str, wanted_metric: str) -> "EmbeddingProblem":
        return cls(problem_type, known_metric(wanted_metric, METRICS[problem_type]))

    @property
    def kind(self) -> str:
        return self.type

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        primary = self.primary_metric if with_interval else None
        if self.type == "similarity":
            metrics: dict[str, float | None] = {"spearman": spearman(targets, scores)}
            return Evaluation(metrics, bootstrap(len(targets), primary, lambda rows: {"spearman": spearman(targets[rows], scores[rows])}))
        by_row = {name: np.array([of(ranks) for ranks in scores]) for name, of in _OF_RANKS.items()}
        means: dict[str, float | None] = {name: float(values.mean()) for name, values in by_row.items()}
        return Evaluation(means, bootstrap(len(scores), primary, lambda rows: {self.primary_metric: _mean(by_row, self, rows)}))

    def as_dict(self) -> dict[str, Any]:
        return {"problem_type": self.type, "labels": [], "primary_metric": self.primary_metric}


def _mean(by_row: dict[str, FloatArray], problem: EmbeddingProblem, rows: IntArray) -> float:
    return float(by_row[problem.primary_metric][rows].mean())


def ranks_of(similarities: FloatArray, relevant: Sequence[Sequence[int]]) -> FloatArray:
    """similarities [questions, texts], the places of each question's right texts → their ranks, one ascending array a question."""
    found = []
    for row, places in zip(similarities, relevant, strict=True):
        wrong = np.ones(len(row), dtype=bool)
        wrong[list(places)] = False
        own = np.sort(row[list(places)])[::-1]
        found.append(1 + np.arange(len(own)) + (row[wrong][None, :] >= own[:, None]).sum(axis=1))
    return rows_of(found)


def ndcg(ranks: IntArray) -> float:
    gained = (1 / np.log2(1 + ranks[ranks <= _DEPTH])).sum()
    return float(gained / (1 / np.log2(1 + np.arange(1, min(len(ranks), _DEPTH) + 1))).sum())


def recall(ranks: IntArray, depth: int) -> float:
    return float((ranks <= depth).mean())


_OF_RANKS: dict[str, Callable[[IntArray], float]] = {
    "ndcg_at_10": ndcg,
    "mrr": lambda ranks: float(1 / ranks[0]),
    "recall_at_1": lambda ranks: recall(ranks, 1),
    "recall_at_10": lambda ranks: recall(ranks, 10),
}


def spearman(first: FloatArray, second: FloatArray) -> float | None:
    """Correlation of the ranks, equal values sharing their mean rank. None where one side is all alike."""
    one, other = (_mean_ranks(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _mean_ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])
