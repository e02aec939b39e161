"""``python -m kargah.workers.look WISH``: some rows of a table, or all of them as a file, on the standard output.

A process of its own for as long as one look takes: the web process reads no tables. Memory is bounded by one row group and,
when sorting, by the first characters of one column. Rows are numbered from 1 as they stand in the table.
"""

import csv
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kargah.workers import statistics

SORTED_CHARACTERS = 48
EXAMPLES, EXAMPLE_CHARACTERS = 5, 300
#: Letters and digits that are one to a reader; between any two of a text's characters such marks may stand.
_ALIKE = ("یيىئ", "کك", "هةۀ", "اأإآٱ", "وؤ", *(f"{digit}{chr(0x6F0 + digit)}{chr(0x660 + digit)}" for digit in range(10)))
_MARKS = "\u0640\u064b-\u065f\u0670\u200b-\u200f\u202a-\u202e\u2066-\u2069"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Wish = dict[str, Any]


def main(wish: Wish, out: BinaryIO) -> None:
    """``wish``: path; then ``other`` (an earlier version's path), ``statistics``, ``format`` (csv, jsonl), or offset, limit, sort,
    descending, column, contains, longest; ``order``: a file for the order that sorting or searching gives, of which ``orders`` are kept."""
    with pq.ParquetFile(wish["path"]) as file:
        if "other" in wish:
            with pq.ParquetFile(wish["other"]) as other:
                _say(out, difference(other, file))
        elif "statistics" in wish:
            _say(out, statistics.of_columns(file))
        elif wish.get("format") == "csv":
            _write(out, _csv(file))
        elif wish.get("format") == "jsonl":
            _write(out, _json_lines(file))
        else:
            _say(out, look(file, wish))


def _say(out: BinaryIO, found: Any) -> None:
    out.write(json.dumps(found, ensure_ascii=False, default=str).encode("utf-8", "replace"))


def look(file: Any, wish: Wish) -> dict[str, Any]:
    """{total, rows: [{number, cells}]}: ``total`` is of the rows that the filter lets through."""
    offset, limit = int(wish.get("offset", 0)), int(wish.get("limit", 50))
    if not wish.get("sort") and not wish.get("contains"):
        total = file.metadata.num_rows
        wanted = list(range(offset, min(total, offset + limit)))
    else:
        order = _known_order(wish)
        if order is None:
            order = _order(file, wish)
            _keep_order(wish, order)
        total = len(order)
        wanted = order.slice(offset, limit).to_pylist()
    longest = int(wish.get("longest", 2000))
    return {"total": total, "rows": _shown(rows_at(file, wanted), wanted, longest)}


def difference(before: Any, after: Any) -> dict[str, Any]:
    """{added, removed, kept, columns_added, columns_removed, examples_added, examples_removed}: rows compared as wholes, over the
    columns that both have, however they are ordered; a row that was changed is one removed and one added."""
    names = [name for name in before.schema_arrow.names if name in set(after.schema_arrow.names)]
    added, added_rows = _unmatched(after, names, Counter(_row_keys(before, names)))
    removed, removed_rows = _unmatched(before, names, Counter(_row_keys(after, names)))
    return {
        "added": added,
        "removed": removed,
        "kept": after.metadata.num_rows - added,
        "columns_added": [name for name in after.schema_arrow.names if name not in names],
        "columns_removed": [name for name in before.schema_arrow.names if name not in names],
        "examples_added": _numbered(after, added_rows),
        "examples_removed": _numbered(before, removed_rows),
    }


def _row_keys(file: Any, names: list[str]) -> Iterator[int]:
    """A number for each row that is the same for the same cells; some 100 bytes of memory a different row."""
    for batch in file.iter_batches(columns=names):
        columns = [column.to_pylist() for column in batch.columns] if names else [[None] * batch.num_rows]
        for row in zip(*columns, strict=True):
            yield hash(repr(row))


def _unmatched(file: Any, names: list[str], others: Counter[int]) -> tuple[int, list[int]]:
    """How many rows have no like among the others, each of which is one row's like; and the indices of the first."""
    count = 0
    first: list[int] = []
    for index, key in enumerate(_row_keys(file, names)):
        if others[key] > 0:
            others[key] -= 1
            continue
        count += 1
        if len(first) < EXAMPLES:
            first.append(index)
    return count, first


def _numbered(file: Any, wanted: list[int]) -> list[dict[str, Any]]:
    return _shown(rows_at(file, wanted), wanted, EXAMPLE_CHARACTERS)


