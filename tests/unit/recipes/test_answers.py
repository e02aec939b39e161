"""Answers in texts: how they are compared, from which margin they are told, and where they stand in the asker's own text."""

import collections
import random
import re
import string

import numpy as np
import pytest

from kargah.recipes.problem import rows_of
from kargah.recipes.question_answering.candidates import Words
from kargah.recipes.question_answering.measuring import AnswersProblem, Found, as_squad, folded, threshold_of, word_f1
from kargah.recipes.question_answering.pieces import best_span
from kargah.recipes.question_answering.texts import Passage
from kargah.text.normalise import Normaliser


class Squad:
    """The functions of SQuAD 2.0's evaluation script, as its authors published them."""

    @staticmethod
    def normalize_answer(text: str) -> str:
        def remove_articles(text: str) -> str:
            return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

        def remove_punc(text: str) -> str:
            exclude = set(string.punctuation)
            return "".join(ch for ch in text if ch not in exclude)

        return " ".join(remove_articles(remove_punc(text.lower())).split())

    @classmethod
    def compute_f1(cls, a_gold: str, a_pred: str) -> float:
        gold_toks, pred_toks = cls.normalize_answer(a_gold).split(), cls.normalize_answer(a_pred).split()
        common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
        num_same = sum(common.values())
        if len(gold_toks) == 0 or len(pred_toks) == 0:
            return float(gold_toks == pred_toks)
        if num_same == 0:
            return 0.0
        precision, recall = num_same / len(pred_toks), num_same / len(gold_toks)
        return (2 * precision * recall) / (precision + recall)


def test_exact_match_and_f1_are_those_of_the_squad_script_on_random_cases() -> None:
    generator = random.Random(4)
    words = ["the", "a", "An", "cat", "Cat,", "سال", "۱۴۰۰", "«تهران»", "و", "-", "42."]
    problem = AnswersProblem.of("auto")
    for _ in range(200):
        told, gold = (" ".join(generator.choices(words, k=generator.randint(0, 5))) for _ in range(2))
        assert as_squad(told) == Squad.normalize_answer(told)
        found = problem.evaluate(rows_of([(gold,)]), rows_of([Found(told, 0.5)])).metrics
        assert found["squad_exact_match"] == float(Squad.normalize_answer(told) == Squad.normalize_answer(gold))
        assert found["squad_f1"] == pytest.approx(Squad.compute_f1(gold, told))


def test_letters_half_spaces_and_persian_marks_do_not_make_an_answer_wrong() -> None:
    told = rows_of([Found("كتاب\u200cهاي «سعدي»", 0.9), Found("", 0.8), Found("تهران", 0.5)])
    targets = rows_of([("کتاب‌های سعدی",), (), ("شهر تهران", "تهران بزرگ")])
    found = AnswersProblem.of("auto").evaluate(targets, told, with_interval=True)
    assert folded("كتاب\u200cهاي «سعدي»") == folded("کتاب‌های سعدی")
    assert found.metrics["exact_match"] == pytest.approx(2 / 3)
    assert found.metrics["f1"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert found.metrics["squad_exact_match"] == pytest.approx(1 / 3)
    assert [part["rows"] for part in found.detail["parts"]] == [2, 1]


def quality(rows: list[tuple[float, str, tuple[str, ...]]], threshold: float) -> float:
    told = [(text if margin >= threshold else "", own or ("",)) for margin, text, own in rows]
    return sum(max(word_f1(one, other) for other in own) for one, own in told)


def test_the_threshold_is_the_best_of_all_that_there_are() -> None:
    generator = random.Random(9)
    for _ in range(20):
        references: list[tuple[str, ...]] = [("x",), ("x y",), ()]
        rows = [(generator.gauss(0, 2), generator.choice(["x", "y", "x y"]), generator.choice(references)) for _ in range(15)]
        margins, texts, targets = (list(part) for part in zip(*rows, strict=True))

        best = max(quality(rows, threshold) for threshold in [-1e9, 1e9, *(margin + 1e-7 for margin in margins), *margins])
        assert quality(rows, threshold_of(margins, texts, targets)) == pytest.approx(best)


def test_the_best_piece_ends_after_it_begins_within_the_passage_and_is_no_longer_than_allowed() -> None:
    generator = np.random.default_rng(1)
    offsets = np.array([[-1, -1], [-1, -1], *([place, place + 1] for place in range(8)), [-1, -1]])
    for longest in (1, 3, 20):
        logits = generator.normal(size=(11, 2))
        score, start, end = best_span(logits, offsets, longest)
        ways = [(logits[i, 0] + logits[j, 1], i - 2, j - 1) for i in range(2, 10) for j in range(i, min(10, i + longest))]
        assert (score, start, end) == pytest.approx(max(ways))


def test_places_in_the_read_text_and_in_the_given_one_are_each_others() -> None:
    given = "  شهر  تهــران\u200c ، پايتخت است"
    passage = Passage.of(given, Normaliser())
    start = given.index("تهــران")
    read = passage.seen(start, start + len("تهــران"))
    assert passage.read[slice(*read)] == "تهران"
    first, last = passage.shown(*read)
    assert given[first:last].strip("\u200c") == "تهــران"


def test_marks_on_letters_part_no_words() -> None:
    assert Words.of("هٰذا همهٔ ۱۲٫۵.").texts == ["هٰذا", "همهٔ", "۱۲٫۵", "."]
