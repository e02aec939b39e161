"""What a model will see: the same tokens, cut at the same place, as in a training."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import sentiments
from support.decoders import SENTENCES, SMALL, request_of, task_of

from kargah.recipes.encoders import fast_tokenizer
from kargah.recipes.sft.data import prepare
from kargah.recipes.table import normaliser_of
from kargah.recipes.text_classification.encoding import TransformerEncoding
from kargah.recipes.tokenizing import base_tokenizer, train_tokenizer
from kargah.text.normalise import NormaliserSettings
from kargah.workers import tokens

NORMALISER = NormaliserSettings().model_dump()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    fast_tokenizer(train_tokenizer(sentiments(200)["text"], 300, None)).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 64}')
    return folder


def wish(folder: Path, columns: dict[str, list[Any]], **asked: Any) -> dict[str, Any]:
    pq.write_table(pa.table(columns), folder / "data.parquet", row_group_size=40)
    files = {name: str(folder / name) for name in ("tokenizer.json", "tokenizer_config.json", "config.json")}
    told = {"path": str(folder / "data.parquet"), "texts": ["text"], "label": None, "classes": [], "normaliser": NORMALISER}
    return {**told, "model_files": files, "max_length": None, "offset": 0, "limit": 5, **asked}


@pytest.mark.parametrize("texts", [["text"], ["text", "other"]])
@pytest.mark.parametrize("max_length", [5, 12, 20, 64])
def test_what_is_shown_as_kept_is_what_a_training_reads(folder: Path, texts: list[str], max_length: int) -> None:
    columns = sentiments(60)
    columns["other"] = [text * 2 for text in columns["text"][::-1]]
    columns["text"][1] = "گوشي\u200c  كتاب " * 20
    columns["text"][2] = None
    rows = tokens.run(wish(folder, columns, texts=texts, max_length=max_length, offset=1, limit=30))["rows"]
    normaliser = normaliser_of(NORMALISER)
    assert normaliser is not None
    encoding = TransformerEncoding(base_tokenizer(folder, NORMALISER), max_length)
    fields = [[normaliser.apply(value or "") for value in columns[name][1:31]] for name in texts]
    for row, (ids, _) in zip(rows, encoding.encode(fields, lambda: None), strict=True):
        assert [token["id"] for token in row["tokens"] if token["state"] != "cut"] == ids.tolist()
    assert rows[0]["changed"] and rows[0]["number"] == 2


def test_the_suggested_length_holds_nearly_all_rows_and_labels_have_the_ids_of_a_training(folder: Path) -> None:
    columns = sentiments(300)
    columns["text"][7] = "خیلی " * 200
    told = tokens.run(wish(folder, columns, label="label", classes=["خوب", "بد"]))
    assert told["max_length"] == told["suggested"] <= told["limit"] == 64
    assert told["suggested"] % 8 == 0
    assert told["cut"] == 1
    assert (told["sampled"], sum(count for _, _, count in told["bins"])) == (300, 300)
    assert told["words"] == sum(len(text.split()) for text in columns["text"])
    assert [(row["label"], row["label_id"]) for row in told["rows"][:2]] == [("خوب", 1), ("بد", 0)]
    short = tokens.run(wish(folder, columns, max_length=8))
    assert (short["cut"] > 250, short["cut_at_suggested"]) == (True, 1)


def test_a_model_without_tokens_is_refused_with_its_kind(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["KargahTextNetwork"], "preset": "bag"}')
    asked = wish(folder, sentiments(10)) | {"model_files": {"config.json": str(tmp_path / "config.json")}}
    assert tokens.run(asked)["refused"]["code"] == "NO_TOKENIZER"
    asked["model_files"] = {"config.json": str(folder / "config.json")}
    assert tokens.run(asked)["refused"]["code"] == "BASE_MODEL_UNUSABLE"


def test_of_a_conversation_just_what_a_training_learns_is_marked(tmp_path: Path) -> None:
    talks = [
        [
            {"role": "user", "content": f"باغ  شماره {number} چطور است؟"},
            {"role": "assistant", "content": "سبز است. " * (1 + number % 3)},
            {"role": "user", "content": "و كتاب؟"},
            {"role": "assistant", "content": f"نه، {number} سبز است."},
        ]
        for number in range(12)
    ]
    talks[5] = talks[5][:1]
    talks[6] = [{"role": "user", "content": "باغ " * 60}, talks[6][1]]
    task_of("causal-lm", {"text": SENTENCES}, **SMALL).save(tmp_path)
    asked = {
        "talk": {"messages": "messages"},
        "limit": 12,
        "max_length": 40,
        "model_files": {one.name: str(one) for one in tmp_path.iterdir()},
    }
    told = tokens.run(wish(tmp_path, {"messages": talks}, **asked))
    data = prepare(request_of("sft", {"messages": talks}, tmp_path, max_length=40))
    learnt = {(tuple(one.ids.tolist()), tuple(one.learnt.tolist())) for sample in data.samples for one in sample.sequences}
    left = [[token for token in row["tokens"] if token["state"] != "cut"] for row in told["rows"]]
    seen = {(tuple(token["id"] for token in row), tuple(token["state"] == "learnt" for token in row)) for row in left}
    assert {(ids, marks) for ids, marks in seen if any(marks)} == learnt
    assert (told["lost"], told["sampled"], told["max_length"]) == (2, 12, 40)
    assert told["learnt"] == sum(sum(marks) for _, marks in learnt)
    assert told["rows"][0]["texts"][:2] == ["باغ شماره 0 چطور است؟", "سبز است."]


def test_the_tag_of_a_word_stands_at_its_first_piece_and_long_rows_lose_nothing(folder: Path) -> None:
    words = [["گوشي", "خوب", "", "بی‌نظیر"], ["فیلم"] * 80]
    tags = [["NOUN", "ADJ", "X", "ADJ"], ["NOUN"] * 80]
    asked = {"texts": ["tokens", "tags"], "tagged": {"tokens": "tokens", "tags": "tags"}}
    told = tokens.run(wish(folder, {"tokens": words, "tags": tags}, **asked))
    first, long = told["rows"]
    pieces = [token for token in first["tokens"] if token["state"] == "kept"]
    assert [token["tag"] for token in pieces if "tag" in token] == tags[0]
    assert first["texts"] == ["گوشی خوب  بی‌نظیر"]
    assert sum("tag" in token for token in long["tokens"]) == 80
    assert (told["cut"], told["words"], told["total"]) == (0, 84, 2)
