"""ROUGE and chrF are those of rouge-score and sacreBLEU; what cannot be learnt to write is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Request
from kargah.recipes.seq2seq.data import Seq2SeqData, prepare
from kargah.recipes.seq2seq.metrics import Seq2SeqProblem, Written, words_of
from kargah.recipes.seq2seq.spec import Seq2SeqSpec
from kargah.recipes.table import Table

#: What rouge-score 0.1.2 (with our words) and sacreBLEU 2.6.0 said of random texts.
RECORDED = json.loads((Path(__file__).parent / "written_texts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", RECORDED, ids=range(len(RECORDED)))
def test_rouge_and_chrf_are_those_of_the_reference_libraries(case: dict[str, Any]) -> None:
    written = rows_of([Written(text) for text in case["written"]])
    metrics = Seq2SeqProblem.of("auto").evaluate(rows_of(case["given"]), written).metrics
    assert metrics == pytest.approx(case["metrics"], abs=1e-6)


def test_a_persian_word_is_whole_with_its_half_space_and_its_marks() -> None:
    assert words_of("می\u200cشود، كِتاب\u200c و T5!") == ["می\u200cشود", "كِتاب", "و", "t5"]


def test_the_interval_holds_the_value_and_the_loss_is_of_tokens() -> None:
    given = rows_of([f"کتاب {row} خوب است" for row in range(40)])
    written = rows_of([Written(f"کتاب {row} {'خوب' if row % 2 else 'بد'} است", 3.0, 2) for row in range(40)])
    evaluation = Seq2SeqProblem.of("rougeL").evaluate(given, written, with_interval=True)
    assert evaluation.metrics["eval_loss"] == pytest.approx(1.5)
    assert evaluation.interval is not None
    assert evaluation.interval[0] < (evaluation.metrics["rougeL"] or 0) < evaluation.interval[1]


def prepared(columns: dict[str, list[Any]], **spec: Any) -> Seq2SeqData:
    full = Seq2SeqSpec(columns={name: name for name in columns}, **spec)
    table = Table({}, columns, len(next(iter(columns.values()))))
    request = Request("seq2seq", full, frozenset({"columns"}), [table], None, Path(), 1, lambda *_, **__: None, lambda: None)
    return prepare(request)


def test_rows_with_the_same_source_stay_on_one_side_and_empty_ones_teach_nothing() -> None:
    columns = {"source": [f"متن {row // 3}" for row in range(30)], "target": ["" if row == 4 else f"خلاصه {row}" for row in range(30)]}
    data = prepared(columns, validation_share=0.3)
    read, written = data.texts_of(np.arange(len(data.texts)))
    assert (len(read), "" in written) == (29, False)
    sides = [{data.texts[row] for row in rows} for rows in (data.train_rows, data.validation_rows)]
    assert sides[0].isdisjoint(sides[1])


@pytest.mark.parametrize(
    ("columns", "code", "field"),
    [
        ({"source": ["الف", "ب"]}, "ROLE_MISSING", "spec.columns.target"),
        ({"source": ["الف", "ب"], "target": ["پ", None]}, "TOO_FEW_ROWS", "datasets"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_its_place(columns: dict[str, list[Any]], code: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        prepared(columns)
    assert (refused.value.code, refused.value.params["field"]) == (code, field)


@pytest.mark.parametrize("names", [("source", "target"), ("متن", "خلاصه"), ("question", "answer")])
def test_texts_named_as_a_source_and_what_is_written_of_it_are_proposed(names: tuple[str, str]) -> None:
    columns = [Column(name=name, kind=ColumnKind.TEXT, rows=50, distinct=50, mean_length=40) for name in names]
    recipe, match = catalogue.guess(columns)[0]
    assert (recipe.name, match.columns) == ("seq2seq", {"source": names[0], "target": names[1]})
    label = Column(name="label", kind=ColumnKind.CATEGORY, rows=50, distinct=2)
    assert catalogue.guess([*columns, label])[0][0].name != "seq2seq"
