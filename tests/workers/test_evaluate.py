"""Real small models measured on rows with known answers, their figures counted again by others; and who of two is better."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from attempts import Job, events_of, of_kind, start, write_dataset
from samples import sentiments, table
from scipy import stats
from sklearn.metrics import f1_score, mean_absolute_error, r2_score
from test_tag_models import tagged

from kargah.contract import control
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.control import Want
from kargah.contract.plans import DatasetInput, EvaluatedModel, EvaluatePlan
from kargah.contract.results import Compared, EvaluateResult, ModelMeasured
from kargah.kit import files
from kargah.recipes import evidence
from kargah.recipes.outcomes import Outcomes
from kargah.recipes.predictor import load_predictor
from kargah.text.normalise import NormaliserSettings
from kargah.workers import kept, pairing
from kargah.workers.kept import Kept

Columns = dict[str, list[Any]]
Evaluate = Callable[..., tuple[EvaluateResult, Path]]
NORMALISER = NormaliserSettings().model_dump(mode="json")


def laid_out(home: Path, recipe: str, columns: Columns, models: list[Path], taught: Path | None = None, **plan: Any) -> AttemptDirectory:
    """``taught``: the inputs of the training that made the first model."""
    directory = AttemptDirectory.of(home, "job_2", 1)
    write_dataset(directory.inputs / "data", columns)
    told = []
    for number, folder in enumerate(models):
        (directory.inputs / f"model-{number}").symlink_to(folder)
        told.append(EvaluatedModel(folder=f"model-{number}", version_id=f"mv_{number}", title=folder.name))
    if taught is not None:
        (directory.inputs / "taught-0").symlink_to(taught)
        told[0].taught = "taught-0"
    data = DatasetInput(folder="data", title="آزمون", normaliser=NORMALISER)
    full = EvaluatePlan(job_id="job_2", title="آزمون", recipe=recipe, models=told, dataset=data, **plan)
    files.write_bytes(directory.plan, full.model_dump_json().encode())
    return directory


def evaluated(directory: AttemptDirectory) -> EvaluateResult:
    assert start(directory, "kargah.workers.evaluate").wait(timeout=240) == 0, directory.log.read_text()
    last = events_of(directory)[-1]
    assert last.kind == "Finished", last
    return EvaluateResult.model_validate(last.result)


def errors_of(directory: AttemptDirectory, model: ModelMeasured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(directory.outputs / "evaluation" / model.errors_file).to_pylist()
    return rows


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> AttemptDirectory:
    spec = {"preset": "bag", "epochs": 6}
    directory, events = Job(tmp_path_factory.mktemp("texts"), "text-classification", sentiments(120), spec=spec).run()
    assert events[-1].kind == "Finished", events[-1]
    return directory


def test_a_classifier_is_measured_as_others_would_count_it_and_beats_the_majority(texts: AttemptDirectory, tmp_path: Path) -> None:
    columns = sentiments(90, seed=11)
    columns["label"][:6] = ["بد", "خوب"] * 3  # wrong on purpose
    columns["label"][6:8] = [None, "نامعلوم"]  # no answer; a label that no model knows
    columns["منبع"] = ["وب" if row % 3 else "اپ" for row in range(90)]
    model, majority = texts.outputs / "model", texts.outputs / "majority"
    directory = laid_out(tmp_path, "text-classification", columns, [model, majority], slices=["منبع"])
    result = evaluated(directory)
    kept = [row for row in range(90) if row != 6]
    expected = [columns["label"][row] for row in kept]
    answers = load_predictor(model).predict([columns["text"][row] for row in kept])
    said = [answer["label"] for answer in answers]
    right = np.array([one == other for one, other in zip(expected, said, strict=True)])
    told, other = result.models
    assert (result.rows, result.left_out, result.primary_metric) == (89, {"unusable": 1}, "accuracy")
    assert told.metrics["accuracy"].value == pytest.approx(right.mean())
    wilson = stats.binomtest(int(right.sum()), 89).proportion_ci(0.95, method="wilson")
    assert [told.metrics["accuracy"].low, told.metrics["accuracy"].high] == pytest.approx([wilson.low, wilson.high])
    macro = told.metrics["macro_f1"]
    assert macro.value == pytest.approx(f1_score(expected, said, average="macro", zero_division=0))
    assert macro.low is not None and macro.high is not None and macro.low < macro.value < macro.high  # type: ignore[operator]
    sure = np.array([answer["score"] for answer in answers])
    assert told.calibration is not None
    assert told.calibration.expected_error == pytest.approx(evidence.calibration(sure, right.astype(int)).expected_error)
    wrong = {kept[place] + 1: (columns["text"][kept[place]], expected[place], said[place]) for place in np.flatnonzero(~right)}
    rows = errors_of(directory, told)
    assert {row["row"]: (row["input"], row["expected"], row["answered"]) for row in rows} == wrong
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    sources = {part.value: part.rows for part in told.slices if part.by == "column"}
    assert sources == {"وب": 60, "اپ": 29}
    of_label = {part.value: part for part in told.slices if part.by == "label"}
    assert of_label["نامعلوم"].measured.value == 0.0
    assert of_label["خوب"].measured.value == pytest.approx(right[[one == "خوب" for one in expected]].mean())
    assert sum(part.rows for part in told.slices if part.by == "length") == 89
    assert {part.value for part in told.slices if part.by == "normalised"} == {"as_is", "changed"}
    assert result.paired is not None and result.paired.mcnemar is not None
    of_majority = np.array([one == other for one, other in zip(expected, _said(majority, columns, kept), strict=True)])
    only = int((right & ~of_majority).sum()), int((~right & of_majority).sum())
    assert (result.paired.mcnemar.only_first, result.paired.mcnemar.only_second) == only
    assert result.paired.p_value == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    assert result.paired.verdict == "first"
    assert other.metrics["accuracy"].value == pytest.approx(of_majority.mean())
    again = paired_again(directory, result)
    assert (again.paired, again.rows, again.only_first, again.only_second) == (result.paired, 89, 0, 0)
    assert (again.first, again.second) == (told.metrics["accuracy"].value, other.metrics["accuracy"].value)


def paired_again(directory: AttemptDirectory, result: EvaluateResult) -> Compared:
    """The two models of an evaluation by what was kept of their rows alone."""
    path, other = (directory.outputs / "evaluation" / str(model.outcomes_file) for model in result.models)
    wish = {"path": str(path), "other": str(other), "metric": result.primary_metric, "lower_is_better": result.lower_is_better}
    return Compared.model_validate(pairing.main(wish))


def _said(folder: Path, columns: Columns, rows: list[int]) -> list[str]:
    return [answer["label"] for answer in load_predictor(folder).predict([columns["text"][row] for row in rows])]


def test_rows_that_taught_a_model_are_left_out_and_named(texts: AttemptDirectory, tmp_path: Path) -> None:
    """Also where they stand elsewhere, in a later version of the data, beside new ones."""
    columns = {name: [*fresh, *old] for (name, fresh), old in zip(sentiments(20, seed=9).items(), sentiments(120).values(), strict=True)}
    held_out = json.loads((texts.outputs / "model" / "metrics.json").read_text())["rows"]
    result = evaluated(laid_out(tmp_path, "text-classification", columns, [texts.outputs / "linear"], texts.inputs))
    assert (result.rows, result.left_out) == (20 + held_out, {"taught": 120 - held_out})
    assert len(result.taught_rows) == 20
    assert min(result.taught_rows) > 20
    nothing_left = laid_out(tmp_path / "again", "text-classification", columns, [texts.outputs / "linear"], texts.inputs)
    rows = [row - 1 for row in result.taught_rows]
    write_dataset(nothing_left.inputs / "data", {name: [values[row] for row in rows] for name, values in columns.items()})
    assert start(nothing_left, "kargah.workers.evaluate").wait(timeout=240) == 0
    (failed,) = of_kind(events_of(nothing_left), "Failed")
    assert (failed.code, failed.params["taught"]) == ("NOTHING_TO_EVALUATE", 20)


@pytest.mark.parametrize("of_a_base_model", [{"frozen_encoder": True}, {"new_tokens": 50}])
def test_what_taught_a_model_is_known_without_the_base_model_that_it_began_with(
    texts: AttemptDirectory, tmp_path: Path, of_a_base_model: dict[str, Any]
) -> None:
    folder = tmp_path / "linear"
    shutil.copytree(texts.outputs / "linear", folder)
    plan = files.read_json(folder / "plan.json")
    files.write_json(folder / "plan.json", {**plan, "spec": {**plan["spec"], **of_a_base_model}})
    result = evaluated(laid_out(tmp_path, "text-classification", sentiments(120), [folder], texts.inputs))
    assert result.left_out == {"taught": 120 - result.rows}


def test_taggers_are_measured_by_whole_entities_in_any_scheme_and_a_part_can_be_asked_for(tmp_path: Path) -> None:
    spec = {"epochs": 1, "max_steps": 4, "hidden_size": 16, "num_layers": 1}
    training, events = Job(tmp_path / "job", "token-classification", tagged(60), spec=spec).run()
    assert events[-1].kind == "Finished", events[-1]
    columns = tagged(80)
    for row in range(0, 80, 2):  # the same entities in another scheme
        columns["ner_tags"][row] = [tag.replace("B-LOC", "U-LOC") for tag in columns["ner_tags"][row]]
    columns["ner_tags"][1] = ["O"] * len(columns["tokens"][1])
    columns["split"] = ["train"] * 50 + ["test"] * 30
    folders = [training.outputs / "linear", training.outputs / "majority"]
    directory = laid_out(tmp_path, "token-classification", columns, folders, part="test")
    result = evaluated(directory)
    assert (result.rows, result.left_out, result.primary_metric) == (30, {"other_part": 50}, "f1")
    predictor = load_predictor(folders[0])
    right = found = there = 0
    for tokens, tags in zip(columns["tokens"][50:], columns["ner_tags"][50:], strict=True):
        said = {(one["label"], one["text"]) for one in predictor.predict([{"tokens": tokens}])[0]["entities"]}
        true = {("LOC", tokens[place]) for place, tag in enumerate(tags) if tag.endswith("LOC")}
        names = [tokens[place] for place, tag in enumerate(tags) if tag.endswith("PER")]
        true |= {("PER", " ".join(names))} if names else set()
        right, found, there = right + len(said & true), found + len(said), there + len(true)
    told = result.models[0].metrics
    assert told["f1"].value == pytest.approx(2 * right / (found + there))
    assert told["precision"].value == pytest.approx(right / found)
    assert told["f1"].low is not None
    assert {part.value for part in result.models[0].slices if part.by == "label"} == {"LOC", "PER"}
    assert result.models[0].calibration is not None
    assert result.models[0].calibration.answers == sum(map(len, columns["tokens"][50:]))
    assert len(errors_of(directory, result.models[0])) == result.models[0].errors
    assert paired_again(directory, result).paired == result.paired


def test_numbers_are_measured_by_their_errors_the_farthest_first(tmp_path: Path) -> None:
    training, events = Job(tmp_path / "job", "tabular", table(160), spec={"max_steps": 5}).run()
    assert events[-1].kind == "Finished", events[-1]
    columns = table(80, seed=8)
    columns["متراژ"] = [str(value) if value else value for value in columns["متراژ"]]
    columns["متراژ"][3] = "بزرگ"
    folders = [training.outputs / "trees", training.outputs / "majority"]
    directory = laid_out(tmp_path, "tabular", columns, folders)
    result = evaluated(directory)
    kept = [row for row in range(80) if row != 3]
    asked = [{"متراژ": columns["متراژ"][row], "محله": columns["محله"][row]} for row in kept]
    said = [answer["value"] for answer in load_predictor(folders[0]).predict(asked)]
    true = [columns["قیمت"][row] for row in kept]
    told = result.models[0]
    assert result.left_out == {"unusable": 1}
    assert told.metrics["mae"].value == pytest.approx(mean_absolute_error(true, said))
    assert told.metrics["r2"].value == pytest.approx(r2_score(true, said))
    rows = errors_of(directory, told)
    worst = max(range(79), key=lambda place: abs(said[place] - true[place]))
    assert rows[0]["row"] == kept[worst] + 1
    assert rows[0]["error"] == pytest.approx(abs(said[worst] - true[worst]))
    assert told.calibration is None
    assert sum(part.rows for part in told.slices if part.by == "target") == 79
    assert result.paired is not None
    assert (result.paired.verdict, result.paired.mcnemar) == ("first", None)
    assert paired_again(directory, result).paired == result.paired


def test_labels_that_the_model_never_saw_are_refused_in_words(texts: AttemptDirectory, tmp_path: Path) -> None:
    columns = {**sentiments(10), "label": ["مثبت"] * 10}
    directory = laid_out(tmp_path, "text-classification", columns, [texts.outputs / "linear"])
    assert start(directory, "kargah.workers.evaluate").wait(timeout=240) == 0
    (failed,) = of_kind(events_of(directory), "Failed")
    assert (failed.code, failed.params["found"]) == ("LABELS_UNLIKE", "مثبت")


def test_an_evaluation_that_is_not_wanted_any_more_says_so_and_one_begun_again_finds_the_same(
    texts: AttemptDirectory, tmp_path: Path
) -> None:
    stopped = laid_out(tmp_path / "stopped", "text-classification", sentiments(40), [texts.outputs / "linear"])
    control.write(stopped.control, Want.STOP)
    assert start(stopped, "kargah.workers.evaluate").wait(timeout=240) == 0
    assert events_of(stopped)[-1].kind == "Stopped"
    first, again = (
        evaluated(laid_out(tmp_path / name, "text-classification", sentiments(40), [texts.outputs / "linear"])) for name in ("one", "two")
    )
    assert first == again


def test_evaluations_of_other_rows_are_compared_on_those_of_both_and_of_other_answers_not_at_all(tmp_path: Path) -> None:
    """By hand: of rows 2, 3 and 4 the first has all right, the second one."""
    rows, said = (
        {"a": [0, 1, 2, 3], "b": [1, 2, 3, 5, 6], "c": [7], "d": [1, 2]},
        {"a": [1, 1, 1, 0], "b": [0, 1, 1, 0, 0], "c": [1], "d": [1, 1]},
    )
    target = {"a": [0, 1, 1, 0], "b": [1, 1, 0, 0, 0], "c": [1], "d": [1, 1]}
    for name, numbers in rows.items():
        columns = {"target": np.array(target[name]), "said": np.array(said[name])}
        right = (columns["target"] == columns["said"]).astype(int)
        expected = kept.digests([[f"{row}{name == 'd'}"] for row in numbers])
        kept.write(tmp_path / name, Kept(np.array(numbers), expected, Outcomes("label", columns, {"labels": 2}), right))

    def told(other: str) -> dict[str, Any]:
        return pairing.main({"path": str(tmp_path / "a"), "other": str(tmp_path / other), "metric": "accuracy", "lower_is_better": False})

    found = Compared.model_validate(told("b"))
    assert (found.rows, found.only_first, found.only_second) == (3, 1, 2)
    assert (found.first, found.second) == (1.0, pytest.approx(1 / 3))
    assert found.paired.mcnemar is not None
    assert (found.paired.mcnemar.only_first, found.paired.mcnemar.only_second, found.paired.verdict) == (2, 0, "none")
    assert told("c") == {"unlike": "rows"}
    assert told("d") == {"unlike": "answers"}
