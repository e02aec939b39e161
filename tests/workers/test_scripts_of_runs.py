"""A training as one plain file: the recipe's script with the run's settings in it is a program that trains."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from samples import sentiments

import kargah.recipes.causal_lm
import kargah.recipes.text_classification
from kargah.training import as_script

TINY = {"epochs": 6.0, "batch_size": 8, "hidden_size": 32, "threads": 1, "seed": 7, "run": "run_1"}


def template(package: Any) -> str:
    return (Path(next(iter(package.__path__))) / "script.py").read_text(encoding="utf-8")


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def run(text: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``python script.py data``, in this process, where torch is loaded already."""
    monkeypatch.chdir(data.parent)
    monkeypatch.setattr(sys, "argv", ["script.py", str(data)])
    exec(compile(text, "script.py", "exec"), {"__name__": "__main__"})


def told(output: str, name: str) -> float:
    """The last value of a figure in what a script printed."""
    words = output.split()
    return float(words[len(words) - words[::-1].index(name)])


@pytest.mark.parametrize("preset", ["bag", "cnn", "bilstm", "transformer"])
def test_the_script_of_a_text_classifier_learns(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = sentiments(120)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    rate = {"learning_rate": 1e-2, "vocab_size": 600, "num_layers": 1, "dropout": 0.1, "max_length": 32, "preset": preset}
    columns = {"text": next(name for name in table if name != "label"), "label": "label"}
    values = {**TINY, **rate, "columns": columns, "problem_type": "single_label"}
    text = as_script.filled(template(kargah.recipes.text_classification), values)
    assert ("class Bag:" in text) is (preset == "bag")
    assert f"PRESET = '{preset}'" in text
    run(text, write_rows(tmp_path, rows), monkeypatch)
    assert told(capsys.readouterr().out, "accuracy") > 0.7
    assert (tmp_path / "model.pt").exists()
    assert (tmp_path / "model" / "model.safetensors").exists() is (preset == "transformer")


def test_the_script_of_a_regression_of_pairs_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(3)
    rows = [
        {"a": "سرد " * cold + "گرم " * hot, "b": "باد", "y": str(hot - cold)}
        for cold, hot in (draw.choices(range(5), k=2) for _ in range(90))
    ]
    columns = {"text": "a", "text_pair": "b", "label": "y"}
    values = {**TINY, "preset": "bag", "problem_type": "regression", "columns": columns, "learning_rate": 1e-2, "vocab_size": 300}
    run(as_script.filled(template(kargah.recipes.text_classification), values), write_rows(tmp_path, rows), monkeypatch)
    assert told(capsys.readouterr().out, "mae") < 1.5


def test_the_script_of_a_language_model_learns_and_leaves_a_folder_that_transformers_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"باران بر شهر {place} می‌بارد و سپس آفتاب می‌شود."} for place in ("تهران", "شیراز", "تبریز", "مشهد")] * 10
    rows = [{"text": f"{row['text']} {number}"} for number, row in enumerate(rows)]
    size = {"vocab_size": 400, "hidden_size": 64, "num_layers": 1, "max_length": 64, "dropout": 0.0, "learning_rate": 5e-3}
    values = {**TINY, **size, "preset": "scratch", "columns": {"text": "text"}, "batch_size": 2, "sample_prompt": "باران"}
    text = as_script.filled(template(kargah.recipes.causal_lm), values)
    run(text, write_rows(tmp_path, rows), monkeypatch)
    output = capsys.readouterr().out
    assert told(output, "perplexity") < 60
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.vocab_size <= 400
