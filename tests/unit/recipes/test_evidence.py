"""How sure figures are, against scipy and by hand; and exams whose figures are sums, against the recipes' own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from kargah.recipes import evidence
from kargah.recipes.embeddings import evaluate as embeddings
from kargah.recipes.embeddings.predict import EmbeddingPredictor
from kargah.recipes.evaluation import Exam, by_size, labels_with
from kargah.recipes.problem import ColumnProblem
from kargah.recipes.question_answering import evaluate as answers
from kargah.recipes.question_answering.predict import AnswerPredictor
from kargah.recipes.question_answering.reading import Best
from kargah.recipes.seq2seq import evaluate as writing
from kargah.recipes.seq2seq.predict import WritingPredictor
from kargah.recipes.table import Table
from kargah.recipes.text_classification import evaluate as texts
from kargah.recipes.text_classification.predict import TextPredictor
from kargah.workers import kept
from kargah.workers.kept import Kept


def nothing(*_: Any) -> None:
    return


def accuracy_of(right: np.ndarray) -> evidence.Measure:
    return lambda rows: {"accuracy": float(right[rows].mean()), "error": 1 - float(right[rows].mean())}


def test_intervals_are_wilsons_for_accuracy_and_the_bootstraps_for_the_rest() -> None:
    right = (np.random.default_rng(1).random(200) < 0.8).astype(int)
    told = evidence.figures(np.arange(200), accuracy_of(right), nothing)
    wilson = stats.binomtest(int(right.sum()), 200).proportion_ci(0.95, method="wilson")
    assert [told["accuracy"].low, told["accuracy"].high] == pytest.approx([wilson.low, wilson.high])
    theirs = stats.bootstrap((1 - right,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(2)).confidence_interval
    assert [told["error"].low, told["error"].high] == pytest.approx([theirs.low, theirs.high], abs=0.02)


def test_the_exact_test_is_scipys() -> None:
    generator = np.random.default_rng(3)
    for rows in (1, 7, 40, 900):
        first, second = ((generator.random(rows) < share).astype(int) for share in (0.7, 0.6))
        told = evidence.mcnemar(first, second)
        apart = told.only_first + told.only_second
        assert told.p_value == pytest.approx(stats.binomtest(told.only_first, apart).pvalue if apart else 1.0)


@pytest.mark.parametrize(("shares", "verdict"), [((0.9, 0.75), "first"), ((0.75, 0.9), "second")])
def test_a_planted_difference_is_found(shares: tuple[float, float], verdict: str) -> None:
    generator = np.random.default_rng(4)
    first, second = ((generator.random(400) < share).astype(int) for share in shares)
    measures = (accuracy_of(first), accuracy_of(second))
    told = evidence.paired("accuracy", False, 400, measures, (first, second), nothing)
    assert told.verdict == verdict
    assert told.difference.value == pytest.approx(first.mean() - second.mean())
    of_errors = evidence.paired("error", True, 400, measures, None, nothing)
    assert of_errors.verdict == verdict


def test_where_there_is_no_difference_one_is_rarely_claimed_and_never_between_a_model_and_itself() -> None:
    claimed = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        first, second = ((generator.random(60) < 0.7).astype(int) for _ in range(2))
        claimed += evidence.mcnemar(first, second).p_value < evidence.SURE
    assert claimed <= 6
    same = evidence.paired("accuracy", False, 60, (accuracy_of(first), accuracy_of(first)), (first, first), nothing)
    assert (same.verdict, same.difference.value, same.p_value) == ("none", 0.0, 1.0)


def test_rows_hard_for_both_do_not_hide_who_is_better() -> None:
    """Unpaired, such intervals overlap by far; on the same rows the first is right wherever the second is, and on twelve more."""
    hard = np.arange(200) % 2
    first, second = hard.copy(), hard.copy()
    first[:24:2] = 1
    told = evidence.paired("accuracy", False, 200, (accuracy_of(first), accuracy_of(second)), (first, second), nothing)
    assert (told.verdict, told.mcnemar and told.mcnemar.only_second) == ("first", 0)


def test_calibration_is_counted_by_hand() -> None:
    told = evidence.calibration(np.array([0.95, 0.91, 0.55, 0.6, 0.1]), np.array([1, 0, 1, 1, 0]))
    assert [(part.low, part.count, round(part.right, 3)) for part in told.bins] == [(0.0, 1, 0.0), (0.5, 2, 1.0), (0.9, 2, 0.5)]
    by_hand = (1 * 0.1 + 2 * abs(0.575 - 1) + 2 * abs(0.93 - 0.5)) / 5
    assert told.expected_error == pytest.approx(by_hand)


def test_rows_in_quarters_hold_each_row_once() -> None:
    values = np.random.default_rng(0).integers(0, 9, 101)
    groups = by_size(values)
    assert sorted(place for group in groups for place in group.places) == list(range(101))
    assert all(group.low is not None and group.high is not None and group.low <= group.high for group in groups)
    assert len(by_size(np.ones(5))) == 1


def test_labels_that_a_model_never_learnt_are_wrong_and_none_that_it_knows_is_refused() -> None:
    assert labels_with(("a", "b"), ["a", "c"], "label") == ("a", "b", "c")
    with pytest.raises(Exception, match="LABELS_UNLIKE"):
        labels_with(("a", "b"), ["x"], "label")


def test_sums_give_what_the_rows_give() -> None:
    sums = np.random.default_rng(0).random((30, 2))
    rows = np.array([3, 3, 7, 29])
    assert evidence.sums_measure(sums, lambda totals: {"m": float(totals[0])})(rows) == {"m": pytest.approx(sums[rows, 0].sum())}


def table(**values: list[Any]) -> Table:
    return Table({}, values, len(next(iter(values.values()))), None)


ROWS = np.array([0, 2, 2, 3])


def same_when_read_again(exam: Exam, scores: Any, folder: Path) -> None:
    """What is kept gives, written and read, the figures that the exam gives, of any rows and to the digit."""
    outcomes = exam.outcomes(scores)
    assert outcomes is not None
    rows = np.array(exam.rows)
    assert kept.write(folder / "kept.parquet", Kept(rows, kept.digests([[row] for row in exam.rows]), outcomes, exam.right(scores)))
    found = kept.read(folder / "kept.parquet")
    assert found.rows.tolist() == exam.rows
    for places in (np.arange(len(rows)), np.array([0, 0, len(rows) - 1])):
        told = {name: value for name, value in exam.measure(scores)(places).items() if name != "eval_loss" or outcomes.tells_all}
        assert found.outcomes.measure()(places) == told
        assert found.of(places[1:]).outcomes.measure()(np.arange(len(places) - 1)) == found.outcomes.measure()(places[1:])


def test_answers_are_measured_as_in_training_and_rows_without_a_question_left_out(tmp_path: Path) -> None:
    passages = ["تهران پایتخت ایران است", "آب در صد درجه می‌جوشد", "بی‌پاسخ", "شیراز شهر گل"]
    data = table(
        c=[*passages, "x"], q=["پایتخت کجاست؟", "کی می‌جوشد؟", "چه؟", "شیراز چیست؟", ""],
        a=[{"text": ["تهران"]}, {"text": ["صد درجه"]}, {"text": []}, {"text": ["شهر گل"]}, None],
    )  # fmt: skip
    about = {"columns": {"context": "c", "question": "q", "answers": "a"}, "normaliser": None, "primary_metric": "f1"}
    exam = answers.exam(AnswerPredictor(about, lambda asked: [Best(0, 5, 1.0) for _ in asked], 0.0), data)
    scores = exam.scores(nothing)
    same_when_read_again(exam, scores, tmp_path)
    measure, whole = exam.measure(scores), exam.problem.evaluate(exam.targets, scores).metrics
    assert exam.rows == [0, 1, 2, 3]
    assert measure(np.arange(4)) == pytest.approx(whole)
    assert measure(ROWS) == pytest.approx(exam.problem.evaluate(exam.targets[ROWS], scores[ROWS]).metrics)
    assert (whole["exact_match"], exam.told(0, scores[0]).error, {group.value: group.places for group in exam.groups()}) == (
        0.25, 0.0, {"answerable": [0, 1, 3], "unanswerable": [2]},
    )  # fmt: skip


def test_written_texts_are_measured_as_in_training(tmp_path: Path) -> None:
    about = {"columns": {"source": "s", "target": "t"}, "normaliser": None, "primary_metric": "rougeL"}
    data = table(s=["یک دو سه چهار", "پنج شش", "هفت هشت نه", "ده"], t=["یک دو", "شش", "نه هشت", "یازده"])
    exam = writing.exam(WritingPredictor(about, lambda texts: [" ".join(text.split()[:2]) for text in texts]), data)
    scores = exam.scores(nothing)
    same_when_read_again(exam, scores, tmp_path)
    for rows in (np.arange(4), ROWS):
        told = exam.problem.evaluate(exam.targets[rows], scores[rows]).metrics
        assert exam.measure(scores)(rows) == pytest.approx({name: told[name] for name in ("rouge1", "rouge2", "rougeL", "chrf")})
    assert exam.told(0, scores[0]).error == 0


def test_vectors_are_measured_as_in_training(tmp_path: Path) -> None:
    columns = {"anchor": ["q"], "positive": ["p"]}
    about = {"columns": columns, "normaliser": None, "primary_metric": "ndcg_at_10", "problem_type": "retrieval"}
    places = {text: place for place, text in enumerate("abcdefgh")}

    def embed(texts: list[str]) -> np.ndarray:
        return np.array([[np.cos(places[text]), np.sin(places[text])] for text in texts])

    exam = embeddings.exam(EmbeddingPredictor(about, embed), table(q=list("aceg"), p=list("bdfh")))
    scores = exam.scores(nothing)
    same_when_read_again(exam, scores, tmp_path)
    for rows in (np.arange(4), ROWS):
        told = exam.problem.evaluate(exam.targets[rows], scores[rows]).metrics
        assert exam.measure(scores)(rows) == pytest.approx(told)
    assert {int(score[0]) for score in scores} <= {1, 2, 3, 4}


def test_several_labels_are_right_together_or_not_and_each_has_its_probability(tmp_path: Path) -> None:
    """By each label's own threshold; a label that the model never learnt is missed."""
    about = {
        "columns": {"text": "t", "label": ["l"]}, "normaliser": None, "spec": {"label_separator": "|"}, "problem_type": "multi_label",
        "labels": ["a", "b"], "primary_metric": "micro_f1", "threshold": 0.5, "thresholds": [0.5, 0.7],
    }  # fmt: skip
    shares = {"one": [0.9, 0.6], "two": [0.2, 0.8], "three": [0.6, 0.9], "four": [0.4, 0.3]}
    predictor = TextPredictor(about, ColumnProblem.from_dict(about), lambda fields: np.array([shares[text] for text in fields[0]]))
    exam = texts.exam(predictor, table(t=[*shares, "five"], l=["a", "b", "a|c", "a", None]))
    scores = exam.scores(nothing)
    same_when_read_again(exam, scores, tmp_path)
    assert (exam.problem.labels, exam.rows) == (("a", "b", "c"), [0, 1, 2, 3])
    right = exam.right(scores)
    assert right is not None
    assert right.tolist() == [1, 1, 0, 0]
    metrics = exam.measure(scores)(np.arange(4))
    assert (metrics["accuracy"], metrics["micro_f1"]) == (0.5, pytest.approx(2 * 3 / (3 + 1 + 3 + 2)))
    told = exam.told(2, scores[2])
    assert (told.expected, told.answered, told.error) == ("a, c", "a, b", 2.0)
    stated = exam.stated(scores)
    assert stated is not None
    assert stated[0][:3].tolist() == pytest.approx([0.9, 0.4, 1.0])
    assert stated[1].sum() == 12 - 3
    assert {group.value: group.places for group in exam.groups()} == {"a": [0, 2, 3], "b": [1], "c": [2]}
