"""The baselines predict with numpy what scikit-learn, which trained them, predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from kargah.recipes.baselines.linear import LinearModel
from kargah.recipes.baselines.trees import TreesModel
from kargah.recipes.ngrams import NgramVocabulary, character_ngrams, word_ngrams
from kargah.recipes.problem import ColumnProblem, ProblemType

TEXTS = ["این گوشی خوب است", "کتاب بد بود", "خوب و زیبا", "می‌رسد اما دیر", "it works , mostly", "بد، خیلی بد!"] * 5
TARGETS = np.array([0, 1, 0, 2, 2, 1] * 5)


def nothing() -> None:
    return None


def vectorizer(analyzer: Any) -> TfidfVectorizer:
    return TfidfVectorizer(analyzer=analyzer, sublinear_tf=True)


def test_the_features_are_those_of_sklearns_tfidf() -> None:
    vocabulary = NgramVocabulary.fit(TEXTS, nothing)
    ours = vocabulary.matrix(TEXTS, nothing).toarray()
    for analyzer, places in ((word_ngrams, vocabulary.words), (character_ngrams, vocabulary.characters)):
        theirs = vectorizer(analyzer)
        matrix = theirs.fit_transform(TEXTS).toarray()
        order = [theirs.vocabulary_[ngram] for ngram in places]
        assert ours[:, list(places.values())] == pytest.approx(matrix[:, order], abs=1e-6)


def test_marks_on_letters_part_no_words() -> None:
    assert word_ngrams("همهٔ کتاب‌هایِ خوبٌ مُحَمَّد") == word_ngrams("همه کتاب‌های خوب محمد")
    assert "کتاب های" in word_ngrams("کتاب‌هایِ")


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("a", "b")])
def test_the_linear_model_decides_as_sklearns_does_and_survives_its_folder(tmp_path: Path, labels: tuple[str, ...]) -> None:
    targets = np.minimum(TARGETS, len(labels) - 1)
    problem = ColumnProblem.of(ProblemType.SINGLE_LABEL, labels, "auto")
    model = LinearModel.fit(problem, [TEXTS], targets, nothing)
    matrix = NgramVocabulary.fit(TEXTS, nothing).matrix(TEXTS, nothing)
    theirs = LinearSVC(C=model.strength, random_state=0).fit(matrix, targets).decision_function(matrix)
    margins = model.margins([TEXTS])
    assert (margins[:, 1] - margins[:, 0] if len(labels) == 2 else margins) == pytest.approx(theirs, abs=1e-4)
    model.calibrate(margins, targets)
    model.save(tmp_path)
    again = LinearModel.load(tmp_path, problem)
    assert again.probabilities(again.margins([TEXTS])) == pytest.approx(model.probabilities(margins), abs=1e-6)
    assert model.probabilities(margins).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(("kind", "outputs"), [("regression", 0), ("binary", 2), ("classes", 4)])
def test_exported_trees_predict_what_sklearn_predicts_gaps_and_unknown_categories_included(tmp_path: Path, kind: str, outputs: int) -> None:
    generator = np.random.default_rng(0)
    codes, numbers = generator.integers(0, 40, (600, 1)).astype(float), generator.normal(size=(600, 3))
    codes[:40, 0] = np.arange(40)
    features = np.concatenate([codes, numbers], axis=1)
    features[generator.random(features.shape) < 0.1] = np.nan
    features[:40, 0] = np.arange(40)
    signal = np.nan_to_num(features[:, 1]) + (np.nan_to_num(features[:, 0]) % 7 > 3)
    targets = signal if kind == "regression" else np.digitize(signal, np.quantile(signal, np.linspace(0, 1, outputs + 1)[1:-1]))
    problem = ColumnProblem.of(
        ProblemType.REGRESSION if kind == "regression" else ProblemType.SINGLE_LABEL, tuple("abcd"[:outputs]), "auto"
    )
    made = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    theirs = made(max_iter=200, learning_rate=0.08, min_samples_leaf=20, early_stopping=False, random_state=1, categorical_features=[0])
    theirs.fit(features, targets)
    TreesModel.fit(problem, features, targets, categories=1, seed=1).save(tmp_path)
    ours = TreesModel.load(tmp_path, problem)
    wanted = theirs.predict(features) if kind == "regression" else theirs.predict_proba(features)
    assert ours.scores(features) == pytest.approx(wanted, abs=1e-9)
