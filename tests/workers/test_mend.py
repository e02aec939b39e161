"""The mends of a version: each does what it says to the rows, in one order, and what is new is looked at again."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.imports import Imported, events_of, read, start_mend
from support.imports import mend as mended

from kargah.contract.fixes import ORDER, AnyFix, Fix
from kargah.kit.errors import KargahError
from kargah.recipes import catalogue
from kargah.recipes.columns import Column

CSV = (
    "متن,برچسب,قیمت\n"
    " خوب بود,مثبت,10\n"
    "بد بود,منفی,12\n"
    "بد بود,منفي,\n"
    "عالی بود,مثبت ,14\n"
    "با 09123456789 تماس بگیرید,منفی,16\n"
    "بد بود,منفی,12\n"
)


def rows(imported: Imported) -> list[tuple[Any, ...]]:
    return list(zip(*imported.table().values(), strict=True))


def fix(home: Path, content: str, *fixes: dict[str, Any]) -> Imported:
    return mended(home, read(home / "before", content), *fixes)


def test_a_mend_changes_what_it_names_and_says_how_much(tmp_path: Path) -> None:
    after = fix(tmp_path, CSV, {"kind": "merge_labels", "column": "برچسب"}, {"kind": "trim"}, {"kind": "drop_duplicates"})
    assert [row[1] for row in rows(after)] == ["مثبت", "منفی", "منفی", "مثبت", "منفی"]
    assert rows(after)[0] == ("خوب بود", "مثبت", 10)
    assert after.kinds()["قیمت"] == "integer"
    told = {entry["kind"]: entry["changed"] for entry in after.report["mended"]}
    assert told == {"trim": 2, "merge_labels": 1, "drop_duplicates": 1}
    assert not {"LABEL_VARIANTS", "OUTER_SPACES", "DUPLICATE_ROWS"} & set(after.problems)


def test_mends_are_made_in_one_order_however_they_are_asked_for(tmp_path: Path) -> None:
    wanted = [
        {"kind": "drop_duplicates"},
        {"kind": "fill_missing", "column": "قیمت", "by": "median"},
        {"kind": "merge_labels", "column": "برچسب"},
    ]
    first, second = fix(tmp_path / "1", CSV, *wanted), fix(tmp_path / "2", CSV, *reversed(wanted))
    assert first.table() == second.table()
    assert first.table()["قیمت"] == [10, 12, 14, 16]
    assert {entry.kind for entry in map(AnyFix.validate_python, wanted)} <= set(ORDER)


def test_cells_and_rows_edited_by_hand_are_those_of_the_parent(tmp_path: Path) -> None:
    edit = {"kind": "edit_rows", "edits": [{"row": 5, "column": "برچسب", "value": "مثبت"}], "deletions": [1, 6]}
    after = fix(tmp_path, CSV, edit, {"kind": "drop_missing", "columns": ["قیمت"]})
    assert rows(after) == [("بد بود", "منفی", 12), ("عالی بود", "مثبت ", 14), ("با 09123456789 تماس بگیرید", "مثبت", 16)]


@pytest.mark.parametrize(
    ("asked", "column", "expected"),
    [
        ({"kind": "mask_personal"}, "متن", "با <PHONE> تماس بگیرید"),
        ({"kind": "cap_length", "characters": 2}, "متن", "با"),
        ({"kind": "fill_missing", "column": "قیمت", "value": "۱۵"}, "قیمت", 16),
        ({"kind": "drop_classes", "column": "برچسب", "labels": ["مثبت"]}, "متن", "با 09123456789 تماس بگیرید"),
    ],
)
def test_each_mend_does_its_work(tmp_path: Path, asked: dict[str, Any], column: str, expected: object) -> None:
    assert expected in fix(tmp_path, CSV, asked).table()[column]


def test_conversations_out_of_turn_and_pairs_of_one_answer_are_taken_out(tmp_path: Path) -> None:
    def talk(*roles: str) -> dict[str, Any]:
        return {"messages": [{"role": role, "content": f"{role} {place}"} for place, role in enumerate(roles)]}

    talks = [talk("user", "assistant"), talk("user", "user", "assistant"), talk("system", "user", "assistant")]
    before = read(tmp_path / "1", "".join(f"{json.dumps(entry)}\n" for entry in talks), "chat.jsonl")
    found = before.problems["TURNS_DO_NOT_ALTERNATE"]
    assert (found["count"], found["rows"]) == (1, [2])
    after = mended(tmp_path / "1m", before, *found["fixes"])
    assert (after.result.rows, after.kinds()["messages"], "TURNS_DO_NOT_ALTERNATE" in after.problems) == (2, "messages", False)

    pairs = [{"prompt": f"پرسش {number}", "chosen": "بله", "rejected": "بله" if number == 1 else "نه"} for number in range(3)]
    before = read(tmp_path / "2", "".join(f"{json.dumps(entry)}\n" for entry in pairs), "pairs.jsonl")
    after = mended(tmp_path / "2m", before, *before.problems["SAME_ANSWERS"]["fixes"])
    assert (after.table()["prompt"], "SAME_ANSWERS" in after.problems) == (["پرسش 0", "پرسش 2"], False)


def test_a_column_of_words_with_numbers_becomes_one_of_numbers(tmp_path: Path) -> None:
    content = "وزن\n" + "".join(f"{number}\n" for number in range(40)) + "نامعلوم\nسبک\n"
    before = read(tmp_path / "before", content)
    offered = before.problems["NUMBERS_AMONG_TEXT"]["fixes"]
    assert [entry["otherwise"] for entry in offered] == ["empty", "drop"]
    kept, dropped = (mended(tmp_path / entry["otherwise"], before, entry) for entry in offered)
    assert (kept.kinds()["وزن"], kept.result.rows, kept.columns["وزن"]["nulls"]) == ("integer", 42, 2)
    assert (dropped.kinds()["وزن"], dropped.result.rows) == ("integer", 40)


def dated(*written: str) -> str:
    return "متن,تاریخ\n" + "".join(f"نظر {number} دربارهٔ خرید,{value}\n" for number, value in enumerate(written * 12))


@pytest.mark.parametrize(
    ("code", "place", "first", "rows"),
    [
        ("MIXED_CALENDARS", 0, ["2023-07-25", "2023-07-25", None, "2023-03-21T09:30", None], 60),
        ("MIXED_CALENDARS", 1, ["1402-05-03", "1402-05-03", None, "1402-01-01T09:30", None], 60),
        ("BAD_DATES", 0, ["1402-05-03", "1402-05-03", None, "1402-01-01T09:30", None], 60),
        ("BAD_DATES", 1, ["1402-05-03", "1402-05-03", "1402-01-01T09:30", "1402-05-03", "1402-05-03"], 36),
    ],
)
def test_dates_become_those_of_one_calendar_as_many_as_was_said(
    tmp_path: Path, code: str, place: int, first: list[str | None], rows: int
) -> None:
    before = read(tmp_path / "before", dated("1402/05/03", "2023-07-25", "1402/12/30", "۱۴۰۲/۰۱/۰۱ 9:30", "نامعلوم"))
    found = before.problems[code]
    after = mended(tmp_path / "after", before, found["fixes"][place])
    assert (after.table()["تاریخ"][:5], after.result.rows) == (first, rows)
    assert after.report["mended"][0]["changed"] == found["touches"][place]["count"]
    assert after.columns["تاریخ"]["meant"] == "date"
    assert not {"BAD_DATES", "MIXED_CALENDARS"} & set(after.problems)


def test_texts_of_a_wrong_encoding_are_read_again_and_those_that_lost_something_stay(tmp_path: Path) -> None:
    texts = [f"این کالا بسیار خوب بود {number}" for number in range(9)]
    broken = [text.encode().decode("cp1256") for text in texts] + ["Ø³Ù„Ø§Ù… \ufffd Ø³Ù„Ø§Ù…"]
    before = read(tmp_path / "before", "متن\n" + "\n".join(broken) + "\n")
    found = before.problems["MOJIBAKE"]
    assert (found["count"], found["params"]["repairable"], found["touches"]) == (10, 9, [{"count": 9, "is_estimate": False}])
    after = mended(tmp_path / "after", before, *found["fixes"])
    assert after.table()["متن"] == [*texts, broken[-1]]
    assert after.problems["MOJIBAKE"]["fixes"] == []


def test_a_class_is_capped_by_chance_from_the_seed(tmp_path: Path) -> None:
    content = "متن,برچسب\n" + "".join(f"نظر {number} دربارهٔ خرید,{'الف' if number % 20 else 'ب'}\n" for number in range(100))
    before = read(tmp_path / "before", content)
    found = before.problems["IMBALANCE"]
    asked = found["fixes"][0]
    assert (asked["rows"], found["touches"]) == (15, [{"count": 80, "is_estimate": False}])
    once, again, other = (
        rows(mended(tmp_path / name, before, fix)) for name, fix in (("1", asked), ("2", asked), ("3", asked | {"seed": 7}))
    )
    assert once == again != other
    assert [sum(row[1] == label for row in once) for label in ("الف", "ب")] == [15, 5]


def test_one_language_is_kept_and_texts_of_none_stay(tmp_path: Path) -> None:
    texts = [f"this is number {number}" for number in range(5)] + [f"این کالا بسیار خوب بود {number}" for number in range(20)] + ["12 34"]
    before = read(tmp_path / "before", "متن\n" + "\n".join(texts) + "\n")
    found = before.problems["LANGUAGE_MIX"]
    assert (found["fixes"][0]["languages"], found["touches"][0]) == (["persian"], {"count": 5, "is_estimate": False})
    after = mended(tmp_path / "after", before, found["fixes"][0])
    assert after.table()["متن"] == texts[5:]


PLACES = "کد,امتیاز,روز,گروه\n" + "".join(
    f"{1000 + number},{'۱۲٫۵' if number % 3 else 'نامعلوم'},1402/0{1 + number % 6}/1{number % 9},{number % 4}\n" for number in range(30)
)


@pytest.mark.parametrize(
    ("column", "to", "kind", "first"),
    [
        ("کد", "identifier", "integer", 1000),
        ("کد", "category", "category", "1000"),
        ("گروه", "text", "text", "0"),
        ("امتیاز", "number", "number", None),
        ("روز", "date", "text", "1402/01/10"),
    ],
)
def test_what_a_person_says_of_a_column_holds_through_further_mends(tmp_path: Path, column: str, to: str, kind: str, first: object) -> None:
    said = fix(tmp_path / "1", PLACES, {"kind": "set_kind", "column": column, "to": to})
    after = mended(tmp_path / "2", said, {"kind": "edit_rows", "edits": [], "deletions": [30]})
    for made in (said, after):
        assert (made.kinds()[column], made.columns[column]["meant"], made.table()[column][0]) == (kind, to, first)
        assert [name for name, told in made.columns.items() if told["meant"]] == [column]
    with pytest.raises(KargahError) as refused:
        mended(tmp_path / "3", said, {"kind": "set_kind", "column": column, "to": to})
    assert refused.value.code == "NOTHING_TO_MEND"


def test_rows_without_such_a_value_go_where_that_is_asked(tmp_path: Path) -> None:
    after = fix(tmp_path, PLACES, {"kind": "set_kind", "column": "امتیاز", "to": "number", "otherwise": "drop"})
    assert (after.table()["امتیاز"], after.report["mended"]) == ([12.5] * 20, [{"kind": "set_kind", "changed": 30}])


WIDTHS = [f"نظر شمارهٔ {number} دربارهٔ این کتاب,{'خوب' if number % 2 else 'بد'}" for number in range(12)]
WIDTHS[3:3] = ["خوب بود, بسیار خوب,خوب", "تنها", "بد, بد, بد,بد"]


def test_rows_of_another_width_come_back_as_is_wanted_whatever_was_mended_before(tmp_path: Path) -> None:
    before = read(tmp_path / "1", "متن,برچسب\n" + "\n".join(WIDTHS) + "\n")
    renamed = mended(tmp_path / "2", before, {"kind": "rename_column", "column": "متن", "to": "نظر"})
    found = renamed.problems["RAGGED_ROWS"]
    assert (found["count"], found["lines"], found["params"]["examples"][1]) == (3, [5, 6, 7], "تنها")
    assert [(fix["kind"], touched["count"]) for fix, touched in zip(found["fixes"], found["touches"], strict=True)] == [
        ("pad_rows", 1), ("join_rows", 2), ("leave_out_rows", 3),
    ]  # fmt: skip
    pad, join, leave = found["fixes"]
    joined = mended(tmp_path / "3", renamed, join)
    assert rows(joined)[12:] == [("خوب بود, بسیار خوب", "خوب"), ("بد, بد, بد", "بد")]
    assert [joined.report[name] for name in ("rows_read", "rows_dropped", "mended")] == [14, 0, [{"kind": "join_rows", "changed": 2}]]
    assert joined.problems["RAGGED_ROWS"]["lines"] == [6]
    padded, left = mended(tmp_path / "4", joined, pad), mended(tmp_path / "5", joined, leave)
    assert (rows(padded)[14:], left.table()) == ([("تنها", None)], joined.table())
    for made in (padded, left):
        assert "RAGGED_ROWS" not in made.problems
        assert not (made.folder / "ragged.jsonl").exists()


def test_rows_that_come_back_bring_nothing_of_a_dropped_column_under_a_name_that_another_has_taken(tmp_path: Path) -> None:
    lines = [f"u{number},{number}x,نظر شمارهٔ {number} دربارهٔ این کتاب" for number in range(12)]
    before = read(tmp_path / "1", "user,id,text\n" + "\n".join([*lines[:4], "u99,99x", *lines[4:]]) + "\n")
    without = mended(tmp_path / "2", before, {"kind": "drop_columns", "columns": ["id"]})
    renamed = mended(tmp_path / "3", without, {"kind": "rename_column", "column": "user", "to": "id"})
    padded = mended(tmp_path / "4", renamed, next(fix for fix in renamed.problems["RAGGED_ROWS"]["fixes"] if fix["kind"] == "pad_rows"))
    assert rows(padded)[-1] == ("u99", None)


def test_rows_that_come_back_are_of_the_types_and_the_part_of_the_others(tmp_path: Path) -> None:
    parts = {f"{part}.csv": "متن,بها,تازه\n" + "".join(f"{part} {n} و باز هم,{n},true\n" for n in range(5)) for part in ("train", "test")}
    parts["test.csv"] += "این, هم,2.5,FALSE\nتنها,نامعلوم\n"
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    before = read(tmp_path / "1", tmp_path / "parts.zip")
    found = before.problems["RAGGED_ROWS"]
    assert {fix["file"] for fix in found["fixes"]} == {"test.csv"}
    elsewhere = {**found["fixes"][0], "file": "train.csv"}
    with pytest.raises(KargahError) as refused:
        mended(tmp_path / "2", before, elsewhere)
    assert refused.value.code == "NOTHING_TO_MEND"
    after = mended(tmp_path / "3", before, *found["fixes"][:2], {"kind": "fill_missing", "column": "تازه", "by": "most_frequent"})
    assert rows(after)[10:] == [("این, هم", 2.5, False, "test"), ("تنها", None, True, "test")]
    assert (before.kinds()["بها"], after.kinds()["بها"]) == ("integer", "number")


def test_columns_named_twice_are_named_apart_or_one_goes(tmp_path: Path) -> None:
    content = "متن,متن,امتیاز\n" + "".join(f"نظر شمارهٔ {n} دربارهٔ کتاب,{n % 3},{n}\n" for n in range(12))
    before = mended(tmp_path / "1", read(tmp_path, content), {"kind": "set_kind", "column": "متن", "to": "identifier"})
    found = before.problems["DUPLICATE_HEADERS"]
    apart, without = (mended(tmp_path / fix["kind"], before, fix) for fix in found["fixes"])
    assert (list(apart.columns), list(without.columns)) == (["متن_1", "متن_2", "امتیاز"], ["متن", "امتیاز"])
    assert (apart.columns["متن_1"]["meant"], apart.kinds()["متن_1"]) == ("identifier", "text")
    for made, touched in zip((apart, without), found["touches"], strict=True):
        assert made.report["mended"][0]["changed"] == touched["count"]
        assert "DUPLICATE_HEADERS" not in made.problems
    both = [{"kind": "rename_column", "column": "متن_2", "to": "نمره"}, {"kind": "split", "stratify": "متن_2", "test_share": 0.5}]
    made = mended(tmp_path / "4", before, *both)
    assert list(made.columns) == ["متن", "نمره", "امتیاز", "split"]


def test_a_split_is_the_same_for_the_same_seed_and_keeps_groups_and_shares(tmp_path: Path) -> None:
    content = "متن,برچسب,نویسنده\n" + "".join(
        f"نوشتهٔ شمارهٔ {number},{'الف' if number % 4 else 'ب'},{number // 2}\n" for number in range(400)
    )
    asked = {"kind": "split", "stratify": "برچسب", "group": "نویسنده", "validation_share": 0.2, "test_share": 0.1}
    made = fix(tmp_path / "1", content, asked)
    once, again = made.table(), fix(tmp_path / "2", content, asked).table()
    other = fix(tmp_path / "3", content, {**asked, "seed": 7}).table()
    assert once == again
    assert once["split"] != other["split"]
    parts = dict(zip(once["نویسنده"], once["split"], strict=True))
    assert [parts[writer] for writer in once["نویسنده"]] == once["split"]
    assert abs(once["split"].count("validation") - 80) <= 6
    assert abs(once["split"].count("test") - 40) <= 6
    assert catalogue.guess([Column.model_validate(column) for column in made.result.columns])[0][1].columns["split"] == "split"


def test_test_rows_that_training_has_seen_are_found_and_taken_out(tmp_path: Path) -> None:
    lines = [f"جملهٔ شمارهٔ {number} است,الف,train" for number in range(10)] + ["جمله‌ٔ   شماره‌ٔ 3 است,الف,test", "چیز دیگر,ب,test"]
    before = read(tmp_path / "before", "متن,برچسب,بخش\n" + "\n".join(lines) + "\n")
    leaked = before.problems["LEAKED_ROWS"]
    assert (leaked["count"], leaked["rows"]) == (1, [11])
    after = mended(tmp_path, before, *leaked["fixes"])
    assert after.result.rows == 11
    assert "LEAKED_ROWS" not in after.problems


@pytest.mark.parametrize(
    ("asked", "code"),
    [({"kind": "strip_hidden"}, "NOTHING_TO_MEND"), ({"kind": "drop_classes", "column": "x", "labels": ["1"]}, "NO_ROWS_LEFT")],
)
def test_a_mend_that_would_change_nothing_or_leave_nothing_makes_no_version(tmp_path: Path, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(KargahError) as refused:
        fix(tmp_path, "x\n1\n1\n", asked)
    assert refused.value.code == code


def test_a_mending_process_ends_with_its_result(tmp_path: Path) -> None:
    fixes: list[Fix] = [AnyFix.validate_python({"kind": "trim"})]
    directory = start_mend(tmp_path, read(tmp_path / "before", CSV), fixes)
    events = events_of(directory)
    assert [events[0].kind, events[-1].kind] == ["Started", "Finished"]
