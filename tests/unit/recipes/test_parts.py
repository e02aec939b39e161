"""Which rows teach, which choose, which are reported on: as the data say themselves, by every recipe."""

import importlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kargah.kit.errors import BadInput
from kargah.recipes import catalogue, choosing
from kargah.recipes.base import SPLIT
from kargah.recipes.decoders.data import TokenData
from kargah.recipes.hints import part_of
from kargah.recipes.runtime import Prepared, Request
from kargah.recipes.table import Table
from tests.workers.attempts import described

ROWS = 60
ENDS = ["بلند است", "کوتاه است", "سبز است", "کهنه است"]
WORDS = {"train": ["train", "Training", "آموزش"], "validation": ["dev", "اعتبار‌سنجی", "validation"], "test": ["test", "آزمون", "TEST "]}


def texts(generator: random.Random) -> dict[str, list[Any]]:
    return {
        "متن": [f"جملهٔ شمارهٔ {row} با واژهٔ {generator.randint(0, 99)} در میانه" for row in range(ROWS)],
        "برچسب": [["خوب", "بد"][row % 2] for row in range(ROWS)],
    }


def numbers(generator: random.Random) -> dict[str, list[Any]]:
    return {"متراژ": [generator.randint(40, 200) for _ in range(ROWS)], "قیمت": [generator.randint(1, 10**6) for _ in range(ROWS)]}


def tagged(generator: random.Random) -> dict[str, list[Any]]:
    return {
        "tokens": [["مریم", generator.choice(["از", "به"]), f"خانهٔ{row}", "رفت"] for row in range(ROWS)],
        "tags": [["B-PER", "O", "B-LOC", "O"] for _ in range(ROWS)],
    }


def asked(generator: random.Random) -> dict[str, list[Any]]:
    years = [str(generator.randint(1300, 1399)) for _ in range(ROWS)]
    return {
        "context": [f"در سال {year} خانهٔ شمارهٔ {mark(row)} ساخته شد." for row, year in enumerate(years)],
        "question": ["این خانه کی ساخته شد؟"] * ROWS,
        "answers": [{"text": [year], "answer_start": [7]} for year in years],
    }


def prose(generator: random.Random) -> dict[str, list[Any]]:
    return {"text": [f"خانهٔ {mark(row)} {generator.choice(ENDS)} و خانه‌ای دیگر چنین نیست، مگر {mark(row)} باشد." for row in range(ROWS)]}


def talks(generator: random.Random) -> dict[str, list[Any]]:
    return {
        "messages": [
            [{"role": "user", "content": f"خانهٔ {mark(row)} چگونه است؟"}, {"role": "assistant", "content": generator.choice(ENDS)}]
            for row in range(ROWS)
        ]
    }


def preferred(generator: random.Random) -> dict[str, list[Any]]:
    pairs = [generator.sample(ENDS, 2) for _ in range(ROWS)]
    return {
        "prompt": [f"خانهٔ {mark(row)} چگونه است؟" for row in range(ROWS)],
        "chosen": [one for one, _ in pairs],
        "rejected": [other for _, other in pairs],
    }


def pairs_named(one: str, other: str) -> Callable[[random.Random], dict[str, list[Any]]]:
    def pairs(generator: random.Random) -> dict[str, list[Any]]:
        return {
            one: [f"خانهٔ شمارهٔ {mark(row)} چگونه است؟" for row in range(ROWS)],
            other: [f"خانهٔ {mark(row)} از دور {generator.choice(ENDS)}" for row in range(ROWS)],
        }

    return pairs


DATA = {
    "text-classification": texts,
    "tabular": numbers,
    "token-classification": tagged,
    "question-answering": asked,
    "causal-lm": prose,
    "sft": talks,
    "preference": preferred,
    "sentence-embeddings": pairs_named("anchor", "positive"),
    "masked-lm": prose,
    "seq2seq": pairs_named("source", "target"),
}


def mark(row: int) -> int:
    """A number of three digits that tells a row in what became of it; twice in a text that may be cut."""
    return 100 + row


def rows_in(data: Prepared, part: str) -> set[int]:
    """The table's rows of a part. What learns to write numbers its sequences anew: there the marks in them tell."""
    if not isinstance(data, TokenData):
        rows = data.rows_of(part).tolist()
        assert len(set(rows)) == len(rows), "a row is used twice"
        return set(rows)
    written = [data.vocabulary.tokenizer.decode(sequence.ids) for sample in data.samples_of(part) for sequence in sample.sequences]
    return {int(found) - mark(0) for text in written for found in re.findall(r"\d{3}", text)}


def prepared(recipe: str, values: dict[str, list[Any]], **given_spec: Any) -> Prepared:
    """As a worker does it, with the columns that are proposed for this table."""
    columns = {name: described(name, column) for name, column in values.items()}
    known, match = choosing.choose(recipe, list(columns.values()))
    spec = known.spec.model_validate(choosing.complete(known, match, given_spec, list(columns.values())))
    table = Table(columns, values, ROWS)
    request = Request(
        recipe=recipe, spec=spec, chosen=frozenset(given_spec), tables=[table], base_model=None, scratch=Path(), threads=1,
        log=lambda *args, **kwargs: None, check=lambda: None,
    )  # fmt: skip
    made: Prepared = importlib.import_module(f"{known.runtime}.train").prepare(request)
    return made


