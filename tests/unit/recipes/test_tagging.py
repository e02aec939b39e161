"""Tags as entities, how they are scored, and where words stand in a text."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kargah.recipes.problem import rows_of
from kargah.recipes.token_classification.decoding import decoded
from kargah.recipes.token_classification.measuring import Counted, TagsProblem
from kargah.recipes.token_classification.schemes import Moves, faults, scheme_of, spans_of, written
from kargah.recipes.token_classification.words import shape_of, words_of_text, words_of_tokens
from kargah.text.normalise import Normaliser

SPANS = [("PER", 0, 2), ("ORG", 2, 3), ("ORG", 3, 6), ("LOC", 7, 8)]


@pytest.mark.parametrize("scheme", ["iob2", "bilou"])
def test_what_is_written_in_a_scheme_is_known_as_that_scheme_and_read_back(scheme: str) -> None:
    tags = written(SPANS, 9, scheme)  # type: ignore[arg-type]
    assert (scheme_of([tags]), spans_of(tags), faults(tags, scheme_of([tags]))) == (scheme, SPANS, 0)


@pytest.mark.parametrize(
    ("tags", "scheme", "spans", "broken"),
    [
        ("I-PER I-PER O I-LOC B-LOC", "iob1", [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5)], 0),
        ("B-PER I-PER O I-LOC B-PER", "iob2", [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 5)], 1),
        ("B-PER I-LOC O B-PER", "iob2", [("PER", 0, 1), ("LOC", 1, 2), ("PER", 3, 4)], 1),
        ("B_PER I_PER O", "iob2", [("PER", 0, 2)], 0),
        ("B-PER E-PER S-LOC O", "bilou", [("PER", 0, 2), ("LOC", 2, 3)], 0),
        ("B-PER O L-PER U-LOC", "bilou", [("PER", 0, 1), ("PER", 2, 3), ("LOC", 3, 4)], 2),
    ],
)
def test_broken_sequences_are_read_all_the_same_and_counted(tags: str, scheme: str, spans: list[object], broken: int) -> None:
    row = tags.split()
    assert (scheme_of([row]), spans_of(row), faults(row, scheme_of([row]))) == (scheme, spans, broken)


def test_tags_without_prefixes_are_words() -> None:
    assert scheme_of([["NOUN", "VERB"], ["N_SING", "V_PRS"]]) == "plain"


def random_tags(generator: random.Random, length: int) -> list[str]:
    return [generator.choice(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC"]) for _ in range(length)]


def random_cases() -> Iterator[tuple[list[list[str]], list[list[str]]]]:
    generator = random.Random(7)
    for _ in range(30):
        lengths = [generator.randint(1, 12) for _ in range(6)]
        yield tuple([random_tags(generator, length) for length in lengths] for _ in range(2))  # type: ignore[misc]


def test_entity_f1_is_that_of_seqeval_on_random_cases() -> None:
    """Recorded from seqeval 1.2.2 (f1, precision, recall, macro F1), which is old and no dependency."""
    recorded = json.loads((Path(__file__).parent / "seqeval_cases.json").read_text())
    for (truth, told), case in zip(random_cases(), recorded, strict=True):
        found = Counted.of([spans_of(row) for row in truth], [spans_of(row) for row in told]).metrics
        assert [found[name] for name in ("f1", "precision", "recall", "macro_f1")] == pytest.approx(case)


def all_ways(length: int, moves: Moves) -> list[tuple[int, ...]]:
    """Every sequence of tags that the moves allow."""
    ways: list[tuple[int, ...]] = [(tag,) for tag, begins in enumerate(moves.begins) if begins]
    for _ in range(length - 1):
        ways = [(*way, tag) for way in ways for tag, follows in enumerate(moves.follows[way[-1]]) if follows]
    return [way for way in ways if moves.ends[way[-1]]]


@pytest.mark.parametrize("scheme", ["iob2", "bilou"])
def test_the_decoded_tags_are_the_likeliest_of_all_that_the_scheme_allows(scheme: str) -> None:
    labels = sorted({tag for length in (1, 3) for tag in written([("A", 0, length)], 4, scheme)})  # type: ignore[arg-type]
    moves, generator = Moves.of(labels, scheme), np.random.default_rng(3)  # type: ignore[arg-type]
    rows = [generator.dirichlet(np.ones(len(labels)), size) for size in (1, 4, 2, 5, 4)]
    for row, told in zip(rows, decoded(rows, moves), strict=True):
        best = max(all_ways(len(row), moves), key=lambda way: float(np.log([row[place, tag] for place, tag in enumerate(way)]).sum()))
        assert tuple(told) == best


def test_the_interval_holds_the_measure_and_a_perfect_model_gets_one() -> None:
    problem = TagsProblem("iob2", ("B-A", "I-A", "O"), "f1")
    targets = rows_of([np.array([0, 1, 2]), np.array([2, 0]), np.array([2])])
    sure = rows_of([np.eye(3)[row] for row in targets])
    evaluation = problem.evaluate(targets, sure, with_interval=True)
    assert (evaluation.metrics["f1"], evaluation.metrics["token_accuracy"], evaluation.interval) == (1.0, 1.0, (1.0, 1.0))
    assert evaluation.detail["classes"] == [{"label": "A", "precision": 1, "recall": 1, "f1": 1, "support": 2, "predicted": 2}]


TEXT = "  «كتاب\u200cهاي» علــي، در ۱۴۰۰/۰۱/۰۵ رسيد\u200c.  "


def test_words_are_told_where_they_stand_in_the_askers_own_text() -> None:
    words = words_of_text(TEXT, Normaliser())
    assert [word.text for word in words] == ["«", "کتاب\u200cهای", "»", "علی", "،", "در", "۱۴۰۰/۰۱/۰۵", "رسید", "."]
    assert [TEXT[word.start : word.end] for word in words] == ["«", "كتاب\u200cهاي", "»", "علــي", "،", "در", "۱۴۰۰/۰۱/۰۵", "رسيد", "."]


def test_words_that_came_apart_stand_in_the_text_that_they_make() -> None:
    tokens = ["كتاب", "", "علــي"]
    words = words_of_tokens(tokens, Normaliser())
    assert [word.text for word in words] == ["کتاب", "", "علی"]
    assert [" ".join(tokens)[word.start : word.end] for word in words] == tokens


def test_dates_and_numbers_of_one_form_have_one_shape() -> None:
    assert shape_of("۱۴۰۰/۰۱/۰۵") == shape_of("1399/12/1") == "0/0/0"
