"""How well gaps are filled: perplexity and hits over the masked tokens of held-out texts."""

import math
from dataclasses import dataclass
from typing import Any

from kargah.recipes.masked_lm.spec import METRICS
from kargah.recipes.measures import Evaluation, FloatArray, IntArray, bootstrap
from kargah.recipes.problem import Problem, known_metric


@dataclass(frozen=True)
class MaskedProblem(Problem):
    """Scores are float64 [rows, 3]: the sum of -log p of a text's masked tokens, how many those are, how many were the first guess."""

    primary_metric: str
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted_metric: str) -> "MaskedProblem":
        return cls(known_metric(wanted_metric, METRICS))

    @property
    def kind(self) -> str:
        return "masked_lm"

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        def measured(rows: IntArray | slice) -> dict[str, float | None]:
            lost, tokens, hits = scores[rows].sum(axis=0)
            return {"eval_loss": lost / tokens, "perplexity": math.exp(min(lost / tokens, 700.0)), "token_accuracy": hits / tokens}

        metrics = {name: None if value is None else float(value) for name, value in measured(slice(None)).items()}
        interval = bootstrap(len(scores), self.primary_metric if with_interval else None, measured)
        return Evaluation(metrics, interval, {"masked_tokens": int(scores[:, 1].sum())})

    def as_dict(self) -> dict[str, Any]:
        return {"problem_type": self.kind, "labels": [], "primary_metric": self.primary_metric}
