"""What a model will see of tagged words: the pieces of each word, and the tag at the first of them, where it is learnt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kargah.recipes.token_classification.words import parted
from kargah.workers import look, statistics

if TYPE_CHECKING:
    from kargah.workers.tokens import Seer

Told = dict[str, Any]
#: Rows are read through windows, so nothing of a longer one is lost.
NOTHING_CUT = {"cut": 0, "cut_at_suggested": 0}


def told(file: Any, wish: Told, seer: "Seer", every: int, suggested: Any) -> Told:
    """Of every ``every``-th row the lengths, and the wished rows piece by piece. ``suggested``: lengths, limit → a length."""
    total, columns = file.metadata.num_rows, wish["tagged"]
    sampled = [words for words, _ in _rows(file, columns, range(0, total, every), seer)]
    sample = seer.encoded_words(sampled)
    lengths = sorted(len(found.ids) for found in sample)
    fitting = suggested(lengths, seer.limit)
    shown = range(wish["offset"], min(total, wish["offset"] + wish["limit"]))
    rows = zip(shown, _rows(file, columns, shown, seer), strict=True)
    own = [[number for number, word in zip(found.ids, found.word_ids, strict=True) if word is not None] for found in sample]
    return {
        **NOTHING_CUT,
        "total": total,
        "rows": [_row(index + 1, words, tags, seer) for index, (words, tags) in rows],
        "sampled": len(sample),
        "every": every,
        "max_length": min(int(wish["max_length"] or fitting), seer.limit),
        "suggested": fitting,
        "limit": seer.limit,
        "longest": lengths[-1] if lengths else 0,
        "words": sum(map(len, sampled)),
        "tokens": sum(map(len, own)),
        "unknown": sum(number == seer.unknown for row in own for number in row),
        "bins": statistics.bins_of(lengths),
    }


def _rows(file: Any, columns: dict[str, str], wanted: Sequence[int], seer: "Seer") -> list[tuple[list[str], list[str]]]:
    """(normalised words, tags) of each row."""
    found = look.rows_at(file, list(wanted), list(columns.values()))
    return [(seer.normalised(parted(found[index][columns["tokens"]])), parted(found[index][columns["tags"]])) for index in wanted]


def _row(number: int, words: list[str], tags: list[str], seer: "Seer") -> Told:
    (found,) = seer.encoded_words([words])
    pieces, before = [], None
    for text, piece, word in zip(seer.shown_words(found, words), found.ids, found.word_ids, strict=True):
        told = {"text": text, "id": piece, "state": "special" if word is None else "kept"}
        if word is not None and word != before and word < len(tags):
            told["tag"] = tags[word]
        pieces.append(told)
        before = word
    return {"number": number, "texts": [" ".join(words)], "changed": False, "tokens": pieces, "length": len(found.ids)}
