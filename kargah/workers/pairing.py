"""``python -m kargah.workers.pairing WISH``: is one model really better than another, by what two evaluations kept of each row.

A process of its own for as long as that takes: the web process has no numpy. No model is loaded.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kargah.contract.results import Compared, Paired
from kargah.recipes import evidence
from kargah.workers import kept

Wish = dict[str, Any]


def main(wish: Wish) -> Wish:
    """``wish``: path and other, two files of ``workers.kept``; metric, lower_is_better. Returns a Compared as JSON, or why it is none as
    ``unlike``: a text, ``evaluation.unlike.*``."""
    first, second = kept.read(Path(wish["path"])), kept.read(Path(wish["other"]))
    _, mine, theirs = np.intersect1d(first.rows, second.rows, assume_unique=True, return_indices=True)
    if not len(mine):
        return {"unlike": "rows"}
    one, other = first.of(mine), second.of(theirs)
    if (one.expected != other.expected).any():
        return {"unlike": "answers"}
    measures, whole = (one.outcomes.measure(), other.outcomes.measure()), np.arange(len(mine))
    values = [measure(whole) for measure in measures]
    metric, lower = wish["metric"], wish["lower_is_better"]
    if any(metric not in told for told in values):
        return {"unlike": "metrics"}
    right = (one.right, other.right) if one.right is not None and other.right is not None else None
    told = evidence.paired(metric, lower, len(mine), measures, right, lambda: None)
    compared = Compared(
        rows=len(mine), only_first=len(first.rows) - len(mine), only_second=len(second.rows) - len(mine), first=values[0][metric],
        second=values[1][metric], lower_is_better=lower, paired=Paired.model_validate(asdict(told)),
    )  # fmt: skip
    return compared.model_dump(mode="json")


if __name__ == "__main__":
    os.nice(5)
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
