"""Hidden states of a teacher: students of texts and of words come nearer to them, keep nothing of the map, and say what does not fit."""

import json
import random
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.decoders import request_of
from torch import Tensor
from transformers import AlbertConfig, AlbertForSequenceClassification

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.encoders import TEXTS, Transformer

TEXT, WORDS = "text-classification", "token-classification"
TEACHER: dict[str, Any] = {"preset": "transformer", "hidden_size": 64, "num_layers": 2, "vocab_size": 300, "dropout": 0.0, "max_length": 32}
STUDENT: dict[str, Any] = {"hidden_size": 32, "num_layers": 1, "dropout": 0.0, "distillation_hidden_share": 2.0}


def columns_of(recipe: str) -> dict[str, list[Any]]:
    generator = random.Random(5)
    rows = [[generator.choice(["علی", "مریم"]), "به", generator.choice(["تهران", "شیراز"]), *["رفت"] * (n % 3)] for n in range(30)]
    if recipe == WORDS:
        return {"tokens": rows, "tags": [["B-PER", "O", "B-LOC", *["O"] * (len(row) - 3)] for row in rows]}
    return {"text": [" ".join(row) for row in rows], "label": [("زن", "مرد")[row[0] == "علی"] for row in rows]}


def prepared(recipe: str, teacher: Path | None, base: Path | None = None, **spec: Any) -> tuple[Any, Any, Any]:
    train = import_module(f"{catalogue.get(recipe).runtime}.train")
    request = replace(request_of(recipe, columns_of(recipe), base, **spec), teacher_model=teacher)
    return train, train.prepare(request), request


def task_of(recipe: str, teacher: Path | None, base: Path | None = None, **spec: Any) -> Any:
    train, data, request = prepared(recipe, teacher, base, **spec)
    return train.build(data, request)


def refusal(*asked: Any, **spec: Any) -> tuple[Any, ...]:
    with pytest.raises(BadInput) as refused:
        prepared(*asked, **spec)
    told = refused.value
    return told.code, told.params["field"], told.params.get("reason")


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained ones: what they think can be learnt all the same."""
    made = {}
    for recipe in (TEXT, WORDS):
        made[recipe] = tmp_path_factory.mktemp(recipe)
        train, data, request = prepared(recipe, None, **TEACHER)
        train.build(data, request).save(made[recipe])
        about = {"recipe": recipe, "family": "network", "architecture": "small", **data.describe}
        (made[recipe] / "kargah.json").write_text(json.dumps(about))
    return made


@pytest.mark.parametrize("recipe", [TEXT, WORDS])
def test_a_student_comes_nearer_to_what_its_teacher_thinks_and_keeps_nothing_of_the_map(
    tmp_path: Path, teachers: dict[str, Path], recipe: str
) -> None:
    task = task_of(recipe, teachers[recipe], **STUDENT)
    told = {decision.name: decision.value for decision in task.decisions}
    assert (told["preset"], told["distillation_hidden_share"]) == ("transformer", 2.0)
    optimizer, losses = torch.optim.AdamW(task.module.parameters(), 3e-3), []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(unlike(task))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    task.save(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert not any("likeness" in name for name in saved)
    assert task.parameters == sum(tensor.numel() for tensor in saved.values())
    mapped = task.module.get_parameter("likeness.map.weight")
    assert mapped.shape == (64, 32)
    assert mapped.grad is not None


def unlike(task: Any) -> Tensor:
    """The loss with hidden states less the loss without them."""
    rows = [0, 1, 2, 3]
    with_states, hidden = task.loss(rows), task.hidden
    task.hidden = None
    without = task.loss(rows)
    task.hidden = hidden
    difference: Tensor = with_states - without
    return difference


@pytest.mark.parametrize("recipe", [TEXT, WORDS])
def test_rows_count_the_same_however_a_batch_is_cut(teachers: dict[str, Path], recipe: str) -> None:
    task = task_of(recipe, teachers[recipe], **STUDENT)
    rows = [0, 1, 2, 5, 7]
    parts = [rows[:2], rows[2:]]
    apart = sum(task.weight(part) * task.loss(part) for part in parts) / task.weight(rows)
    torch.testing.assert_close(task.loss(rows), apart, rtol=1e-4, atol=1e-5)


def test_a_family_that_takes_padded_batches_tells_the_states_of_real_tokens() -> None:
    sizes = {"embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = AlbertForSequenceClassification(AlbertConfig(vocab_size=20, **sizes)).eval()
    batch = {"input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])}
    logits, states = Transformer(model, TEXTS).read(batch)
    told = model(**batch, output_hidden_states=True)
    torch.testing.assert_close(logits, told.logits)
    torch.testing.assert_close(states, told.hidden_states[-1][batch["attention_mask"].bool()])


@pytest.mark.parametrize("recipe", [TEXT, WORDS])
def test_what_does_not_fit_is_refused_before_anything_begins(tmp_path: Path, teachers: dict[str, Path], recipe: str) -> None:
    teacher, share = teachers[recipe], {"distillation_hidden_share": 1.0}
    assert refusal(recipe, teacher, vocab_size=300, **share) == ("SETTING_UNFIT", "spec.vocab_size", None)
    assert refusal(recipe, teacher, preset="bilstm", **share) == ("SETTING_UNFIT", "spec.preset", None)
    assert refusal(recipe, teacher, teacher, new_tokens=9, **share) == ("SETTING_UNFIT", "spec.new_tokens", None)
    stranger = teachers[WORDS if recipe == TEXT else TEXT]
    assert refusal(recipe, teacher, stranger, **share) == ("TEACHER_HIDDEN_UNFIT", "teacher_model", "tokens")
    about = json.loads((teacher / "kargah.json").read_bytes())
    (tmp_path / "kargah.json").write_text(json.dumps({**about, "family": "linear"}))
    assert refusal(recipe, tmp_path, **share) == ("TEACHER_HIDDEN_UNFIT", "teacher_model", "family")
    prepared(recipe, tmp_path)  # its answers can be learnt from
