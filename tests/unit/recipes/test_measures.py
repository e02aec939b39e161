"""Metrics agree with scikit-learn; splits and orders keep their promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from kargah.recipes import measures
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.sampling import Draw, epoch_batches
from kargah.recipes.splits import strata_of_numbers, stratified_split


def test_single_label_metrics_are_sklearns() -> None:
    generator = np.random.default_rng(0)
    targets, scores = generator.integers(0, 3, 200), generator.dirichlet(np.ones(4), 200)
    found = ColumnProblem.of(ProblemType.SINGLE_LABEL, ("a", "b", "c", "d"), "auto").evaluate(targets, scores, with_interval=True)
    predicted = scores.argmax(axis=1)
    assert found.metrics["accuracy"] == pytest.approx(sk.accuracy_score(targets, predicted))
    assert found.metrics["macro_f1"] == pytest.approx(sk.f1_score(targets, predicted, average="macro"))
    assert found.metrics["weighted_f1"] == pytest.approx(sk.f1_score(targets, predicted, average="weighted"))
    assert found.metrics["eval_loss"] == pytest.approx(sk.log_loss(targets, scores, labels=[0, 1, 2, 3]))
    assert found.detail["confusion"]["counts"] == sk.confusion_matrix(targets, predicted, labels=[0, 1, 2, 3]).tolist()
    assert found.interval is not None
    assert found.interval[0] < (found.metrics["accuracy"] or 0) < found.interval[1]


def test_multi_label_and_regression_metrics_are_sklearns() -> None:
    generator = np.random.default_rng(1)
    flags, scores = generator.integers(0, 2, (100, 3)), generator.random((100, 3))
    found = ColumnProblem.of(ProblemType.MULTI_LABEL, ("a", "b", "c"), "auto").evaluate(flags, scores).metrics
    for name in ("micro", "macro", "weighted"):
        assert found[f"{name}_f1"] == pytest.approx(sk.f1_score(flags, scores >= 0.5, average=name))
    truth, values = generator.normal(size=50), generator.normal(size=50)
    numbers = ColumnProblem.of(ProblemType.REGRESSION, (), "auto").evaluate(truth, values).metrics
    assert numbers["r2"] == pytest.approx(sk.r2_score(truth, values))
    assert numbers["mae"] == pytest.approx(sk.mean_absolute_error(truth, values))
    assert numbers["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, values))


def test_wilson_is_honest_at_the_edges() -> None:
    assert measures.wilson(10, 10)[0] == pytest.approx(0.7225, abs=1e-3)
    assert measures.wilson(0, 10)[0] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=2, max_size=80), st.floats(0.05, 0.6), st.integers(0, 99))
def test_a_split_separates_no_copies_loses_no_row_and_hides_no_label(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    groups, strata = [group for group, _ in rows], [stratum for _, stratum in rows]
    train, validation = stratified_split(groups, strata, share, seed)
    assert sorted([*train, *validation]) == list(range(len(rows)))
    assert not {groups[row] for row in train} & {groups[row] for row in validation}
    if len(set(groups)) > 1:
        assert len(train)
        assert len(validation)
    again = stratified_split(groups, strata, share, seed)
    assert again[0].tolist() == train.tolist()


def test_rare_labels_stay_in_training_and_strata_of_numbers_cover_the_range() -> None:
    strata = [0] * 500 + [1] * 3 + [2]
    train, validation = stratified_split(range(len(strata)), strata, 0.1, 7)
    assert {strata[row] for row in train} == {0, 1, 2}
    assert {strata[row] for row in validation} == {0, 1}
    assert len(set(strata_of_numbers(np.arange(100.0)))) == 10


def test_an_epochs_order_is_a_function_of_seed_and_epoch_and_holds_every_row_once() -> None:
    costs = [row % 17 for row in range(500)]
    first = epoch_batches(costs, 8, seed=1, epoch=0)
    assert first == epoch_batches(costs, 8, seed=1, epoch=0)
    assert first != epoch_batches(costs, 8, seed=1, epoch=1)
    assert sorted(row for batch in first for row in batch) == list(range(500))
    padding = sum(len(batch) * max(costs[row] for row in batch) for batch in first) - sum(costs)
    assert padding < 0.1 * sum(costs)


def test_a_weight_says_how_often_a_row_is_seen_and_each_epoch_sees_others() -> None:
    draws = [Draw(np.arange(10), 25), Draw(np.arange(10, 50), 20)]
    epochs = [np.concatenate(epoch_batches([1] * 50, 8, seed=1, epoch=epoch, draws=draws)) for epoch in range(40)]
    for seen in epochs:
        counts = np.bincount(seen, minlength=50)
        assert (counts[:10].sum(), counts[10:].sum()) == (25, 20)
        assert set(counts[:10]) == {2, 3} and set(counts[10:]) == {0, 1}
    assert (np.bincount(np.concatenate(epochs), minlength=50) > 0).all()
    assert (epochs[0] == np.concatenate(epoch_batches([1] * 50, 8, seed=1, epoch=0, draws=draws))).all()


def test_the_threshold_of_a_label_is_the_one_with_the_best_f1_of_all() -> None:
    generator = np.random.default_rng(5)
    targets = (generator.random((120, 4)) < [0.5, 0.1, 0.9, 0.01]).astype(float)
    scores = np.clip(np.round(generator.normal(0.3 + 0.2 * targets, 0.15), 2), 0, 1)
    found = measures.best_thresholds(targets, scores, 0.5)
    for label in range(3):
        every = [sk.f1_score(targets[:, label], scores[:, label] >= limit, zero_division=0) for limit in np.linspace(-0.005, 1.005, 102)]
        assert sk.f1_score(targets[:, label], scores[:, label] >= found[label]) == pytest.approx(max(every))
    assert (targets[:, 3].sum() < measures.FEWEST_POSITIVES, found[3]) == (True, 0.5)

    problem = ColumnProblem.of(ProblemType.MULTI_LABEL, ("a", "b", "c", "d"), "macro_f1", thresholds_are_learnt=True)
    learnt = problem.with_limits(targets, scores)
    predicted = scores >= np.array(found)
    assert learnt.evaluate(targets, scores).metrics["macro_f1"] == pytest.approx(sk.f1_score(targets, predicted, average="macro"))
    kept = ColumnProblem.from_dict(learnt.as_dict())
    for row in range(5):
        assert kept.answer(scores[row])["labels"] == [label for label, said in zip("abcd", predicted[row], strict=True) if said]