def _order(file: Any, wish: Wish) -> Any:
    """The indices of the rows that pass, in the order that was asked for; without a value last."""
    names = [name for name in (wish.get("sort"), wish.get("column")) if name]
    pattern, found, keys, first = _pattern(str(wish.get("contains") or "")), [], [], 0
    for batch in file.iter_batches(columns=list(dict.fromkeys(names)) or None):
        indices = pa.array(range(first, first + batch.num_rows), pa.int64())
        first += batch.num_rows
        mask = _contains(batch, wish.get("column"), pattern) if pattern else None
        found.append(indices if mask is None else indices.filter(mask))
        if wish.get("sort"):
            key = _sortable(batch.column(wish["sort"]))
            keys.append(key if mask is None else key.filter(mask))
    order = pa.chunked_array(found, pa.int64()).combine_chunks() if found else pa.array([], pa.int64())
    if not wish.get("sort"):
        return order
    by = pa.table({"key": pa.chunked_array(keys)})
    return order.take(pc.sort_indices(by, sort_keys=[("key", "descending" if wish.get("descending") else "ascending")]))


def _known_order(wish: Wish) -> Any:
    """The order of an earlier page of the same look; null where none is kept."""
    if not wish.get("order") or not Path(wish["order"]).exists():
        return None
    with pa.memory_map(wish["order"]) as source, pa.ipc.open_file(source) as kept:
        os.utime(wish["order"])
        return kept.get_batch(0).column(0)


def _keep_order(wish: Wish, order: Any) -> None:
    """Beside the newest others; no room for it is no harm."""
    if not wish.get("order"):
        return
    path, schema = Path(wish["order"]), pa.schema([("order", pa.int64())])
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(temporary), "wb") as target, pa.ipc.new_file(target, schema) as file:
            file.write_batch(pa.record_batch([order], schema=schema))
        temporary.replace(path)
        others = sorted(path.parent.glob("*.arrow"), key=lambda kept: kept.stat().st_mtime, reverse=True)
        for old in others[int(wish["orders"]) :]:
            old.unlink(missing_ok=True)
    except OSError:
        temporary.unlink(missing_ok=True)


def _contains(batch: Any, column: str | None, pattern: str) -> Any:
    """Rows where the pattern is in the column, in any when none is named."""
    columns = [batch.column(column)] if column else batch.columns
    masks = [pc.fill_null(pc.match_substring_regex(_as_text(values), pattern, ignore_case=True), False) for values in columns]
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found


def _pattern(words: str) -> str:
    """Finds the words however they are spelt: one look at each value, where folding would be a dozen."""
    parts = []
    for character in re.sub(f"[{_MARKS}]", "", words).strip():
        alike = next((group for group in _ALIKE if character in group), None)
        parts.append(f"[{alike}]" if alike else r"\s" if character.isspace() else re.escape(character))
    return f"[{_MARKS}]*".join(parts)


def _as_text(values: Any) -> Any:
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_nested(values.type):
        return pa.array([None if value is None else _plain(value) for value in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def _sortable(values: Any) -> Any:
    if pa.types.is_nested(values.type):
        values = _as_text(values)
    return pc.utf8_slice_codeunits(values, 0, SORTED_CHARACTERS) if pa.types.is_string(values.type) else values


def rows_at(file: Any, wanted: list[int], columns: list[str] | None = None) -> dict[int, dict[str, Any]]:
    """The rows at these indices; only the row groups that hold one are read, and only these columns."""
    found: dict[int, dict[str, Any]] = {}
    first = 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        here = sorted(index for index in wanted if first <= index < end)
        if here:
            rows = file.read_row_group(group, columns=columns).take([index - first for index in here]).to_pylist()
            found.update(zip(here, rows, strict=True))
        first = end
    return found


def _shown(rows: dict[int, dict[str, Any]], order: list[int], longest: int) -> list[dict[str, Any]]:
    return [{"number": index + 1, "cells": {name: _cut(cell, longest) for name, cell in rows[index].items()}} for index in order]


def _cut(cell: Any, longest: int) -> Any:
    if isinstance(cell, dict | list):
        cell = [item if isinstance(item, str) else _plain(item) for item in cell] if isinstance(cell, list) else _plain(cell)
    return f"{cell[:longest]}…" if isinstance(cell, str) and len(cell) > longest else cell


def _csv(file: Any) -> Iterator[str]:
    """For Excel: with a mark at the beginning, and no cell that would be taken for a formula."""
    yield "\ufeff"
    yield _csv_lines([[_harmless(name) for name in file.schema_arrow.names]])
    for batch in file.iter_batches():
        columns = [column.to_pylist() for column in batch.columns]
        yield _csv_lines([[_harmless(cell) for cell in row] for row in zip(*columns, strict=True)])


def _csv_lines(rows: list[list[Any]]) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue()


def _harmless(cell: Any) -> Any:
    if isinstance(cell, dict | list):
        return _plain(cell)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _json_lines(file: Any) -> Iterator[str]:
    for batch in file.iter_batches():
        yield "".join(f"{_plain(row)}\n" for row in batch.to_pylist())


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda other: f"<{len(other)} bytes>" if isinstance(other, bytes) else str(other))


def _write(out: BinaryIO, parts: Iterator[str]) -> None:
    for part in parts:
        out.write(part.encode("utf-8", "replace"))


if __name__ == "__main__":
    os.nice(5)
    pa.set_cpu_count(1)
    main(json.loads(sys.argv[1]), sys.stdout.buffer)
