"""Taggers that trainings leave behind: places in the asker's text, long rows, and the same answers in bare transformers."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attempts import Job, of_kind

from kargah.recipes.predictor import load_predictor

PEOPLE, PLACES = ["علی رضایی", "مریم", "زهرا کریمی"], ["تهران", "شیراز", "رشت"]
TINY = {"epochs": 10, "batch_size": 16, "hidden_size": 32, "learning_rate": 5e-3, "num_layers": 1}


def tagged(rows: int) -> dict[str, list[Any]]:
    """Sentences of a person, a place and words beside them; with Arabic letters among them."""
    generator = random.Random(5)
    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    for _ in range(rows):
        person, place = generator.choice(PEOPLE).split(), generator.choice(PLACES)
        tokens.append([*person, "ديروز", "به", place, generator.choice(["رفت", "رسيد"]), "."])
        tags.append(["B-PER", *["I-PER"] * (len(person) - 1), "O", "O", "B-LOC", "O", "O"])
    return {"tokens": tokens, "ner_tags": tags}


QUESTION = "  علــي رضايي دیروز به  تهران\u200c رفت. "


def entities(answer: dict[str, Any]) -> list[tuple[str, str]]:
    assert all(answer["text"][found["start"] : found["end"]] == found["text"] for found in answer["entities"])
    return [(found["label"], found["text"]) for found in answer["entities"]]


@pytest.fixture(scope="module")
def words_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, events = Job(tmp_path_factory.mktemp("tags"), "token-classification", tagged(80), spec=TINY).run()
    assert events[-1].kind == "Finished", events[-1]
    assert events[-1].result["primary_metric"] == "f1"
    return directory.outputs


@pytest.mark.parametrize("name", ["model", "linear"])
def test_names_are_found_where_they_stand_in_a_text_that_nobody_normalised(words_models: Path, name: str) -> None:
    answers = load_predictor(words_models / name).predict([QUESTION, "", {"tokens": ["زهرا", "كريمي", "به", "رشت", "رسيد"]}])
    assert entities(answers[0]) == [("PER", "علــي رضايي"), ("LOC", "تهران")]
    assert answers[1] == {"text": "", "entities": []}
    assert entities(answers[2]) == [("PER", "زهرا كريمي"), ("LOC", "رشت")]


def test_simple_taggers_answer_without_torch(words_models: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kargah.recipes.predictor import load_predictor\n"
        "for folder in sys.argv[1:]: assert load_predictor(Path(folder)).predict(['مریم به تهران رفت'])[0]['entities']\n"
        "assert not {'torch', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *(str(words_models / name) for name in ("linear", "majority"))], check=True)


BARE = """
import json, sys
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer
assert "kargah" not in sys.modules
folder, words = sys.argv[1], json.loads(sys.argv[2])
model, tokenizer = AutoModelForTokenClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
batch = tokenizer(words, is_split_into_words=True, return_tensors="pt")
with torch.no_grad():
    shares = model(**batch).logits[0].softmax(-1)
firsts = [batch.word_ids().index(word) for word in range(len(words))]
best = shares[firsts].max(-1)
print(json.dumps([[model.config.id2label[int(tag)], float(score)] for score, tag in zip(best.values, best.indices)]))
"""


def test_a_small_transformer_tags_as_bare_transformers_does(tmp_path: Path) -> None:
    spec = {**TINY, "preset": "transformer", "max_length": 24, "tag_scheme": "bilou", "baselines": False}
    directory, events = Job(tmp_path, "token-classification", tagged(60), spec=spec).run()
    assert events[-1].kind == "Finished", events[-1]
    folder, predictor = directory.outputs / "model", load_predictor(directory.outputs / "model")
    words = ["زهرا", "كريمي", "ديروز", "به", "رشت", "رفت", "."]
    bare = subprocess.run(
        [sys.executable, "-c", BARE, str(folder), json.dumps(words)], capture_output=True, text=True, cwd="/", check=False
    )
    assert bare.returncode == 0, bare.stderr
    tags = json.loads(bare.stdout.splitlines()[-1])
    assert [tag for tag, _ in tags] == ["B-PER", "L-PER", "O", "O", "U-LOC", "O", "O"]
    first, second = predictor.predict([{"tokens": words}])[0]["entities"]
    assert (first["label"], first["text"], second["label"]) == ("PER", "زهرا كريمي", "LOC")
    assert first["score"] == pytest.approx((tags[0][1] + tags[1][1]) / 2, abs=1e-5)


PLAIN = {"tokens": [["a"], ["b"]] * 4, "tags": [["X"], ["Y"]] * 4}


def test_each_word_of_a_long_row_is_told_by_its_first_piece_where_it_stands_furthest_from_an_edge() -> None:
    from kargah.recipes.encoders import fast_tokenizer
    from kargah.recipes.token_classification.pieces import PieceBatches
    from kargah.recipes.tokenizing import train_tokenizer

    words = [word for row in tagged(8)["tokens"] for word in row]
    tokenizer = fast_tokenizer(train_tokenizer([" ".join(words)], 60, None))
    (row,) = PieceBatches(tokenizer, 16).encode([words], lambda: None)
    pieces = [piece for ids, _ in row.windows for piece in ids]
    assert len(row.windows) > 3
    assert [pieces[first] for first in row.firsts] == [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    ends = [place for place, piece in enumerate(pieces) if piece in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    assert min(abs(first - end) for end in ends[1:-1] for first in row.firsts) > 1


@pytest.mark.parametrize(
    ("columns", "spec", "code", "field"),
    [
        ({"tokens": [["a", "b"], ["c"]] * 4, "tags": [["O", "X"], ["O", "O"]] * 4}, {}, "TAGS_UNALIGNED", "spec.columns.tags"),
        ({"tokens": [["a"], ["b"]] * 4, "tags": [["O"], ["O"]] * 4}, {}, "ONE_CLASS_ONLY", "spec.columns.tags"),
        ({"tokens": [[], ["b"]], "tags": [[], ["O"]]}, {}, "TOO_FEW_ROWS", "datasets"),
        ({"tokens": [["a"], ["b"]] * 4, "tags": [["X"], ["Y"]] * 4}, {"primary_metric": "f1"}, "METRIC_UNFIT", "spec.primary_metric"),
        (
            {"tokens": [["a"], ["b"]] * 4, "tags": [["X"], ["Y"]] * 4},
            {"columns": {"tokens": "tokens"}},
            "ROLE_MISSING",
            "spec.columns.tags",
        ),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_the_start_with_its_place(
    tmp_path: Path, columns: dict[str, list[Any]], spec: dict[str, Any], code: str, field: str
) -> None:
    _, events = Job(tmp_path, "token-classification", columns, spec=spec).run()
    (failed,) = of_kind(events, "Failed")
    assert (failed.code, failed.params["field"]) == (code, field)


def test_rows_without_a_tag_for_each_word_are_left_out_when_that_is_wanted_and_broken_sequences_are_told(tmp_path: Path) -> None:
    columns = tagged(40)
    columns["ner_tags"][0] = columns["ner_tags"][0][:-1]
    columns["ner_tags"][1] = [tag.replace("B-LOC", "I-LOC") for tag in columns["ner_tags"][1]]
    spec = {**TINY, "max_steps": 1, "skip_bad_rows": True, "baselines": False}
    _, events = Job(tmp_path, "token-classification", columns, spec=spec).run()
    said = {event.code: event.params for event in of_kind(events, "Logged")}
    assert (said["train.rows_dropped"]["dropped"], said["train.tags_repaired"]["places"]) == (1, 1)
