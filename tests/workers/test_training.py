"""What a training promises, kept by the real worker process: the same weights each time, no step lost, no step doubled."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from attempts import Job, events_of, of_kind, start, write_dataset
from samples import sentiments, table

from kargah.contract import control
from kargah.contract.attempt import AttemptDirectory, is_held
from kargah.contract.control import Want
from kargah.contract.events import LAST_WORDS, Event
from kargah.kit import files
from kargah.recipes.predictor import load_predictor

SMALL = {"epochs": 4, "batch_size": 8, "checkpoint_seconds": 0, "baselines": False}


def weights(directory: AttemptDirectory) -> str:
    return files.digest_of(directory.outputs / "model" / "model.safetensors").sha256


def counted_steps(attempts: list[list[Event]]) -> list[tuple[int, float]]:
    """(step, loss) over all attempts as the store counts them: a Resumed supersedes later points of earlier attempts."""
    points: list[tuple[int, float]] = []
    for event in (event for events in attempts for event in events):
        if event.kind == "Resumed":
            points = [point for point in points if point[0] <= event.from_step]
        elif event.kind == "Step":
            points.append((event.step, event.metrics["loss"] or 0.0))
    return points


def wait_for_step(directory: AttemptDirectory, step: int) -> None:
    while not any(event.step >= step for event in of_kind(events_of(directory), "Step")):
        assert not any(event.kind in LAST_WORDS for event in events_of(directory))
        time.sleep(0.01)


def test_the_same_seed_gives_the_same_weights_and_another_seed_gives_others(tmp_path: Path) -> None:
    spec = {**SMALL, "epochs": 1}
    runs = [
        Job(tmp_path / name, "tabular", table(80), spec={**spec, "seed": seed}).run()[0] for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert weights(runs[0]) == weights(runs[1]) != weights(runs[2])


def test_a_pause_keeps_the_work_and_resuming_goes_on_from_it(tmp_path: Path) -> None:
    spec = {**SMALL, "epochs": 30, "checkpoint_seconds": 3600}
    job = Job(tmp_path, "tabular", table(160), spec=spec)
    first = job.lay_out()
    process = start(first)
    wait_for_step(first, 5)
    control.write(first.control, Want.PAUSE)
    assert process.wait(timeout=30) == 0
    paused = events_of(first)[-1]
    assert paused.kind == "Paused"
    second, events = job.run()
    assert of_kind(events, "Resumed")[0].from_step == paused.step
    assert of_kind(events, "Step")[0].step == paused.step + 1
    assert events[-1].kind == "Finished"
    assert not is_held(second.alive)


def test_a_first_step_is_seen_before_the_simple_models_which_change_nothing_of_what_is_learnt(tmp_path: Path) -> None:
    spec = {**SMALL, "epochs": 1}
    alone, _ = Job(tmp_path / "alone", "tabular", table(80), spec=spec).run()
    beside, events = Job(tmp_path / "beside", "tabular", table(80), spec={**spec, "baselines": True}).run()
    assert weights(alone) == weights(beside)
    told = [(event.kind, getattr(event, "model", None)) for event in events if event.kind in ("Step", "Evaluated")]
    assert told[0] == ("Step", None)
    assert next(model for kind, model in told if kind == "Evaluated") == "majority"
    assert {model["name"] for model in events[-1].result["models"]} >= {"model", "majority"}


def test_a_pause_among_the_simple_models_keeps_the_step_before_them(tmp_path: Path) -> None:
    job = Job(tmp_path / "paused", "text-classification", sentiments(400), spec={"epochs": 1, "checkpoint_seconds": 3600})
    first = job.lay_out()
    control.write(first.control, Want.RUN)
    process = start(first)
    while not of_kind(events_of(first), "Progress"):
        assert process.poll() is None
        time.sleep(0.005)
    control.write(first.control, Want.PAUSE)
    assert process.wait(timeout=60) == 0
    paused = events_of(first)[-1]
    assert paused.kind == "Paused" and paused.step >= 1
    second, events = job.run()
    whole, _ = Job(tmp_path / "whole", "text-classification", sentiments(400), spec=job.spec).run()
    assert of_kind(events, "Resumed")[0].from_step == paused.step
    assert counted_steps([events_of(first), events]) == counted_steps([events_of(whole)])
    assert weights(second) == weights(whole)


def test_a_stop_ends_with_stopped_as_the_last_word_however_it_is_pressed(tmp_path: Path) -> None:
    directory = Job(tmp_path, "tabular", table(160), spec={**SMALL, "epochs": 1000, "checkpoint_seconds": 3600}).lay_out()
    process = start(directory)
    wait_for_step(directory, 3)
    assert is_held(directory.alive)
    control.write(directory.control, Want.STOP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert [event.kind for event in events_of(directory) if event.kind in LAST_WORDS] == ["Stopped"]


def test_a_sigterm_of_the_system_keeps_the_work_and_says_that_the_job_is_not_over(tmp_path: Path) -> None:
    directory = Job(tmp_path, "tabular", table(160), spec={**SMALL, "epochs": 1000, "checkpoint_seconds": 3600}).lay_out()
    process = start(directory)
    wait_for_step(directory, 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    events = events_of(directory)
    assert (events[-1].kind, events[-1].code) == ("Interrupted", "WORKER_TERMINATED")
    assert of_kind(events, "Saved")[-1].step == of_kind(events, "Step")[-1].step


def test_a_stop_wanted_from_the_start_is_honoured_before_the_first_step(tmp_path: Path) -> None:
    directory = Job(tmp_path, "text-classification", sentiments(400), spec={"checkpoint_seconds": 3600}).lay_out()
    control.write(directory.control, Want.STOP)
    assert start(directory).wait(timeout=60) == 0
    events = events_of(directory)
    assert events[-1].kind == "Stopped"
    assert not of_kind(events, "Step")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    job = Job(tmp_path, "tabular", table(80), spec={**SMALL, "epochs": 30})
    directory = job.lay_out()
    process = start(directory)
    wait_for_step(directory, 6)
    process.kill()
    process.wait()
    kept = sorted(directory.checkpoints.glob("step-*"))
    with (kept[-1] / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\1\2\3")
    _, events = job.run()
    assert of_kind(events, "Resumed")[0].from_step == int(kept[-2].name.removeprefix("step-"))
    warned = [event for event in of_kind(events, "Logged") if event.level == "warning"]
    assert [(event.code, event.params["name"]) for event in warned] == [("train.checkpoint_damaged", kept[-1].name)]


def test_every_model_of_a_training_is_whole_and_answers(tmp_path: Path) -> None:
    directory, events = Job(tmp_path, "text-classification", sentiments(200)).run()
    result = events[-1].result
    assert {model["family"] for model in result["models"]} == {"network", "linear", "majority"}
    for model in result["models"]:
        folder = directory.outputs / model["name"]
        assert {file["path"] for file in model["files"]} == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert all(files.digest_of(folder / file["path"]).sha256 == file["sha256"] for file in model["files"])
        answer = load_predictor(folder).predict(["این گوشی عالی است"])[0]
        assert set(answer["scores"]) == {"خوب", "بد"}
    assert of_kind(events, "Evaluated")[0].model == "majority"
    assert load_predictor(directory.outputs / result["recommended"]).predict(["این كتاب محشر بود"])[0]["label"] == "خوب"


def test_every_setting_is_told_with_its_source_and_reason(tmp_path: Path) -> None:
    _, events = Job(tmp_path, "tabular", table(80), spec={"epochs": 2, "baselines": False}).run()
    choices = {choice.name: choice for choice in of_kind(events, "Running")[0].choices}
    assert (choices["epochs"].value, choices["epochs"].source) == (2, "chosen")
    assert choices["learning_rate"].source == "adapted"
    assert choices["max_grad_norm"].source == "inherited"
    assert all(choice.why for choice in choices.values())


def test_a_dry_run_forecasts_and_makes_no_model(tmp_path: Path) -> None:
    directory, events = Job(tmp_path, "text-classification", sentiments(100)).run(dry_run=True)
    result = events[-1].result
    assert result["dry_run"]
    assert result["models"] == []
    assert result["forecast"]["total_steps"] == of_kind(events, "Running")[0].total_steps
    assert not directory.outputs.exists()
    assert not directory.checkpoints.exists()


def test_the_bundled_line_is_learnt_by_the_defaults(tmp_path: Path) -> None:
    from attempts import read_csv

    import kargah.recipes.tabular

    path = Path(kargah.recipes.tabular.__file__).parent / "samples" / "line.csv"
    directory, events = Job(tmp_path, "tabular", read_csv(path)).run()
    network = events[-1].result["models"][0]
    assert network["metrics"]["r2"] > 0.95
    assert abs(load_predictor(directory.outputs / "model").predict([{"x": 1.0}])[0]["value"] - 2.05) < 0.3


@pytest.mark.parametrize(
    ("columns", "spec", "code"),
    [
        ({"text": ["الف", "ب", "پ"], "label": ["خوب"] * 3}, {"columns": {"text": "text", "label": "label"}}, "ONE_CLASS_ONLY"),
        (sentiments(20), {"columns": {"text": "متن", "label": "label"}}, "COLUMN_MISSING"),
        (sentiments(20), {"columns": {"text": "text"}}, "ROLE_MISSING"),
        (sentiments(1), {"columns": {"text": "text", "label": "label"}}, "TOO_FEW_ROWS"),
        (sentiments(20), {"primary_metric": "r2"}, "METRIC_UNFIT"),
        (sentiments(20), {"problem_type": "regression"}, "TARGET_NOT_NUMERIC"),
    ],
)
def test_what_cannot_be_learnt_is_refused_by_name_before_the_first_step(
    tmp_path: Path, columns: dict[str, list[Any]], spec: dict[str, Any], code: str
) -> None:
    directory, events = Job(tmp_path, "text-classification", columns, spec=spec).run()
    assert (events[-1].kind, events[-1].code) == ("Failed", code)
    assert not of_kind(events, "Running")
    assert json.dumps(events[-1].params)
    assert not directory.outputs.exists()


def test_a_second_worker_of_one_attempt_does_not_start(tmp_path: Path) -> None:
    directory = Job(tmp_path, "tabular", table(80), spec={**SMALL, "epochs": 1000}).lay_out()
    first = start(directory)
    wait_for_step(directory, 1)
    second = start(directory)
    assert second.wait(timeout=30) != 0
    assert not any(event.kind in LAST_WORDS for event in events_of(directory))
    first.kill()
    first.wait()


def test_two_data_sets_are_mixed_by_weight_under_one_name_and_each_is_told_of(tmp_path: Path) -> None:
    """The second calls its columns otherwise, is twice as long and is seen half as often."""
    first, second = sentiments(60, seed=1), sentiments(120, seed=2)
    job = Job(tmp_path, "text-classification", first, spec={"epochs": 2, "batch_size": 10, "columns": {"text": "text", "label": "label"}})
    directory = job.lay_out()
    write_dataset(directory.inputs / "more", {"text": ["نه"] * 120, "نظر": second["text"], "حس": second["label"]})
    plan = files.read_json(directory.plan)
    more = {**plan["datasets"][0], "folder": "more", "title": "دومی", "weight": 0.5, "columns": {"text": "نظر", "label": "حس"}}
    files.write_json(directory.plan, {**plan, "datasets": [{**plan["datasets"][0], "title": "نخستین"}, more]})
    assert start(directory).wait(timeout=240) == 0, directory.log.read_text()
    events = events_of(directory)
    running = of_kind(events, "Running")[0]
    mixed = next(choice for choice in running.choices if choice.name == "sources")
    assert (mixed.value, mixed.source) == ("نخستین × 1, دومی × 0.5", "chosen")
    told = events[-1].result["models"][0]["detail"]["sources"]
    assert [(source["title"], source["weight"], source["train_rows"] + source["rows"]) for source in told] == [
        ("نخستین", 1, 60),
        ("دومی", 0.5, 120),
    ]
    assert all(0 <= source["metrics"]["accuracy"] <= 1 for source in told)
    rows = told[0]["train_rows"] + round(told[1]["train_rows"] / 2)
    assert running.total_steps == 2 * -(-rows // 10) == len(of_kind(events, "Step"))
    assert load_predictor(directory.outputs / "model").predict(["این گوشی عالی است"])[0]["label"] in {"خوب", "بد"}
