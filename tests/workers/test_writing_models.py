"""Models that write text from text: what a folder writes here, bare transformers writes."""

import json
import subprocess
import sys
from pathlib import Path

from attempts import Job, read_csv

import kargah.recipes.seq2seq as recipe
from kargah.recipes.predictor import load_predictor

SAMPLE = Path(next(iter(recipe.__path__))) / "samples" / "questions.csv"
TINY = {"hidden_size": 32, "num_layers": 1, "vocab_size": 400, "max_target_length": 12, "epochs": 6, "batch_size": 8, "learning_rate": 1e-2}
BARE = """
import json, sys
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
assert "kargah" not in sys.modules
model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1]).eval(), AutoTokenizer.from_pretrained(sys.argv[1])
batch = tokenizer(json.loads(sys.argv[2]), padding=True, truncation=True, return_tensors="pt")
written = model.generate(**{name: batch[name] for name in ("input_ids", "attention_mask")})
print(json.dumps([text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]))
"""


def test_bare_transformers_writes_the_same_and_the_lead_stands_beside_it(tmp_path: Path) -> None:
    directory, events = Job(tmp_path / "first", "seq2seq", read_csv(SAMPLE), spec={**TINY, "num_beams": 2}).run()
    assert events[-1].kind == "Finished"
    assert {model["name"] for model in events[-1].result["models"]} == {"model", "lead"}
    folder, texts = directory.outputs / "model", ["مريم ديروز در تهران كتاب خريد", "رضا در یزد"]
    ours = [answer["text"] for answer in load_predictor(folder).predict(texts)]
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(folder), json.dumps(texts)], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    assert ours == json.loads(done.stdout.splitlines()[-1])
    assert any(ours)
    lead = load_predictor(directory.outputs / "lead").predict([{"source": "علی دیروز در رشت گل خرید و رفت"}])
    assert lead[0]["text"].startswith("علی دیروز در رشت")
    again, events = Job(tmp_path / "second", "seq2seq", read_csv(SAMPLE), spec={**TINY, "epochs": 1}).run(base_model=folder)
    assert events[-1].kind == "Finished"
    assert events[-1].result["models"][0]["architecture"] == "T5ForConditionalGeneration"
    assert load_predictor(again.outputs / "model").predict(["رضا"])[0].keys() == {"text"}
