"""A student learns what its teacher says, whatever made the teacher, and nothing from one that speaks of other things."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attempts import Job, of_kind
from samples import sentiments

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Event
from kargah.contract.results import TrainResult
from kargah.recipes.distillation import Lessons, softened
from kargah.recipes.predictor import load_predictor


def test_shares_are_softened_as_their_logits_would_be() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 4)))
    shares = softened(logits.softmax(dim=1).numpy(), 3.0, independent=False)
    assert shares == pytest.approx((logits / 3.0).softmax(dim=1).numpy(), abs=1e-6)
    flags = softened(logits.sigmoid().numpy(), 3.0, independent=True)
    assert flags == pytest.approx((logits / 3.0).sigmoid().numpy(), abs=1e-6)
    sharp = softened(np.array([[0.3, 0.3, 0.4], [0.2, 0.5, 0.3]]), 0.001, independent=False)
    assert sharp == pytest.approx(np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), abs=1e-6)
    assert softened(np.zeros((0, 3)), 2.0, independent=False).shape == (0, 3)


def test_at_the_temperature_one_the_teachers_part_is_the_cross_entropy_with_its_shares() -> None:
    logits, soft = torch.randn(6, 3), torch.rand(6, 3).softmax(dim=1)
    of_labels = torch.tensor(7.0)
    told = -(soft * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert Lessons(soft, 1.0, 1.0, False).loss(of_labels, logits, range(6)).item() == pytest.approx(told.item(), rel=1e-5)
    assert Lessons(soft, 1.0, 0.25, False).loss(of_labels, logits, range(6)).item() == pytest.approx(
        0.75 * 7 + 0.25 * told.item(), rel=1e-5
    )


def taught(home: Path, teacher: Path, columns: dict[str, list[Any]], spec: dict[str, Any]) -> tuple[AttemptDirectory, list[Event]]:
    return Job(home, "text-classification", columns, spec=spec).run(teacher=teacher)


def test_a_student_whose_labels_tell_nothing_learns_them_from_a_linear_teacher(tmp_path: Path) -> None:
    columns = sentiments(160)
    first, _ = Job(tmp_path / "teacher", "text-classification", columns, spec={"max_steps": 1}).run()
    labels = [("خوب", "بد")[number // 2 % 2] if number < 120 else label for number, label in enumerate(columns["label"])]
    spoilt = {**columns, "label": labels, "split": ["train"] * 120 + ["validation"] * 40}
    spec = {"distillation_share": 1.0, "epochs": 12}
    student, events = taught(tmp_path / "student", first.outputs / "linear", spoilt, spec)
    assert events[-1].kind == "Finished"
    choices = {choice.name: choice for event in of_kind(events, "Running") for choice in event.choices}
    assert (choices["teacher_model"].value, choices["distillation_share"].source) == ("tfidf-linear", "chosen")
    fresh = sentiments(60, seed=9)
    right = {}
    for name in ("model", "linear", "linear-student"):
        answers = load_predictor(student.outputs / name).predict(fresh["text"])
        right[name] = np.mean([answer["label"] == label for answer, label in zip(answers, fresh["label"], strict=True)])
    assert min(right["model"], right["linear-student"]) > 0.8 > right["linear"]
    result = TrainResult.model_validate(events[-1].result)
    teacher = load_predictor(first.outputs / "linear").predict(spoilt["text"][120:])
    accuracy = np.mean([answer["label"] == label for answer, label in zip(teacher, spoilt["label"][120:], strict=True)])
    assert result.teacher is not None
    assert (result.teacher.title, result.teacher.metrics["accuracy"]) == ("آموزگار", pytest.approx(accuracy))
    other = {**columns, "label": [{"خوب": "مثبت", "بد": "منفی"}[label] for label in columns["label"]]}
    _, events = taught(tmp_path / "stranger", first.outputs / "linear", other, spec)
    assert (events[-1].kind, events[-1].code, events[-1].params["reason"]) == ("Failed", "TEACHER_UNFIT", "labels")
