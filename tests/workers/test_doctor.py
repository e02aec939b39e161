"""The data doctor: each kind of trouble is found where it is, with what would mend it, and none where there is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.imports import DATA, Imported, needs_data, read

from kargah.contract.fixes import AnyFix
from kargah.workers.doctor import personal
from kargah.workers.doctor.sequences import alternates, repaired

TOPICS = ("کیفیت ساخت این گوشی", "ارسال بسته به شهر ما", "پشتیبانی تلفنی فروشگاه", "رنگ و اندازهٔ کفش", "طعم و بوی چای")
VERDICTS = (("عالی و بی‌نقص بود", "مثبت"), ("بسیار ناامیدکننده بود", "منفی"))


def clean(count: int = 60) -> list[tuple[str, str]]:
    """Different texts with two labels."""
    found = []
    for number in range(count):
        verdict, label = VERDICTS[number % 2]
        found.append((f"{TOPICS[number % 5]} در خرید {number} {'ماه پیش' * (number % 3)} {verdict}", label))
    return found


def table(rows: list[tuple[Any, ...]], names: str = "متن,برچسب") -> str:
    return "\n".join([names, *(",".join(str(cell) for cell in row) for row in rows)]) + "\n"


def test_nothing_is_said_of_data_that_is_in_order(tmp_path: Path) -> None:
    assert read(tmp_path, table(clean())).problems == {}


@pytest.mark.parametrize(
    ("spoil", "code", "count", "rows", "fix"),
    [
        (lambda rows: [(f" {rows[0][0]}", rows[0][1]), *rows[1:]], "OUTER_SPACES", 1, [1], "trim"),
        (lambda rows: [*rows, (rows[3][0].replace("ی", "ي"), rows[3][1])], "NEAR_DUPLICATES", 1, [61], "drop_duplicates"),
        (lambda rows: [*rows, (rows[3][0], "مثبت")], "CONFLICTING_LABELS", 1, [61], "drop_conflicts"),
        (lambda rows: [*rows, ("بسیار " * 900 + "خوب", "مثبت")], "VERY_LONG", 1, [61], "cap_length"),
        (lambda rows: [*rows, ("نشانی من ali@example.org است", "مثبت")], "PERSONAL_EMAIL", 1, [61], "mask_personal"),
        (lambda rows: [*rows, ("۰۹۱۲۳۴۵۶۷۸۹ شمارهٔ من است", "منفی")], "PERSONAL_PHONE", 1, [61], "mask_personal"),
        (lambda rows: [*rows, ("کارت 6037-9911-2345-6786 را ببینید", "منفی")], "PERSONAL_CARD", 1, [61], "mask_personal"),
        (lambda rows: [*rows, ("کد ملی ۱۲۳۴۵۶۷۸۹۱ ثبت شد", "منفی")], "PERSONAL_NATIONAL_ID", 1, [61], "mask_personal"),
        (
            lambda rows: [row for row in rows if row[1] == "مثبت"] + [row for row in rows if row[1] == "منفی"][:2],
            *("IMBALANCE", 2, [], "cap_classes"),
        ),
    ],
)
def test_what_is_wrong_is_found_with_its_rows_and_a_mend(
    tmp_path: Path, spoil: Any, code: str, count: int, rows: list[int], fix: str
) -> None:
    found = read(tmp_path, table(spoil(clean()))).problems[code]
    assert (found["count"], found["rows"]) == (count, rows)
    assert [entry["kind"] for entry in found["fixes"]] == ([fix] if fix else [])
    for entry in found["fixes"]:
        AnyFix.validate_python(entry)


def test_a_column_that_decides_the_label_is_named(tmp_path: Path) -> None:
    rows = [(number, text, 7 if label == "مثبت" else 3, label) for number, (text, label) in enumerate(clean(40))]
    problems = read(tmp_path, table(rows, "شناسه,متن,کد_برچسب,برچسب")).problems
    assert problems["LEAKING_COLUMN"]["columns"] == ["کد_برچسب"]
    assert problems["LOOKS_LIKE_ID"]["columns"] == ["شناسه"]


def test_a_number_that_follows_the_target_is_named_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    rows = [(number % 17 + number / 7, (number * 7919) % 101, 3 * (number % 17 + number / 7) + 2) for number in range(60)]
    problems = read(tmp_path, table(rows, "a,b,price")).problems
    assert problems["LEAKING_COLUMN"]["columns"] == ["a"]


def test_a_pair_whose_second_text_tells_the_label_alone_is_said_so(tmp_path: Path) -> None:
    def pairs(tell: bool) -> list[tuple[str, str, str]]:
        signs = ("هرگز چنین نیست", "به‌یقین چنین است")
        return [
            (f"{TOPICS[n % 5]} در سال {1300 + n}", f"{TOPICS[n % 3]} {n} {signs[n % 2 if tell else (n // 7) % 2]}", ("no", "yes")[n % 2])
            for n in range(300)
        ]

    names = "premise,hypothesis,label"
    assert read(tmp_path / "tells", table(pairs(True), names)).problems["ONE_SIDE_TELLS"]["columns"] == ["hypothesis"]
    assert "ONE_SIDE_TELLS" not in read(tmp_path / "not", table(pairs(False), names)).problems


def test_texts_in_two_languages_are_counted(tmp_path: Path) -> None:
    rows = [*clean(40), *((f"the delivery of order {number} was late and nobody answered", "منفی") for number in range(10))]
    found = read(tmp_path, table(rows)).problems["LANGUAGE_MIX"]
    assert found["params"]["languages"] == {"persian": 80.0, "latin": 20.0}
    assert found["rows"][0] == 41


def test_problems_are_told_while_the_file_is_still_read(tmp_path: Path) -> None:
    imported = read(tmp_path, table([(" x", "a")] * 5))
    events = events_of_attempt(imported)
    told = [event["params"]["found"] for event in events if event["kind"] == "Logged"]
    assert set(told) <= {problem["code"] for problem in imported.report["problems"]}
    assert "DUPLICATE_ROWS" in told


def events_of_attempt(imported: Imported) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (imported.folder.parent.parent / "events.jsonl").read_text().splitlines()]


def test_personal_data_is_masked_where_it_stands_and_nothing_else() -> None:
    text = (
        "کد ملی ۱۲۳۴۵۶۷۸۹۱، کارت 6037 9911 2345 6786، تلفن +98 912 345 6789، ali@example.org، "
        "شبا IR820540102680020817909002، سفارش 1234567890"
    )
    masked = "کد ملی <NATIONAL_ID>، کارت <CARD>، تلفن <PHONE>، <EMAIL>، شبا <IBAN>، سفارش 1234567890"
    assert personal.mask(text) == masked
    assert personal.mask(masked) == masked
    assert personal.mask(text, ["email"]) == text.replace("ali@example.org", "<EMAIL>")


@pytest.mark.parametrize(
    "plain", ["1234567890", "تاریخ 1402/05/06", "6037991123456789", "12345678901234567890", "a@b", "قیمت 09٬000٬000 ریال"]
)
def test_numbers_that_only_look_like_somebodys_are_left(plain: str) -> None:
    assert personal.mask(plain) == plain


def test_personal_data_is_found_in_whatever_part_of_a_long_table_it_stands(tmp_path: Path) -> None:
    rows = clean(45_000)
    places = (1, 15_000, 29_999, 45_000)
    for place in places:
        rows[place - 1] = f"شمارهٔ {place} من ۰۹۱۲۳۴۵۶۷۸۹", rows[place - 1][1]
    found = read(tmp_path, table(rows)).problems["PERSONAL_PHONE"]
    assert (found["count"], found["rows"]) == (len(places), list(places))


def test_tags_are_repaired_and_turns_are_judged() -> None:
    assert repaired(["O", "I-PER", "I-PER", "O", "B-LOC", "I-ORG"]) == ["O", "B-PER", "I-PER", "O", "B-LOC", "B-ORG"]
    assert alternates(["system", "user", "assistant", "user"])
    assert not alternates(["user", "user"])
    assert not alternates(["assistant", "user"])


@needs_data
def test_the_real_reviews_have_the_troubles_that_they_are_known_for(tmp_path: Path) -> None:
    problems = read(tmp_path, DATA / "sentiment-deepsentipers" / "train.csv").problems
    assert {"DUPLICATE_ROWS", "CONFLICTING_LABELS", "NEAR_DUPLICATES", "IMBALANCE", "OUTER_SPACES"} <= problems.keys()
    assert not {code for code in problems if code.startswith("PERSONAL_")}
