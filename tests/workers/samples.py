"""Small made-up data with a signal in it, the same at every call."""

import random
from typing import Any

_GOOD = ["خوب", "عالی", "زیبا", "راضی", "محشر", "دلنشین"]
_BAD = ["بد", "افتضاح", "زشت", "ناراضی", "خراب", "کند"]
_OTHER = ["گوشي", "كتاب", "فیلم", "غذا", "سفر", "بسته", "رنگ", "دوربین", "باتری", "می‌رسد", "است", "بود", "واقعا", "این", "آن"]


def sentiments(rows: int, seed: int = 3) -> dict[str, list[Any]]:
    """Sentences with one telling word, label ``خوب`` or ``بد``; Arabic yeh and kaf and half-spaces among the letters."""
    generator = random.Random(seed)
    texts, labels = [], []
    for number in range(rows):
        good = number % 2 == 0
        words = [*generator.sample(_OTHER, 4), generator.choice(_GOOD if good else _BAD)]
        generator.shuffle(words)
        texts.append(f"{' '.join(words)} {number}")
        labels.append("خوب" if good else "بد")
    return {"text": texts, "label": labels}


def table(rows: int, seed: int = 5) -> dict[str, list[Any]]:
    """Persian headers; ``قیمت`` from متراژ and محله, with gaps."""
    generator = random.Random(seed)
    areas = [generator.randint(40, 200) for _ in range(rows)]
    places = [generator.choice(["ونک", "تجریش", "نارمک"]) for _ in range(rows)]
    worth = {"ونک": 2.0, "تجریش": 3.0, "نارمک": 1.0}
    prices = [area * worth[place] + generator.gauss(0, 3) for area, place in zip(areas, places, strict=True)]
    gaps: list[Any] = [None if generator.random() < 0.05 else area for area in areas]
    return {"متراژ": gaps, "محله": places, "قیمت": prices}
