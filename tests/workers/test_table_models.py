"""Models that table trainings leave behind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attempts import Job, of_kind
from samples import table

from kargah.kit.errors import BadInput
from kargah.recipes.predictor import load_predictor


def test_prices_with_gaps_and_persian_headers_are_learnt_and_asked_for_in_persian_digits(tmp_path: Path) -> None:
    directory, events = Job(tmp_path, "tabular", table(300)).run()
    result = events[-1].result
    assert {model["family"] for model in result["models"]} == {"network", "trees", "majority"}
    assert all(model["metrics"]["r2"] > 0.8 for model in result["models"] if model["family"] != "majority")
    for name in ("model", "trees"):
        predictor = load_predictor(directory.outputs / name)
        latin, persian, gap = predictor.predict(
            [{"متراژ": 100, "محله": "ونك"}, {"متراژ": "۱۰۰", "محله": "ونک"}, {"متراژ": None, "محله": "ونک"}]
        )
        assert latin == persian
        assert abs(latin["value"] - 200) < 40
        assert np.isfinite(gap["value"])


def test_classes_are_learnt_from_a_table_and_trees_answer_without_torch(tmp_path: Path) -> None:
    columns = table(300)
    columns["گران"] = ["بله" if price > 250 else "خیر" for price in columns.pop("قیمت")]
    spec = {"columns": {"target": "گران"}, "epochs": 5}
    directory, events = Job(tmp_path, "tabular", columns, spec=spec).run()
    assert events[-1].result["primary_metric"] == "accuracy"
    answer = load_predictor(directory.outputs / "trees").predict([{"متراژ": 190, "محله": "تجریش"}])[0]
    assert answer["label"] == "بله"
    code = (
        "import sys; from pathlib import Path; from kargah.recipes.predictor import load_predictor\n"
        "print(load_predictor(Path(sys.argv[1])).predict([{'متراژ': 100, 'محله': 'جای ناشناس'}]))\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(directory.outputs / "trees")], check=True)


def test_models_are_chosen_by_validation_rows_and_told_of_by_test_rows_that_the_user_set_apart(tmp_path: Path) -> None:
    """The test rows are of another kind than the rest, so that every figure shows on which rows it stands."""
    columns = table(200)
    columns["گران"] = ["بله" if price > 250 else "خیر" for price in columns.pop("قیمت")]
    columns["بخش"] = ["آموزش"] * 130 + ["اعتبارسنجی"] * 30 + ["آزمون"] * 40
    columns["گران"][160:] = ["خیر"] * 39 + ["بله"]
    directory, events = Job(tmp_path, "tabular", columns, spec={"columns": {"target": "گران", "split": "بخش"}, "epochs": 5}).run()
    result = events[-1].result
    for model in result["models"]:
        assert (model["split"], sum(row["support"] for row in model["detail"]["classes"])) == ("test", 40)
        assert [row["support"] for row in model["detail"]["classes"] if row["label"] == "بله"] == [1]
    evaluated = of_kind(events, "Evaluated")
    assert {sum(row["support"] for row in event.detail["classes"]) for event in evaluated} == {30}
    majority = next(model for model in result["models"] if model["family"] == "majority")
    assert majority["metrics"]["accuracy"] == 39 / 40 > (majority["validation_value"] or 0)
    chosen = next(model for model in result["models"] if model["name"] == result["recommended"])
    best = max(model["validation_value"] for model in result["models"])
    assert chosen["name"] != "majority"
    assert best - chosen["validation_value"] <= (chosen["validation_error"] or 0.0)
    told = (directory.outputs / "model" / "README.fa.md").read_text()
    assert "40 سطر آزمون" in told.translate(str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789"))
    assert "بخش" in told
    assert load_predictor(directory.outputs / "model").predict([{"متراژ": 100, "محله": "ونک"}])[0]["label"] in {"بله", "خیر"}


def test_a_wrong_question_is_refused_by_index_and_column(tmp_path: Path) -> None:
    directory, _ = Job(tmp_path, "tabular", table(60), spec={"max_steps": 2, "baselines": False}).run()
    predictor = load_predictor(directory.outputs / "model")
    good = {"متراژ": 80, "محله": "ونک"}
    for wrong, code in (({"محله": "ونک"}, "INPUT_MISSING"), ({**good, "متراژ": "بزرگ"}, "INPUT_NOT_NUMBER"), ("متن", "INPUT_NOT_ROW")):
        with pytest.raises(BadInput) as refusal:
            predictor.predict([good, wrong])  # type: ignore[list-item]
        assert refusal.value.code == code
        assert refusal.value.params["index"] == 1


def test_a_heavy_tailed_target_is_learnt_as_its_logarithm_and_a_column_that_tells_it_is_named(tmp_path: Path) -> None:
    columns = table(200)
    columns["قیمت"] = [float(np.exp(price / 60)) for price in columns["قیمت"]]
    columns["قیمت دلاری"] = [price / 3 for price in columns["قیمت"]]
    spec = {"columns": {"target": "قیمت"}, "epochs": 2, "baselines": False}
    directory, events = Job(tmp_path, "tabular", columns, spec=spec).run()
    choices = {choice.name: choice for choice in of_kind(events, "Running")[0].choices}
    assert (choices["log_target"].value, choices["log_target"].source) == (True, "adapted")
    assert [event.params["column"] for event in of_kind(events, "Logged") if event.code == "train.leaky_column"] == ["قیمت دلاری"]
    answer = load_predictor(directory.outputs / "model").predict([{"متراژ": 90, "محله": "ونک", "قیمت دلاری": None}])[0]
    assert answer["value"] > 0
