"""How well a text is foreseen, token by token."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.measures import Evaluation, FloatArray
from kargah.recipes.problem import Problem, known_metric

METRICS = ("perplexity", "bits_per_byte", "token_accuracy")
_RESAMPLES = 400
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class LanguageProblem(Problem):
    """Targets: bytes of text that are learnt, [rows]. Scores: (negative log-likelihood, tokens, likeliest tokens right), [rows, 3].

    Perplexity is a token's, so only models with one tokenizer compare by it; bits per byte compare whatever the tokens.
    """

    name: str
    primary_metric: str = "perplexity"
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, wanted_metric: str) -> "LanguageProblem":
        """Raises MetricUnfit."""
        return cls(name, known_metric(wanted_metric, METRICS))

    @property
    def kind(self) -> str:
        return self.name

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        rows = np.column_stack([scores, targets.astype(np.float64)])
        metrics: dict[str, float | None] = {name: float(value) for name, value in _measured(rows.sum(axis=0)).items()}
        if not with_interval or len(rows) < 2:
            return Evaluation(metrics)
        generator = np.random.default_rng(0)
        drawn = np.stack([rows[generator.integers(0, len(rows), len(rows))].sum(axis=0) for _ in range(_RESAMPLES)])
        low, high = np.percentile(_measured(drawn.T)[self.primary_metric], [2.5, 97.5])
        return Evaluation(metrics, (float(low), float(high)))

    def as_dict(self) -> dict[str, Any]:
        return {"problem_type": self.name, "labels": [], "primary_metric": self.primary_metric}


def _measured(sums: FloatArray) -> dict[str, FloatArray]:
    """``sums`` [4, ...]: negative log-likelihood, tokens, hits, bytes."""
    loss = sums[0] / sums[1]
    return {
        "eval_loss": loss,
        "perplexity": np.exp(np.minimum(loss, _LARGEST_EXPONENT)),
        "token_accuracy": sums[2] / sums[1],
        "bits_per_byte": sums[0] / np.log(2) / np.maximum(1.0, sums[3]),
    }
