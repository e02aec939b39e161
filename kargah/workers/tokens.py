"""``python -m kargah.workers.tokens WISH``: what a model will see of a table's texts, as JSON on the standard output.

The tokenizer is loaded as a training loads it, the texts are normalised as a training normalises them. A process of its own
for as long as one look takes; torch is never needed.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kargah.kit import files
from kargah.kit.errors import KargahError
from kargah.recipes.errors import NoTokenizer, TrainingNotInstalled
from kargah.recipes.table import as_label, normaliser_of
from kargah.workers import look, statistics

#: So many rows, evenly spaced, tell of lengths and shares.
SAMPLE_ROWS = 2000
#: A suggested length holds this share of the sample whole where the model takes so much, and is a multiple of eight.
WHOLE_SHARE, MULTIPLE = 0.99, 8
#: Tokenizers without a limit of their own say a number beyond all bounds.
UNLIMITED = 1_000_000
LONGEST_TEXT = 20_000
Wish = dict[str, Any]


def main(wish: Wish) -> dict[str, Any]:
    """``wish``: path, texts (column names), label (a column or null), classes (its values, where those are few), normaliser,
    model_files {name: path}, max_length (or null), offset, limit; of conversations also ``talk``, of tagged words ``tagged``: the
    column of each role."""
    with tempfile.TemporaryDirectory() as folder:
        for name, source in wish["model_files"].items():
            target = files.safe_join(Path(folder), *Path(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        if wish.get("talk"):
            return _of_talks(wish, Path(folder))
        seer = Seer(Path(folder), wish["normaliser"], len(wish["texts"]))
    with pq.ParquetFile(wish["path"]) as file:
        return _of_tags(file, wish, seer) if wish.get("tagged") else _told(file, wish, seer)


def _of_talks(wish: Wish, folder: Path) -> dict[str, Any]:
    from kargah.workers import talk_tokens

    seer = talk_tokens.TalkSeer(folder, wish["normaliser"])
    with pq.ParquetFile(wish["path"]) as file:
        every = max(1, -(-file.metadata.num_rows // SAMPLE_ROWS))
        return talk_tokens.told(file, wish, seer, every, _limit(seer.about, seer.vocabulary.tokenizer), _suggested)


def _of_tags(file: Any, wish: Wish, seer: "Seer") -> dict[str, Any]:
    from kargah.workers import tag_tokens

    return tag_tokens.told(file, wish, seer, max(1, -(-file.metadata.num_rows // SAMPLE_ROWS)), _suggested)


class Seer:
    """Texts of a row → the normalised texts, and their tokens with what becomes of each."""

    def __init__(self, folder: Path, normaliser: dict[str, Any] | None, fields: int) -> None:
        from kargah.recipes.tokenizing import base_tokenizer, load_tokenizer

        about = files.read_json(folder / "config.json") if (folder / "config.json").exists() else {}
        self._own = about.get("architectures") == ["KargahTextNetwork"]
        if self._own and not (folder / "tokenizer.json").exists():
            raise NoTokenizer(field="model", reason=str(about.get("preset")))
        settings = files.read_json(folder / "tokenizer_config.json") if self._own else {}
        tokenizer: Any = load_tokenizer(folder) if self._own else base_tokenizer(folder, normaliser, pads=False)
        self._backend: Any = tokenizer if self._own else tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        #: Their tokens are bytes in disguise, which nobody reads: the letters that they stand for are shown.
        self._in_bytes = type(self._backend.decoder).__name__ == "ByteLevel"
        self._normaliser = normaliser_of(normaliser)
        self._fields = fields
        self.limit = int(settings["model_max_length"]) if self._own else _limit(about, tokenizer)
        self.side = "right" if self._own else tokenizer.truncation_side
        unknown = None if self._own else tokenizer.unk_token_id
        self.unknown = self._backend.token_to_id("[UNK]") if self._own else unknown

    def normalised(self, texts: Sequence[str]) -> list[str]:
        cut = (text[:LONGEST_TEXT] for text in texts)
        return [self._normaliser.apply(text) if self._normaliser else text for text in cut]

    def encoded(self, rows: Sequence[Sequence[str]]) -> list[Any]:
        """One encoding a row with all its tokens; our own small networks read each field by itself and without special tokens."""
        inputs = [row[0] if len(row) == 1 else tuple(row) for row in rows]
        return list(self._backend.encode_batch(inputs, add_special_tokens=not self._own))

    def encoded_words(self, rows: Sequence[Sequence[str]]) -> list[Any]:
        """Of rows whose words came apart."""
        inputs = [[word or str(self._backend.id_to_token(self.unknown)) for word in row] for row in rows]
        return list(self._backend.encode_batch(inputs, is_pretokenized=True, add_special_tokens=not self._own))

    def shown_words(self, encoding: Any, words: Sequence[str]) -> list[str]:
        """The pieces for people."""
        if not self._in_bytes:
            return list(encoding.tokens)
        places = zip(encoding.tokens, encoding.offsets, encoding.word_ids, strict=True)
        return [token if word is None else words[word][start:end] or token for token, (start, end), word in places]

    def shown(self, encoding: Any, texts: Sequence[str]) -> list[str]:
        """The tokens for people."""
        if not self._in_bytes:
            return list(encoding.tokens)
        places = zip(encoding.tokens, encoding.offsets, encoding.sequence_ids, strict=True)
        return [token if field is None else texts[field][start:end] or token for token, (start, end), field in places]

    def kept(self, row: Sequence[str], max_length: int) -> list[int]:
        """How many tokens of each field are left, as the tokenizer itself cuts."""
        if self._own:
            return [min(max_length, len(encoding.ids)) for encoding in self.encoded([[text] for text in row])]
        self._backend.enable_truncation(max_length, direction=self.side)
        try:
            cut = self.encoded([row])[0]
        finally:
            self._backend.no_truncation()
        return [sum(place == field for place in cut.sequence_ids) for field in range(self._fields)]

    def cuts(self, encoding: Any, max_length: int) -> bool:
        if not self._own:
            return len(encoding.ids) > max_length
        return any(sum(place == field for place in encoding.sequence_ids) > max_length for field in range(self._fields))


def _limit(about: dict[str, Any], tokenizer: Any) -> int:
    """Tokens that a text may have, special ones included: by the tokenizer, else by the room for positions."""
    positions = about.get("max_position_embeddings")
    reserved = 2 if about.get("model_type") in ("roberta", "xlm-roberta", "camembert") else 0
    limits = [tokenizer.model_max_length, (positions or UNLIMITED) - reserved]
    known = [int(limit) for limit in limits if limit and limit < UNLIMITED]
    return min(known) if known else 512


def _told(file: Any, wish: Wish, seer: Seer) -> dict[str, Any]:
    total, names = file.metadata.num_rows, wish["texts"]
    every = max(1, -(-total // SAMPLE_ROWS))
    texts = [seer.normalised(row) for row in _texts(file, names, range(0, total, every))]
    sample = seer.encoded(texts)
    lengths = sorted(len(encoding.ids) for encoding in sample)
    suggested = _suggested(lengths, seer.limit)
    max_length = min(int(wish["max_length"] or suggested), seer.limit)
    own = [[token for token, field in zip(row.ids, row.sequence_ids, strict=True) if field is not None] for row in sample]
    shown = range(wish["offset"], min(total, wish["offset"] + wish["limit"]))
    rows = [_row(index, row, seer, max_length) for index, row in zip(shown, _texts(file, names, shown), strict=True)]
    if wish["label"]:
        _add_labels(file, rows, wish["label"], wish["classes"])
    return {
        "total": total,
        "rows": rows,
        "sampled": len(sample),
        "every": every,
        "max_length": max_length,
        "suggested": suggested,
        "limit": seer.limit,
        "longest": lengths[-1] if lengths else 0,
        "cut": sum(seer.cuts(encoding, max_length) for encoding in sample),
        "cut_at_suggested": sum(seer.cuts(encoding, suggested) for encoding in sample),
        "words": sum(len(text.split()) for row in texts for text in row),
        "tokens": sum(map(len, own)),
        "unknown": sum(token == seer.unknown for row in own for token in row),
        "bins": statistics.bins_of(lengths),
    }


def _texts(file: Any, names: list[str], wanted: range) -> list[list[str]]:
    rows = look.rows_at(file, list(wanted), names)
    return [["" if rows[index][name] is None else str(rows[index][name]) for name in names] for index in wanted]


def _suggested(lengths: list[int], limit: int) -> int:
    if not lengths:
        return min(MULTIPLE, limit)
    enough = lengths[min(len(lengths) - 1, int(WHOLE_SHARE * len(lengths)))]
    return min(limit, max(MULTIPLE, -(-enough // MULTIPLE) * MULTIPLE))


def _row(index: int, texts: list[str], seer: Seer, max_length: int) -> dict[str, Any]:
    normalised = seer.normalised(texts)
    encoding = seer.encoded([normalised])[0]
    left = seer.kept(normalised, max_length)
    lengths = [sum(place == field for place in encoding.sequence_ids) for field in range(len(texts))]
    seen, tokens = [0] * len(texts), []
    for text, number, field in zip(seer.shown(encoding, normalised), encoding.ids, encoding.sequence_ids, strict=True):
        state = "special"
        if field is not None:
            first = lengths[field] - left[field] if seer.side == "left" else 0
            state = "kept" if first <= seen[field] < first + left[field] else "cut"
            seen[field] += 1
        tokens.append({"text": text, "id": number, "state": state})
    return {"number": index + 1, "texts": normalised, "changed": normalised != texts, "tokens": tokens, "length": len(encoding.ids)}


def _add_labels(file: Any, rows: list[dict[str, Any]], column: str, classes: list[str]) -> None:
    """With the ids that a training gives them."""
    from kargah.recipes.labels import ordered

    ids = {name: number for number, name in enumerate(ordered([(name,) for name in classes]))}
    values = look.rows_at(file, [row["number"] - 1 for row in rows], [column])
    for row in rows:
        name = as_label(values[row["number"] - 1][column])
        row |= {"label": name, "label_id": ids.get(name) if name is not None else None}


def run(wish: Wish) -> dict[str, Any]:
    """What is refused is told as {code, params}."""
    try:
        return main(wish)
    except KargahError as refusal:
        return {"refused": refusal.as_dict()}
    except ModuleNotFoundError as missing:
        return {"refused": TrainingNotInstalled(missing=missing.name or "", extra="train").as_dict()}


if __name__ == "__main__":
    os.nice(5)
    pa.set_cpu_count(1)
    sys.stdout.buffer.write(json.dumps(run(json.loads(sys.argv[1])), ensure_ascii=False).encode("utf-8", "replace"))
