"""Teachers of taggers and of language models: what they say is learnt from, and what cannot teach is refused before anything begins."""

import json
import random
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.decoders import SENTENCES, SMALL, request_of, task_of
from torch import nn

from kargah.engine.distilling import distilled
from kargah.kit.errors import BadInput
from kargah.recipes import catalogue
from kargah.recipes.token_classification.baselines import LinearTagger
from kargah.recipes.token_classification.predict import load as load_tagger

TINY: dict[str, Any] = {"hidden_size": 16, "num_layers": 1, "dropout": 0.0, "max_length": 32}
#: What a student from scratch is made of: its tokens are its teacher's.
STUDENT = {name: value for name, value in SMALL.items() if name != "vocab_size"} | {"hidden_size": 16, "num_layers": 1}


def described(folder: Path, recipe: str, **more: Any) -> None:
    """What a training writes beside the weights."""
    about = {"recipe": recipe, "family": "network", "architecture": "small", "labels": [], "normaliser": None, **more}
    (folder / "kargah.json").write_text(json.dumps(about))


def taught(recipe: str, columns: dict[str, list[Any]], teacher: Path, base: Path | None = None, **spec: Any) -> Any:
    train = import_module(f"{catalogue.get(recipe).runtime}.train")
    request = replace(request_of(recipe, columns, base, **spec), teacher_model=teacher)
    return train.build(train.prepare(request), request)


def refusal(recipe: str, columns: dict[str, list[Any]], teacher: Path, base: Path | None = None, **spec: Any) -> tuple[Any, ...]:
    """Of preparing alone, which is done before torch is asked for anything."""
    train = import_module(f"{catalogue.get(recipe).runtime}.train")
    with pytest.raises(BadInput) as refused:
        train.prepare(replace(request_of(recipe, columns, base, **spec), teacher_model=teacher))
    told = refused.value
    return told.code, told.params["field"], told.params.get("reason")


# ---- taggers ------------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def names() -> dict[str, list[Any]]:
    generator = random.Random(5)
    rows = [[generator.choice(["علی", "مریم"]), "به", generator.choice(["تهران", "شیراز"]), "رفت"] for _ in range(30)]
    return {"tokens": rows, "tags": [["B-PER", "O", "B-LOC", "O"]] * 30}


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, names: dict[str, list[Any]]) -> Path:
    """A linear one; its tags are in another order than the data's."""
    folder = tmp_path_factory.mktemp("tagger")
    labels = ["O", "B-PER", "B-LOC"]
    tags = [np.array([labels.index(tag) for tag in row]) for row in names["tags"]]
    LinearTagger.fit(names["tokens"], tags, len(labels), lambda: None).save(folder)
    columns = {"tokens": "tokens", "tags": "tags"}
    described(folder, "token-classification", family="linear", scheme="iob2", labels=labels, primary_metric="f1", columns=columns)
    return folder


@pytest.mark.parametrize("preset", ["bilstm", "transformer"])
def test_a_tagger_learns_each_words_shares_from_a_model_of_another_kind(names: dict[str, list[Any]], tagger: Path, preset: str) -> None:
    spec = {**TINY, "preset": preset, "vocab_size": 400, "distillation_temperature": 3.0, "distillation_share": 0.25}
    task = taught("token-classification", names, tagger, **spec)
    task.module.eval()
    rows = [4, 0, 9]
    items = [task.items[row] for row in rows]
    logits = task.logits(items)[[place for own in task.batches.places(items) for place in own]]
    teacher, data = load_tagger(tagger, 1), import_module("kargah.recipes.token_classification.train")
    prepared = data.prepare(request_of("token-classification", names, **spec))
    said = np.concatenate(teacher.score(prepared.words_of(prepared.train_rows[rows])))
    order = [teacher.problem.labels.index(label) for label in prepared.problem.labels]
    soft = (torch.from_numpy(said[:, order]).double().clamp(1e-6).log() / 3.0).softmax(dim=1).float()
    right = nn.functional.cross_entropy(logits, torch.cat([task.goals[row] for row in rows]))
    torch.testing.assert_close(task.loss(rows), distilled(right, logits, soft, 3.0, 0.25), rtol=1e-4, atol=1e-5)
    assert {"teacher_model", "distillation_temperature"} <= {decision.name for decision in task.decisions}


