"""A tagger before rows with tags: see ``recipes.evaluation``."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from kargah.recipes.errors import LabelsUnlike
from kargah.recipes.evaluation import Exam, Group, Told, labels_with
from kargah.recipes.measures import FloatArray
from kargah.recipes.outcomes import TAGS, Outcomes
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table, normaliser_of
from kargah.recipes.token_classification import schemes
from kargah.recipes.token_classification.data import TagData
from kargah.recipes.token_classification.measuring import TagsProblem
from kargah.recipes.token_classification.predict import TagPredictor
from kargah.recipes.token_classification.schemes import OUTSIDE
from kargah.recipes.token_classification.words import parted


@dataclass
class TagExam(Exam):
    """Questions are a row's words, normalised; ``words`` as they came."""

    problem: TagsProblem
    predictor: TagPredictor = field(kw_only=True)
    known: int = field(kw_only=True)
    _told: tuple[FloatArray, list[FloatArray]] | None = field(default=None, init=False, repr=False)

    def answers(self, questions: list[Any]) -> list[Any]:
        """Of a tag that the model does not know the probability is 0."""
        more = len(self.problem.labels) - self.known
        return [np.pad(np.asarray(scores), ((0, 0), (0, more))) for scores in self.predictor.score(questions)]

    def _tags(self, scores: FloatArray) -> list[FloatArray]:
        """Decoded once for the same scores."""
        if self._told is None or self._told[0] is not scores:
            self._told = (scores, self.problem.tags_of(list(scores)))
        return self._told[1]

    def _spans(self, tags: Sequence[int]) -> list[schemes.Span]:
        """Of plain tags every word is told of, also one outside."""
        if self.problem.scheme == "plain":
            return [(self.problem.labels[tag], place, place + 1) for place, tag in enumerate(tags)]
        return self.problem.spans(tags)

    def outcomes(self, scores: FloatArray) -> Outcomes:
        predicted = self._tags(scores)
        kinds = self._kinds(predicted)
        counts = np.zeros((len(scores), len(kinds), 3))
        others = np.zeros((len(scores), 3))
        for row, (true, said, shares) in enumerate(zip(self.targets, predicted, scores, strict=True)):
            there, found = set(self._spans(true.tolist())), set(self._spans(said.tolist()))
            for place, spans in enumerate((there & found, found, there)):
                for span in spans:
                    counts[row, kinds[span[0]], place] += 1
            lost = -np.log(np.clip(shares[np.arange(len(true)), true], 1e-12, 1.0)).sum()
            others[row] = ((true == said).sum(), len(true), lost)
        sums = np.concatenate([counts.reshape(len(scores), -1), others], axis=1)
        return Outcomes(TAGS, {"sums": sums}, {"plain": self.problem.scheme == "plain"})

    def _kinds(self, predicted: Sequence[FloatArray]) -> dict[str, int]:
        rows = (tags for side in (list(self.targets), predicted) for tags in side)
        return {kind: place for place, kind in enumerate(sorted({span[0] for tags in rows for span in self._spans(tags.tolist())}))}

    def told(self, place: int, score: Any) -> Told:
        said = self.problem.tags_of([score])[0] if self._told is None else self._told[1][place]
        there, found = (self._spans(tags.tolist()) for tags in (self.targets[place], said))
        sure = float(score[np.arange(len(said)), said].min())
        return Told(self._named(place, there), self._named(place, found), float(len(set(there) ^ set(found))), sure)

    def _named(self, place: int, spans: Sequence[schemes.Span]) -> str:
        words = self.questions[place]
        return " · ".join(f"{' '.join(words[start:end])} [{kind}]" for kind, start, end in spans)

    def right(self, scores: FloatArray) -> FloatArray | None:
        predicted = self._tags(scores)
        return np.array([int((true == said).all()) for true, said in zip(self.targets, predicted, strict=True)])

    def stated(self, scores: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Word by word."""
        predicted = self._tags(scores)
        sure = [row[np.arange(len(tags)), tags] for row, tags in zip(scores, predicted, strict=True)]
        right = [(true == said).astype(int) for true, said in zip(self.targets, predicted, strict=True)]
        return np.concatenate(sure), np.concatenate(right)

    def groups(self) -> list[Group]:
        """Rows that have an entity of a kind, or a word of a tag."""
        members: dict[str, list[int]] = {}
        for place, tags in enumerate(self.targets):
            for kind in {span[0] for span in self._spans(tags.tolist())} - {OUTSIDE}:
                members.setdefault(kind, []).append(place)
        return [Group(kind, members[kind]) for kind in sorted(members)]


def exam(predictor: TagPredictor, table: Table) -> TagExam:
    """Rows without a tag for each word are left out. Raises LabelsUnlike also for plain tags before a model of entities."""
    columns, problem = predictor.about["columns"], predictor.problem
    words, tags = ([parted(cell) for cell in table.column(columns[role], role)] for role in ("tokens", "tags"))
    usable = [row for row, (own, told) in enumerate(zip(words, tags, strict=True)) if told and len(own) == len(told)]
    told_tags = _in_scheme(problem, [tags[row] for row in usable], columns["tags"])
    labels = labels_with(problem.labels, {tag for row in told_tags for tag in row} - {OUTSIDE}, columns["tags"])
    labels = labels if OUTSIDE in labels or not any(OUTSIDE in row for row in told_tags) else (*labels, OUTSIDE)
    numbers = {label: number for number, label in enumerate(labels)}
    targets = rows_of([np.array([numbers[tag] for tag in row], dtype=np.int64) for row in told_tags])
    normaliser = normaliser_of(predictor.about["normaliser"])
    read = lru_cache(maxsize=200_000)(normaliser.apply) if normaliser else str
    questions = [[read(word) for word in words[row]] for row in usable]
    inputs = [" ".join(words[row]) for row in usable]
    return TagExam(
        replace(problem, labels=labels), usable, targets, questions, inputs, [tuple(row) for row in questions],
        raw=inputs, predictor=predictor, known=len(problem.labels),
    )  # fmt: skip


def _in_scheme(problem: TagsProblem, tags: list[list[str]], column: str) -> list[list[str]]:
    """Entities in the model's own scheme, whichever they came in."""
    found = schemes.scheme_of(tags)
    if problem.scheme == "plain":
        return tags
    if found == "plain" and any(tag != OUTSIDE for row in tags for tag in row):
        told = sorted({tag for row in tags for tag in row})
        raise LabelsUnlike(field="dataset", column=column, known=", ".join(problem.labels[:10]), found=", ".join(told[:10]))
    return [schemes.written(schemes.spans_of(row), len(row), problem.scheme) for row in tags]


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, TagData)
    return {tuple(words) for words in prepared.words_of(prepared.train_rows)}