def test_every_recipe_takes_a_column_that_splits() -> None:
    assert [name for name, recipe in catalogue.RECIPES.items() if SPLIT not in recipe.roles] == []
    assert DATA.keys() == catalogue.RECIPES.keys(), "a recipe that is not tried here"


@pytest.mark.parametrize("recipe", catalogue.RECIPES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), shares=st.tuples(st.integers(1, 3), st.integers(0, 3)))
def test_rows_are_used_as_the_users_own_column_says(recipe: str, seed: int, shares: tuple[int, int]) -> None:
    generator = random.Random(seed)
    values = DATA[recipe](generator)
    kinds = ["train"] * 4 + ["test"] * shares[0] + ["validation"] * shares[1]
    said: list[str | None] = [generator.choice(WORDS[generator.choice(kinds)]) for _ in range(ROWS)]
    said[:5] = ["train", "آموزش", "train", "train", "test"]
    said[5] = None
    data = prepared(recipe, {**values, "بخش": said})
    train, validation, test = (rows_in(data, part) for part in WORDS)
    wanted = {part: {row for row, word in enumerate(said) if word is not None and part_of(word) == part} for part in WORDS}
    assert test == wanted["test"]
    if wanted["validation"]:
        assert (train, validation) == (wanted["train"], wanted["validation"])
    else:
        assert train | validation == wanted["train"]
        assert train and validation
    assert not (train & validation or train & test or validation & test)
    assert data.reported == "test"
    assert "بخش" not in str(data.describe["columns"]) + str(data.describe.get("features"))


@pytest.mark.parametrize("recipe", catalogue.RECIPES)
def test_without_such_a_column_or_when_it_is_declined_validation_rows_are_drawn(recipe: str) -> None:
    values = DATA[recipe](random.Random(1))
    split = {"split": ["train", "test"] * (ROWS // 2)}
    for data in (prepared(recipe, values), prepared(recipe, {**values, **split}, columns={"split": ""})):
        assert (len(data.test_rows), data.reported, data.split_column) == (0, "validation", None)
        train, validation = rows_in(data, "train"), rows_in(data, "validation")
        assert train | validation == set(range(ROWS)) and not train & validation and train and validation
        assert "split" not in str(data.describe.get("features"))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["train"] * 30 + ["test"] * 29 + ["شاید"], "SPLIT_UNCLEAR"),
        (["test"] * 60, "SPLIT_LACKS"),
        (["test", "train"] * 30, "LABEL_NOT_TAUGHT"),
    ],
)
def test_a_column_that_cannot_split_is_refused_with_the_reason(said: list[str], code: str) -> None:
    with pytest.raises(BadInput) as refusal:
        prepared("text-classification", {**texts(random.Random(1)), "جدا": said}, columns={"text": "متن", "label": "برچسب", "split": "جدا"})
    assert refusal.value.code == code
    assert refusal.value.params["column"] == "جدا"


def test_columns_of_a_further_data_set_stand_in_line_by_role_by_name_or_as_said() -> None:
    recipe = catalogue.get("text-classification")
    other = {
        "نظر": [f"دیدگاهی دیگر شمارهٔ {row} دربارهٔ چیزی" for row in range(ROWS)],
        "رده": ["الف", "ب"] * (ROWS // 2),
        "زبان": ["fa", "en"] * (ROWS // 2),
    }
    columns = [described(name, values) for name, values in other.items()]
    roles: choosing.Roles = {"text": "متن", "label": "برچسب", "split": "بخش"}
    proposed = choosing.in_line(recipe, roles, "دومی", columns, {})
    assert proposed["متن"] == "نظر" and proposed["برچسب"] in {"رده", "زبان"} and "بخش" not in proposed
    said = choosing.in_line(recipe, roles, "دومی", columns, {"label": "زبان"})
    assert said == {"متن": "نظر", "برچسب": "زبان"}
    assert choosing.in_line(recipe, {"text": "نظر", "label": "رده"}, "دومی", columns, {}) == {}
    for wanted, code in (({"label": "نیست"}, "COLUMN_MISSING"), ({"nose": "رده"}, "BAD_INPUT")):
        with pytest.raises(BadInput) as refusal:
            choosing.in_line(recipe, roles, "دومی", columns, wanted)
        assert refusal.value.code == code
    with pytest.raises(BadInput) as refusal:
        choosing.in_line(catalogue.get("tabular"), {"target": "قیمت", "features": ["رده", "سن"]}, "دومی", columns, {"target": "زبان"})
    assert (refusal.value.code, refusal.value.params["columns"]) == ("COLUMNS_DIFFER", "سن")
