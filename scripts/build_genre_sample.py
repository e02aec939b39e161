"""Make kargah/datasets/samples/genre-fa.csv again: ``python scripts/build_genre_sample.py FARSTAIL_TSV PQUAD_JSON FAWIKI_TXT HAFEZ_TXT``.

2,000 short Persian texts in four genres. Closing marks are taken off, so that no genre is given away by a dot or a question mark.
"""

import csv
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kargah.text.normalise import Normaliser, label_key

TARGET = Path(__file__).parents[1] / "kargah" / "datasets" / "samples" / "genre-fa.csv"
ROWS_EACH, SEED = 500, 14
SHORTEST, LONGEST = 30, 105
LEFT_OUT = re.compile(r"[«»()\[\]{}A-Za-z\n]|اعدام|ترور|قتل|کشتار|مجاهدین|جنسی|خودکشی|تجاوز|شکنجه")


def couplets(path: str) -> Iterator[str]:
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    yield from (f"{first} {second}" for first, second in zip(lines[::2], lines[1::2], strict=False))


def questions(path: str) -> Iterator[str]:
    for article in json.loads(Path(path).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield from (item["question"] for item in paragraph["qas"])


def sentences(path: str) -> Iterator[str]:
    yield from re.split(r"(?<=[.؟!])\s+|\n+", Path(path).read_text(encoding="utf-8"))


def statements(path: str) -> Iterator[str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        yield from (row["hypothesis"] for row in csv.DictReader(file, delimiter="\t"))


def chosen(texts: Iterable[str], seen: set[str], chance: random.Random) -> list[str]:
    """Texts of a like length, each once: no brackets, no Latin letters, nothing grim for a first look."""
    normalise = Normaliser().apply
    fit = []
    for text in texts:
        short = normalise(text).rstrip(" .؟?!؛:،")
        if SHORTEST <= len(short) <= LONGEST and not LEFT_OUT.search(short) and label_key(short) not in seen:
            seen.add(label_key(short))
            fit.append(short)
    return chance.sample(fit, ROWS_EACH)


def main(farstail: str, pquad: str, fawiki: str, hafez: str) -> None:
    chance, seen = random.Random(SEED), set[str]()
    sources = {"شعر": couplets(hafez), "پرسش": questions(pquad), "دانشنامه": sentences(fawiki), "آزمون": statements(farstail)}
    rows = [(text, genre) for genre, texts in sources.items() for text in chosen(texts, seen, chance)]
    chance.shuffle(rows)
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("متن", "گونه"), *rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