def test_a_tagger_of_other_tags_does_not_teach(names: dict[str, list[Any]], tagger: Path) -> None:
    other = {**names, "tags": [["B-PER", "O", "B-ORG", "O"]] * 30}
    assert refusal("token-classification", other, tagger) == ("TEACHER_UNFIT", "teacher_model", "labels")
    plain = {**names, "tags": [["NOUN", "ADP", "NOUN", "VERB"]] * 30}
    assert refusal("token-classification", plain, tagger) == ("TEACHER_UNFIT", "teacher_model", "problem")


# ---- models of language ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained: what they say is as good as anything for being learnt."""
    made = {}
    for recipe in ("causal-lm", "masked-lm"):
        made[recipe] = tmp_path_factory.mktemp(recipe)
        small = {name: value for name, value in SMALL.items() if recipe == "causal-lm" or name != "num_layers"}
        task_of(recipe, {"text": SENTENCES}, **small).save(made[recipe])
        described(made[recipe], recipe)
    return made


@pytest.mark.parametrize("recipe", ["causal-lm", "masked-lm"])
def test_a_smaller_language_model_takes_its_teachers_tokens_and_comes_nearer_to_it(
    tmp_path: Path, teachers: dict[str, Path], recipe: str
) -> None:
    spec = {**STUDENT, "distillation_share": 1.0, "distillation_hidden_share": 0.5}
    task = taught(recipe, {"text": SENTENCES}, teachers[recipe], **spec)
    tokenizer = task.data.vocabulary.tokenizer if recipe == "causal-lm" else task.tokens.tokenizer
    assert tokenizer.get_vocab() == _tokens_of(teachers[recipe])
    optimizer, losses = torch.optim.AdamW(task.module.parameters(), 3e-3), []
    for _ in range(12):
        torch.manual_seed(1)  # the same gaps each time
        optimizer.zero_grad()
        loss = task.loss([0, 1, 2, 3])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert task.module.get_parameter("likeness.map.weight").grad is not None
    task.save(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert not any("likeness" in name for name in saved)
    assert task.parameters == sum(tensor.numel() for tensor in saved.values())
    told = {decision.name: decision.value for decision in task.decisions}
    assert (told["teacher_model"], told["distillation_hidden_share"]) == ("small", 0.5)


def _tokens_of(folder: Path) -> dict[str, int]:
    from transformers import AutoTokenizer

    found: dict[str, int] = AutoTokenizer.from_pretrained(folder).get_vocab()
    return found


@pytest.mark.parametrize("recipe", ["causal-lm", "masked-lm"])
def test_with_no_share_of_the_teacher_the_loss_is_that_of_the_data(teachers: dict[str, Path], recipe: str) -> None:
    task = taught(recipe, {"text": SENTENCES}, teachers[recipe], **STUDENT, distillation_share=0.0)
    task.module.eval()
    torch.manual_seed(1)
    told = task.loss([0, 1])
    task.teacher = None
    torch.manual_seed(1)
    torch.testing.assert_close(told, task.loss([0, 1]))


@pytest.mark.parametrize("recipe", ["causal-lm", "masked-lm"])
def test_what_cannot_teach_a_language_model_is_refused_by_its_field(tmp_path: Path, teachers: dict[str, Path], recipe: str) -> None:
    columns, teacher = {"text": SENTENCES}, teachers[recipe]
    assert refusal(recipe, columns, teacher, vocab_size=300) == ("SETTING_UNFIT", "spec.vocab_size", None)
    assert refusal(recipe, columns, teacher, teacher, new_tokens=9) == ("SETTING_UNFIT", "spec.new_tokens", None)
    other = teachers["masked-lm" if recipe == "causal-lm" else "causal-lm"]
    assert refusal(recipe, columns, other) == ("TEACHER_TOKENS_UNFIT", "teacher_model", "recipe")
    described(tmp_path, recipe, family="ngrams")
    assert refusal(recipe, columns, tmp_path) == ("TEACHER_TOKENS_UNFIT", "teacher_model", "family")
    assert refusal(recipe, columns, teacher, other) == ("TEACHER_TOKENS_UNFIT", "teacher_model", "tokens")
