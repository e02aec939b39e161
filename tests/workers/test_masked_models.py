"""Models that fill gaps: measured by the same masks always, the same in bare transformers, and a base for other recipes."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attempts import Job, read_csv
from samples import sentiments

import kargah.recipes.masked_lm as recipe
from kargah.kit.errors import BadInput
from kargah.recipes.masked_lm.data import passages
from kargah.recipes.masked_lm.metrics import MaskedProblem
from kargah.recipes.predictor import load_predictor

SAMPLE = Path(next(iter(recipe.__path__))) / "samples" / "sentences.csv"
TINY = {"hidden_size": 32, "num_layers": 1, "vocab_size": 400, "epochs": 4, "batch_size": 8, "learning_rate": 5e-3}
BARE = """
import json, sys
from transformers import pipeline
assert "kargah" not in sys.modules
fill = pipeline("fill-mask", model=sys.argv[1], device="cpu")
print(json.dumps([[one["token_str"].strip(), one["score"]] for one in fill(sys.argv[2])]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory, events = Job(tmp_path_factory.mktemp("masked"), "masked-lm", read_csv(SAMPLE), spec=TINY).run()
    assert events[-1].kind == "Finished"
    return directory.outputs, events[-1].result


def test_bare_transformers_fills_the_same_gap_with_the_same_words(trained: tuple[Path, dict[str, Any]]) -> None:
    folder = trained[0] / "model"
    (ours,) = load_predictor(folder).predict(["امروز مريم ___ می\u200cخواند"])
    command = [sys.executable, "-c", BARE, str(folder), "امروز مريم [MASK] می\u200cخواند"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    theirs = dict(json.loads(done.stdout.splitlines()[-1]))
    shared = {fill["text"]: fill["score"] for fill in ours["fills"] if fill["text"] in theirs}
    assert len(shared) >= 3
    assert shared == pytest.approx({text: theirs[text] for text in shared}, abs=1e-5)


def test_the_frequent_tokens_stand_beside_it_and_a_text_without_a_gap_is_refused(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    network, frequency = result["models"]
    assert (frequency["name"], result["lower_is_better"]) == ("frequency", True)
    assert network["detail"]["masked_tokens"] == frequency["detail"]["masked_tokens"]
    assert load_predictor(folder / "frequency").predict(["___ رفت"])[0]["fills"][0]["text"] == "و"
    for name in ("model", "frequency"):
        with pytest.raises(BadInput) as refused:
            load_predictor(folder / name).predict(["___", "جای خالی ندارد"])
        assert (refused.value.code, refused.value.params["field"]) == ("NO_GAP", "inputs[1].text")


def test_a_gap_far_behind_what_the_model_takes_at_once_is_filled_from_what_stands_about_it(trained: tuple[Path, dict[str, Any]]) -> None:
    predictor = load_predictor(trained[0] / "model")
    near = predictor.predict(["دیروز علی چای می\u200cنوشد و " * 30 + "مریم ___ می\u200cخواند"])
    assert len(near[0]["fills"]) > 3


def test_what_was_learnt_from_plain_text_is_a_base_for_a_classifier(tmp_path: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    spec = {"epochs": 1, "baselines": False}
    directory, events = Job(tmp_path, "text-classification", sentiments(60), spec=spec).run(base_model=trained[0] / "model")
    assert events[-1].kind == "Finished"
    assert events[-1].result["models"][0]["architecture"] == "BertForSequenceClassification"
    assert load_predictor(directory.outputs / "model").predict(["خوب"])[0]["label"] in {"خوب", "بد"}


def test_a_language_that_can_be_learnt_is_learnt_and_held_out_texts_show_it(tmp_path: Path) -> None:
    """Sixteen names, each followed by its own word."""
    generator = random.Random(1)
    pairs = [(f"نام{one}{two}", f"کار{one}{two}") for one in "ابپت" for two in "جچحخ"]
    texts = [" ".join((*generator.choice(pairs), *generator.choice(pairs))) for _ in range(400)]
    spec = {"hidden_size": 32, "vocab_size": 400, "dropout": 0.0, "learning_rate": 5e-3, "epochs": 36, "batch_size": 16}
    _, events = Job(tmp_path, "masked-lm", {"text": texts}, spec=spec).run()
    network, frequency = events[-1].result["models"]
    assert network["metrics"]["perplexity"] < frequency["metrics"]["perplexity"] / 4
    assert network["metrics"]["token_accuracy"] > 0.8
    assert events[-1].result["recommended"] == "model"


def test_perplexity_is_of_tokens_not_of_texts() -> None:
    scores = np.array([[math.log(2) * 3, 3, 1], [math.log(8), 1, 0]])
    metrics = MaskedProblem.of("auto").evaluate(np.zeros(2), scores).metrics
    assert metrics["perplexity"] == pytest.approx(2 ** (6 / 4))
    assert metrics["token_accuracy"] == pytest.approx(1 / 4)


def test_passages_hold_every_word_and_end_between_words() -> None:
    text = "یک دو سه " * 50 + "ب" * 25
    parts = list(passages(text, 20))
    assert max(map(len, parts)) <= 20
    assert " ".join(parts).replace(" ", "") == text.replace(" ", "")
    assert set(" ".join(parts[:-2]).split()) == {"یک", "دو", "سه"}
    assert list(passages("  ", 20)) == []
