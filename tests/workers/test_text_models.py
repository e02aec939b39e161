"""Models that text trainings leave behind: every kind of problem, and the same answers in bare transformers."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attempts import Job
from samples import sentiments

from kargah.recipes.predictor import load_predictor
from kargah.recipes.tokenizing import train_tokenizer

TINY = {
    "preset": "transformer",
    "hidden_size": 32,
    "num_layers": 1,
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "baselines": False,
}

BARE = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
assert "kargah" not in sys.modules
folder, texts = sys.argv[1], json.loads(sys.argv[2])
model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
with torch.no_grad():
    batch = tokenizer(*texts, padding=True, truncation=True, return_tensors="pt")
    scores = model(**batch).logits.softmax(-1).tolist()
print(json.dumps([dict(zip(model.config.id2label.values(), row)) for row in scores]))
"""


def bare_scores(folder: Path, *fields: list[str]) -> list[dict[str, float]]:
    """What an interpreter with transformers and without Kargah says."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(folder), json.dumps(fields)], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def assert_agree(ours: list[dict[str, Any]], theirs: list[dict[str, float]]) -> None:
    for answer, scores in zip(ours, theirs, strict=True):
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_a_small_transformer_answers_the_same_in_bare_transformers_on_text_nobody_normalised(tmp_path: Path) -> None:
    directory, events = Job(tmp_path, "text-classification", sentiments(160), spec=TINY).run()
    assert events[-1].kind == "Finished"
    questions = ["این گوشي عالی است 3", "كتاب  افتضاح بود\u200c", "می\u200cرسد\u00a0و «بد» بــود؛ كِتاب", "GOOD فیلم", ""]
    ours = load_predictor(directory.outputs / "model").predict(questions)
    assert_agree(ours, bare_scores(directory.outputs / "model", questions))
    assert len({answer["label"] for answer in ours}) == 2


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real BERT with a tokenizer of its own, as one would import it."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(sentiments(200)["text"], 300, None)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}
    BertModel(BertConfig(vocab_size=len(fast), pad_token_id=0, **sizes)).save_pretrained(folder)
    return folder


def test_a_base_model_is_fine_tuned_and_agrees_with_bare_transformers_on_pairs(tmp_path: Path, base_model: Path) -> None:
    columns = sentiments(120)
    pairs = {"premise": columns["text"], "hypothesis": columns["text"][::-1], "label": columns["label"]}
    spec = {"epochs": 2, "learning_rate": 1e-3, "baselines": False}
    directory, events = Job(tmp_path, "text-classification", pairs, spec=spec).run(base_model=base_model)
    assert events[-1].result["models"][0]["architecture"] == "BertForSequenceClassification"
    first, second = ["این گوشي عالی است", "كتاب بد"], ["فیلم افتضاح بود", "خوب"]
    questions = [{"text": one, "text_pair": other} for one, other in zip(first, second, strict=True)]
    assert_agree(load_predictor(directory.outputs / "model").predict(questions), bare_scores(directory.outputs / "model", first, second))


def test_only_the_head_of_a_frozen_base_model_learns_and_bare_transformers_says_the_same(tmp_path: Path, base_model: Path) -> None:
    from safetensors.torch import load_file

    job = Job(tmp_path, "text-classification", sentiments(120), spec={"epochs": 3, "frozen_encoder": True, "checkpoint_steps": 1})
    directory, events = job.run(base_model=base_model)
    folder, questions = directory.outputs / "model", ["این گوشي عالی است", "كتاب بد", ""]
    assert_agree(load_predictor(folder).predict(questions), bare_scores(folder, questions))
    before, after = (load_file(path / "model.safetensors") for path in (base_model, folder))
    changed = {name for name, tensor in before.items() if not (tensor == after[f"bert.{name}"]).all()}
    assert changed == {"pooler.dense.weight", "pooler.dense.bias"}
    newest = max(directory.checkpoints.glob("step-*"))
    assert set(load_file(newest / "model.safetensors")) == {
        *(f"pooler.dense.{name}" for name in ("weight", "bias")),
        "classifier.weight",
        "classifier.bias",
    }
    assert events[-1].result["models"][0]["parameters"] == sum(tensor.numel() for tensor in after.values())


def test_a_frozen_base_model_that_is_not_there_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    _, events = Job(tmp_path, "text-classification", sentiments(40), spec={"frozen_encoder": True}).run()
    assert (events[-1].kind, events[-1].code, events[-1].params["field"]) == ("Failed", "SETTING_UNFIT", "spec.frozen_encoder")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [("pickle", "MODEL_IS_PICKLE"), ("truncate", "WEIGHTS_DAMAGED"), ("enlarge", "BASE_MODEL_UNUSABLE"), ("remote", "BASE_MODEL_UNUSABLE")],
)
def test_a_dangerous_or_broken_base_model_is_refused_with_the_reason(tmp_path: Path, base_model: Path, spoil: str, code: str) -> None:
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for path in base_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    if spoil == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif spoil == "truncate":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif spoil == "enlarge":
        (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 65536, "vocab_size": 10_000_000}))
    else:
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "mystery", "auto_map": {"AutoConfig": "evil.Config"}}))
    _, events = Job(tmp_path / "job", "text-classification", sentiments(40), spec={"baselines": False}).run(base_model=folder)
    assert (events[-1].kind, events[-1].code) == ("Failed", code)


def test_a_text_model_is_told_of_by_the_test_rows_alone(tmp_path: Path) -> None:
    columns = sentiments(120)
    columns["split"] = ["train"] * 80 + ["test"] * 40
    columns["label"][80:] = [{"خوب": "بد", "بد": "خوب"}[label] for label in columns["label"][80:]]
    directory, events = Job(tmp_path, "text-classification", columns, spec={"epochs": 1}).run()
    linear = next(model for model in events[-1].result["models"] if model["name"] == "linear")
    assert (linear["split"], linear["validation_value"] > 0.8, linear["metrics"]["accuracy"] < 0.2) == ("test", True, True)
    measured = json.loads((directory.outputs / "linear" / "metrics.json").read_bytes())
    assert (measured["rows"], sum(row["support"] for row in measured["detail"]["classes"])) == (40, 40)


def test_several_labels_a_row_are_learnt_and_told(tmp_path: Path) -> None:
    generator, words = random.Random(1), {"ورزش": "فوتبال", "سیاست": "مجلس", "هنر": "سینما"}
    picked = [generator.sample(sorted(words), generator.randint(1, 2)) for _ in range(240)]
    columns = {"متن": [f"خبر {' '.join(words[name] for name in names)} {row}" for row, names in enumerate(picked)], "برچسب": picked}
    directory, events = Job(tmp_path, "text-classification", columns, spec={"label_thresholds": "per_label"}).run()
    result = events[-1].result
    assert result["primary_metric"] == "micro_f1"
    told = {name: json.loads((directory.outputs / name / "kargah.json").read_bytes())["thresholds"] for name in ("model", "linear")}
    assert all(len(thresholds) == 3 for thresholds in told.values()) and told["model"] != told["linear"]
    assert result["models"][0]["metrics"]["micro_f1"] > 0.9
    for name in ("model", "linear"):
        answer = load_predictor(directory.outputs / name).predict(["فوتبال و سینما"])[0]
        assert set(answer["labels"]) == {"ورزش", "هنر"}


def test_a_number_is_learnt_from_text(tmp_path: Path) -> None:
    generator = random.Random(2)
    scores = [round(generator.uniform(0, 10), 2) for _ in range(240)]
    texts = [" ".join(["خوب"] * int(score) + ["بد"] * (10 - int(score))) + f" {row}" for row, score in enumerate(scores)]
    directory, events = Job(tmp_path, "text-classification", {"text": texts, "score": scores}).run()
    result = events[-1].result
    assert result["primary_metric"] == "r2"
    best = result["recommended"]
    assert max(model["metrics"]["r2"] for model in result["models"]) > 0.7
    predictor = load_predictor(directory.outputs / best)
    high, low = (predictor.predict([text])[0]["value"] for text in (" ".join(["خوب"] * 9), " ".join(["بد"] * 9)))
    assert high > low + 3


@pytest.mark.parametrize("preset", ["cnn", "bilstm"])
def test_padding_changes_no_answer_of_a_network_of_ours(tmp_path: Path, preset: str) -> None:
    spec = {"preset": preset, "epochs": 2, "hidden_size": 16, "baselines": False}
    directory, _ = Job(tmp_path, "text-classification", sentiments(120), spec=spec).run()
    predictor = load_predictor(directory.outputs / "model")
    questions = ["بد", "این گوشی خیلی خیلی خیلی خوب است و من راضی", ""]
    together = predictor.predict(questions)
    for question, answer in zip(questions, together, strict=True):
        assert predictor.predict([question])[0]["scores"] == pytest.approx(answer["scores"], abs=1e-5)


def test_the_linear_model_and_the_majority_answer_without_torch(tmp_path: Path) -> None:
    directory, _ = Job(tmp_path, "text-classification", sentiments(60), spec={"max_steps": 1}).run()
    code = (
        "import sys; from pathlib import Path; from kargah.recipes.predictor import load_predictor\n"
        "for folder in sys.argv[1:]: print(load_predictor(Path(folder)).predict(['خوب']))\n"
        "assert not {'torch', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)"
    )
    folders = [str(directory.outputs / name) for name in ("linear", "majority")]
    subprocess.run([sys.executable, "-c", code, *folders], check=True)
