"""What is kept of each row of an evaluation, as a file: a Parquet table of some bytes a row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kargah.recipes.measures import FloatArray, IntArray
from kargah.recipes.outcomes import Outcomes

#: Beyond it nothing is kept: ten million rows of one label, or a hundred thousand of two hundred.
MOST_NUMBERS = 20_000_000
_ROW, _EXPECTED, _RIGHT = "row", "expected", "right"


@dataclass(frozen=True)
class Kept:
    """``rows``: their numbers, ascending. ``expected``: a digest of what is right in each, as the data have it; ``right``: 0 or 1, where
    answers are right or wrong and nothing between."""

    rows: IntArray
    expected: FloatArray
    outcomes: Outcomes
    right: FloatArray | None = None

    def of(self, places: IntArray) -> "Kept":
        right = None if self.right is None else self.right[places]
        return Kept(self.rows[places], self.expected[places], self.outcomes.of(places), right)


def digests(answers: Sequence[Sequence[Any]]) -> FloatArray:
    """Of the cells of each row, whichever model they are to be held against."""
    told = (json.dumps(cells, ensure_ascii=False, sort_keys=True, default=str).encode("utf-8", "replace") for cells in answers)
    return np.array([int.from_bytes(blake2b(cells, digest_size=8).digest(), "little") for cells in told], dtype=np.uint64)


def write(path: Path, kept: Kept) -> bool:
    """Returns whether it was: too much is not kept."""
    if kept.outcomes.numbers > MOST_NUMBERS:
        return False
    arrays = {_ROW: pa.array(kept.rows), _EXPECTED: pa.array(kept.expected)}
    arrays |= {} if kept.right is None else {_RIGHT: pa.array(kept.right.astype(np.int8))}
    arrays |= {f".{name}": _arrow(column) for name, column in kept.outcomes.columns.items()}
    about = {"form": kept.outcomes.form, "about": kept.outcomes.about}
    table = pa.table(arrays).replace_schema_metadata({"kargah": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")
    return True


def read(path: Path) -> Kept:
    table = pq.read_table(path, use_threads=False).combine_chunks()
    told = json.loads(table.schema.metadata[b"kargah"])
    columns = {name[1:]: _numbers(table.column(name)) for name in table.column_names if name.startswith(".")}
    right = _numbers(table.column(_RIGHT)) if _RIGHT in table.column_names else None
    return Kept(_numbers(table.column(_ROW)), _numbers(table.column(_EXPECTED)), Outcomes(told["form"], columns, told["about"]), right)


def _arrow(column: FloatArray) -> Any:
    if column.ndim == 1:
        return pa.array(column)
    return pa.FixedSizeListArray.from_arrays(pa.array(column.ravel()), column.shape[1])


def _numbers(column: Any) -> FloatArray:
    """[rows] or, of lists of one length, [rows, numbers]."""
    if not pa.types.is_fixed_size_list(column.type):
        return np.asarray(column.to_numpy())
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    return flat.reshape(-1, column.type.list_size)
