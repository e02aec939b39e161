"""Retrieval metrics agree with the field's; a row's partner in another row is no wrong answer; families of texts stay together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.embeddings.data import EmbeddingData, prepare
from kargah.recipes.embeddings.metrics import EmbeddingProblem, ranks_of
from kargah.recipes.embeddings.spec import SentenceEmbeddingsSpec
from kargah.recipes.embeddings.train import build
from kargah.recipes.runtime import Request
from kargah.recipes.table import Table


def test_retrieval_metrics_are_those_of_the_field() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        similarities = generator.normal(size=(12, 30))
        right = [sorted(generator.choice(30, size=generator.integers(1, 14), replace=False).tolist()) for _ in range(12)]
        truth = np.zeros((12, 30))
        for row, places in enumerate(right):
            truth[row, places] = 1
        found = EmbeddingProblem.of("retrieval", "auto").evaluate(np.zeros(12), ranks_of(similarities, right)).metrics
        assert found["ndcg_at_10"] == pytest.approx(ndcg_score(truth, similarities, k=10))
        order = np.argsort(-similarities, axis=1)
        sorted_truth = np.take_along_axis(truth, order, axis=1)
        assert found["mrr"] == pytest.approx((1 / (1 + sorted_truth.argmax(axis=1))).mean())
        for depth in (1, 10):
            assert found[f"recall_at_{depth}"] == pytest.approx((sorted_truth[:, :depth].sum(axis=1) / truth.sum(axis=1)).mean())


def test_a_model_that_tells_all_texts_alike_wins_nothing() -> None:
    ranks = ranks_of(np.ones((1, 20)), [[3]])
    assert EmbeddingProblem.of("retrieval", "auto").evaluate(np.zeros(1), ranks).metrics == {
        "ndcg_at_10": 0.0, "mrr": 0.05, "recall_at_1": 0.0, "recall_at_10": 0.0,
    }  # fmt: skip


def test_spearman_is_scipys_with_ties_and_nothing_where_all_is_alike() -> None:
    generator = np.random.default_rng(1)
    told, near = generator.integers(0, 5, 60).astype(float), generator.normal(size=60)
    problem = EmbeddingProblem.of("similarity", "auto")
    evaluation = problem.evaluate(told, near, with_interval=True)
    assert evaluation.metrics["spearman"] == pytest.approx(spearmanr(told, near).statistic)
    assert evaluation.interval is not None
    assert problem.evaluate(np.ones(5), near[:5]).metrics["spearman"] is None


def prepared(columns: dict[str, list[Any]], **spec: Any) -> tuple[EmbeddingData, Request]:
    names = ("anchor", "positive", "negative", "similarity")
    roles: dict[str, str | list[str]] = {name: name for name in names if name in columns}
    table = Table({}, columns, len(columns["anchor"]))
    full = SentenceEmbeddingsSpec(columns=roles, preset="bag", hidden_size=64, vocab_size=500, dropout=0.0, **spec)
    request = Request(
        "sentence-embeddings", full, frozenset({"columns"}), [table], None, Path(), 1, lambda *_, **__: None, lambda: None
    )  # fmt: skip
    return prepare(request), request


def test_rows_with_a_text_in_common_stay_on_one_side() -> None:
    columns = {"anchor": [f"پرسش {row}" for row in range(40)], "positive": [f"بند {row // 4}" for row in range(40)]}
    columns["anchor"][8] = columns["anchor"][3]  # ties the paragraphs 0 and 2
    for seed in range(5):
        data, _ = prepared(columns, seed=seed, validation_share=0.3)
        sides = [{columns["positive"][row] for row in rows} for rows in (data.train_rows, data.validation_rows)]
        assert sides[0].isdisjoint(sides[1])
        assert ({"بند 0", "بند 2"} <= sides[0]) or ({"بند 0", "بند 2"} <= sides[1])


def test_the_loss_is_infonce_where_a_partner_of_another_row_counts_for_nothing() -> None:
    columns: dict[str, list[Any]] = {
        "anchor": ["الف", "الف", "ب", "پ", "ت", "ث"],
        "positive": ["کتاب", "رمان", "سیب", "ماه", "گل", "نان"],
        "negative": ["ماه", None, "گلابی", "", "خار", "آب"],
    }
    data, request = prepared(columns, temperature=0.5, validation_share=0.2)
    data.train_rows = np.arange(6)
    task: Any = build(data, request)
    texts = list(range(len(data.texts)))
    task.items = dict(zip(texts, task.embedder.reader.encode(data.texts, lambda: None), strict=True))
    vectors = dict(zip(data.texts, torch.from_numpy(task.embedder.vectors([task.items[text] for text in texts])), strict=True))
    candidates = ["کتاب", "رمان", "سیب", "ماه", "گلابی"]
    expected = []
    for anchor, positive, partner in (("الف", "کتاب", "رمان"), ("الف", "رمان", "کتاب"), ("ب", "سیب", None)):
        logits = {text: float(vectors[anchor] @ vectors[text]) / 0.5 for text in candidates if text != partner}
        expected.append(np.log(sum(np.exp(list(logits.values())))) - logits[positive])
    assert task.loss([0, 1, 2]).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_order_of_told_similarities_is_learnt_and_a_single_row_teaches_nothing() -> None:
    columns: dict[str, list[Any]] = {
        "anchor": [f"کتاب {row}" for row in range(6)], "positive": [f"رمان {row}" for row in range(6)], "similarity": [0, 1, 2, 3, None, 5],
    }  # fmt: skip
    data, request = prepared(columns)
    assert (data.problem.kind, len(data.anchors)) == ("similarity", 5)
    task = build(data, request)
    alone = task.loss([0])
    alone.backward()  # type: ignore[no-untyped-call]
    assert alone.item() == 0.0
    assert task.loss(list(range(len(data.train_rows)))).item() > 0


@pytest.mark.parametrize(
    ("columns", "code", "field"),
    [
        ({"anchor": ["الف", "ب"]}, "ROLE_MISSING", "spec.columns.positive"),
        ({"anchor": ["الف", ""], "positive": ["پ", "ت"]}, "TOO_FEW_ROWS", "datasets"),
        ({"anchor": ["الف", "ب"], "positive": ["پ", "ت"], "similarity": ["زیاد", "3"]}, "TARGET_NOT_NUMERIC", "spec.columns.similarity"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_its_place(columns: dict[str, list[Any]], code: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        prepared(columns)
    assert (refused.value.code, refused.value.params["field"]) == (code, field)


def test_a_table_of_questions_and_passages_is_proposed_for_embeddings_without_its_answers() -> None:
    columns = [Column(name=name, kind=ColumnKind.TEXT, rows=50, distinct=50, mean_length=40) for name in ("question", "context")]
    recipe, match = catalogue.guess(columns)[0]
    assert (recipe.name, match.columns) == ("sentence-embeddings", {"anchor": "question", "positive": "context"})
