"""Whether one text of a pair gives the label away by itself, as careless annotators leave it.

A naive Bayes over words learns from two thirds of a sample and is asked about the rest. That it is far better than always
saying the commonest label, though it never sees the other text, is a warning about the data and no praise for a model.
"""

import math
from collections import Counter
from typing import Any
from zlib import crc32

from kargah.workers.doctor.likeness import loose_key
from kargah.workers.doctor.roles import Roles
from kargah.workers.doctor.scope import Columns
from kargah.workers.reading.findings import Findings

SAMPLE_ROWS, FEWEST_ROWS, MOST_LABELS = 6000, 150, 20
#: Better than the majority by this much, and by so many standard errors.
BETTER_BY, STANDARD_ERRORS = 0.08, 3.0
Sample = list[tuple[list[str], str]]


class OneSideProbe:
    """Only the first ``SAMPLE_ROWS`` rows are looked at."""

    def __init__(self, roles: Roles) -> None:
        self._pair = roles.pair if roles.target else None
        self._target = roles.target or ""
        self._rows: dict[str, Sample] = {name: [] for name in self._pair or ()}

    def see(self, batch: Any, first_row: int) -> None:
        if self._pair is None or first_row > SAMPLE_ROWS:
            return
        labels = batch.column(self._target).to_pylist()
        for name in self._pair:
            for text, label in zip(batch.column(name).to_pylist(), labels, strict=True):
                if isinstance(text, str) and label is not None:
                    self._rows[name].append((loose_key(text).split(), str(label)))

    def say(self, columns: Columns, findings: Findings) -> None:
        for name, rows in self._rows.items():
            if len(rows) < FEWEST_ROWS or not 2 <= len({label for _, label in rows}) <= MOST_LABELS:
                continue
            accuracy, majority, asked = probe(rows)
            error = math.sqrt(majority * (1 - majority) / asked)
            if accuracy - majority > max(BETTER_BY, STANDARD_ERRORS * error):
                findings.note(
                    "ONE_SIDE_TELLS", "warning", column=name, count=len(rows), target=self._target,
                    accuracy=round(100 * accuracy, 1), majority=round(100 * majority, 1),
                )  # fmt: skip


def probe(rows: Sample) -> tuple[float, float, int]:
    """Accuracy on the third that is held out, that of always saying the commonest label, and how many were asked.

    Equal texts are on one side together.
    """
    train, test = Sample(), Sample()
    for words, label in rows:
        (test if crc32(" ".join(words).encode()) % 3 == 0 else train).append((words, label))
    if not test or not train:
        return 0.0, 1.0, 1
    labels = Counter(label for _, label in train)
    words_of = {label: Counter(word for words, own in train if own == label for word in words) for label in labels}
    totals = {label: counts.total() + len(counts) + 1 for label, counts in words_of.items()}

    def guess(words: list[str]) -> str:
        return max(labels, key=lambda label: math.log(labels[label]) + _likelihood(words, words_of[label], totals[label]))

    right = sum(guess(words) == label for words, label in test)
    commonest = labels.most_common(1)[0][0]
    return right / len(test), sum(label == commonest for _, label in test) / len(test), len(test)


def _likelihood(words: list[str], counts: Counter[str], total: int) -> float:
    """Logarithm of the chance of these words, smoothed by one."""
    return sum(math.log((counts[word] + 1) / total) for word in words)
