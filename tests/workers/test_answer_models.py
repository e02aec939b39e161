"""Readers that trainings leave behind: answers told in the asker's own text, long texts, no answer, and bare transformers' logits."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attempts import Job, of_kind

from kargah.recipes.predictor import load_predictor

PEOPLE, CITIES = ["علی رضایی", "مریم", "زهرا کریمی"], ["تهران", "شیراز", "رشت"]
TINY = {"hidden_size": 32, "num_layers": 1, "vocab_size": 300, "epochs": 2, "batch_size": 8}


def births(rows: int) -> dict[str, list[Any]]:
    """A sentence on a person's city; every third asks what the text does not say."""
    generator = random.Random(3)
    found: dict[str, list[Any]] = {"context": [], "question": [], "answers": []}
    for number in range(rows):
        person, city = generator.choice(PEOPLE), generator.choice(CITIES)
        context = f"{person} در سال {1300 + number} در شهر {city} به دنيا آمد."
        question, answer = [("در کدام شهر به دنیا آمد؟", city), ("چه کسی به دنیا آمد؟", person), ("همسر او که بود؟", None)][number % 3]
        found["context"].append(context)
        found["question"].append(question)
        found["answers"].append({"text": [answer] if answer else [], "answer_start": [context.index(answer)] if answer else []})
    return found


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, events = Job(tmp_path_factory.mktemp("answers"), "question-answering", births(90), spec=TINY).run()
    assert events[-1].kind == "Finished", events[-1]
    assert events[-1].result["primary_metric"] == "f1"
    return directory.outputs


ASKED = {"context": "  علــي رضايي در سال ۱۳۹۹ در شهر  تهــران به دنيا آمد. ", "question": "در كدام شهر به دنیا آمد؟"}


def test_the_linear_reader_tells_the_answer_in_the_askers_own_text_and_that_there_is_none_without_torch(readers: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from kargah.recipes.predictor import load_predictor\n"
        "print(json.dumps(load_predictor(Path(sys.argv[1])).predict(json.loads(sys.argv[2]))))\n"
        "assert not {'torch', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)"
    )
    asked = [ASKED, {**ASKED, "question": "همسر او که بود؟"}, {**ASKED, "context": ""}]
    command = [sys.executable, "-c", code, str(readers / "linear"), json.dumps(asked)]
    told, none, empty = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (told["answer"], ASKED["context"][told["start"] : told["end"]]) == ("تهــران", "تهــران")
    assert none["answer"] == empty["answer"] == ""
    assert 0.5 <= told["score"] <= 1


BARE = """
import json, sys
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer
assert "kargah" not in sys.modules
folder, question, context = sys.argv[1:]
model, tokenizer = AutoModelForQuestionAnswering.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
batch = tokenizer(question, context, return_tensors="pt")
with torch.no_grad():
    told = model(**batch)
start, end, passage = told.start_logits[0], told.end_logits[0], [field == 1 for field in batch.sequence_ids(0)]
places = [place for place, inside in enumerate(passage) if inside]
best = max((start[one] + end[other] for one in places for other in places if 0 <= other - one < 30))
print(float(best - start[0] - end[0]))
"""


def test_the_network_is_as_sure_as_bare_transformers_of_a_text_that_nobody_normalised(readers: Path) -> None:
    predictor: Any = load_predictor(readers / "model")
    asked = {"context": "مريم در  سال 1305 در شهر رشت به دنيا آمد.", "question": "چه كسی به دنیا آمد؟"}
    command = [sys.executable, "-c", BARE, str(readers / "model"), asked["question"], asked["context"]]
    bare = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert bare.returncode == 0, bare.stderr
    margin = float(bare.stdout.splitlines()[-1])
    (answer,) = predictor.predict([asked])
    assert answer["score"] == pytest.approx(1 / (1 + math.exp(-abs(margin - predictor.threshold))), abs=1e-5)
    assert bool(answer["answer"]) == (margin >= predictor.threshold)
    assert asked["context"][answer["start"] : answer["end"]] == answer["answer"]


def test_a_long_text_is_read_through_windows_and_every_answer_is_whole_in_one_of_them() -> None:
    from kargah.recipes.encoders import fast_tokenizer
    from kargah.recipes.question_answering.pieces import AnswerPieces
    from kargah.recipes.question_answering.texts import Asked, Passage
    from kargah.recipes.tokenizing import train_tokenizer

    context = " ".join(f"واژهٔ {number} در متن." for number in range(60))
    tokenizer = fast_tokenizer(train_tokenizer([context], 120, None))
    pieces = AnswerPieces(tokenizer, 48, None, 16)
    passage = Passage.of(context, None)
    for number in (0, 17, 59):
        start = context.index(f"واژهٔ {number} ")
        text = f"واژهٔ {number}"
        (row,) = pieces.encode([Asked("کدام واژه؟", passage, ((text, start, start + len(text)),))], lambda: None)
        goals = [(window, window.goal) for window in row if window.goal != (0, 0)]
        assert len(row) > 5
        assert goals
        for window, (first, last) in goals:
            assert context[window.offsets[first, 0] : window.offsets[last, 1]].strip() == text
        assert all(len(window.item[0]) <= 48 for window in row)


@pytest.mark.parametrize("skip", [True, False])
def test_answers_that_stand_elsewhere_are_found_and_those_that_stand_nowhere_refused_or_left_out(tmp_path: Path, skip: bool) -> None:
    columns = births(24)
    columns["answers"][0]["answer_start"] = [3]
    columns["answers"][1] = {"text": ["ناکجا"], "answer_start": [0]}
    spec = {**TINY, "max_steps": 1, "baselines": False, "skip_bad_rows": skip}
    _, events = Job(tmp_path, "question-answering", columns, spec=spec).run()
    if not skip:
        (failed,) = of_kind(events, "Failed")
        assert (failed.code, failed.params["row"], failed.params["field"]) == ("ANSWER_UNPLACED", 2, "spec.columns.answers")
        return
    said = {event.code: event.params for event in of_kind(events, "Logged")}
    assert (said["train.answers_moved"]["rows"], said["train.rows_dropped"]["dropped"]) == (1, 1)


@pytest.mark.parametrize("asked", ["متن", {"context": "متن"}, {"question": "چه؟"}, {"context": 3, "question": "چه؟"}])
def test_a_question_without_a_text_is_refused_by_its_field(readers: Path, asked: Any) -> None:
    from kargah.kit.errors import BadInput

    with pytest.raises(BadInput) as refused:
        load_predictor(readers / "majority").predict([asked])
    assert refused.value.params["field"].startswith("inputs[0].")
