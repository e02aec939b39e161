"""Vectors that trainings leave behind: the same in bare sentence-transformers, and in an order that was learnt."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attempts import Job, read_csv

import kargah.recipes.embeddings as recipe
from kargah.recipes.predictor import load_predictor

SAMPLE = Path(next(iter(recipe.__path__))) / "samples" / "questions.csv"
TINY = {"preset": "transformer", "hidden_size": 32, "num_layers": 1, "epochs": 2, "batch_size": 8, "baselines": False}
BARE = """
import json, sys
from sentence_transformers import SentenceTransformer
assert "kargah" not in sys.modules
model = SentenceTransformer(sys.argv[1], device="cpu")
print(json.dumps(model.encode(json.loads(sys.argv[2]), show_progress_bar=False).tolist()))
"""


def test_sentence_transformers_gives_the_same_vectors_of_text_nobody_normalised(tmp_path: Path) -> None:
    directory, events = Job(tmp_path, "sentence-embeddings", read_csv(SAMPLE), spec=TINY).run()
    assert events[-1].kind == "Finished"
    assert "\nlibrary_name: sentence-transformers\n" in (directory.outputs / "model" / "README.md").read_text(encoding="utf-8")
    folder, texts = directory.outputs / "model", ["كتاب چيست؟", "بازيكن فوتبال " * 40, "می\u200cرود GOOD"]
    ours = [answer["vector"] for answer in load_predictor(folder).predict(texts)]
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(folder), json.dumps(texts)], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.array(ours) == pytest.approx(np.array(json.loads(done.stdout.splitlines()[-1])), abs=1e-5)


def test_the_simple_vectors_and_their_baseline_find_the_right_text_when_loaded_again(tmp_path: Path) -> None:
    columns = read_csv(SAMPLE)
    directory, events = Job(tmp_path, "sentence-embeddings", columns, spec={"hidden_size": 512}).run()
    result = events[-1].result
    assert {model["name"] for model in result["models"]} == {"model", "tfidf"}
    for name in ("model", "tfidf"):
        predictor = load_predictor(directory.outputs / name)
        asked = [answer["vector"] for answer in predictor.predict(columns["anchor"])]
        among = [answer["vector"] for answer in predictor.predict([{"positive": text} for text in columns["positive"]])]
        assert np.linalg.norm(asked[0]) == pytest.approx(1, abs=1e-5)
        found = (np.array(asked) @ np.array(among).T).argmax(axis=1)
        assert (found == np.arange(len(asked))).mean() > 0.9
