"""How the values of a column are spread, and the lengths of its texts: read once, a column at a time, with pyarrow alone."""

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

BINS = 16
#: Of more values than these, evenly spaced ones tell of the spread; count, mean and extremes are always those of all.
MOST_VALUES = 1_000_000
#: What lies further out than all but this share of the values is counted in the first or last bin, so that one absurd value does not
#: flatten the picture.
OUTER_SHARE = 0.005
QUARTILES = (0.25, 0.5, 0.75)
Told = dict[str, Any]


def of_columns(file: Any) -> list[Told]:
    """For each column that has a measure {name, measure, count, nulls, mean, deviation, minimum, quartiles, maximum, every, bins}.

    ``measure``: value (numbers), characters (texts), items (lists). ``bins``: [low, high, count], both ends included for lengths and
    whole numbers. ``every``: the quartiles and bins are those of every so manieth value.
    """
    told = (_of(file, field) for field in file.schema_arrow)
    return [column for column in told if column is not None]


def _of(file: Any, field: Any) -> Told | None:
    measure = _measure(field.type)
    if measure is None:
        return None
    every = max(1, -(-file.metadata.num_rows // MOST_VALUES))
    kept, parts = [], []
    for batch in file.iter_batches(columns=[field.name]):
        values = _measured(batch.column(0), measure)
        parts.append(_summary(values))
        kept.append(values.take(pa.array(range(0, len(values), every), pa.int64())) if every > 1 else values)
    known = [part for part in parts if part["count"]]
    count = sum(part["count"] for part in known)
    about = {"name": field.name, "measure": measure, "count": count, "nulls": file.metadata.num_rows - count, "every": every}
    if not count:
        return about | {"mean": None, "deviation": None, "minimum": None, "quartiles": [], "maximum": None, "bins": []}
    sample = pa.chunked_array(kept, pa.float64()).drop_null()
    whole = measure != "value" or pa.types.is_integer(field.type)
    return about | _whole(known, count) | {"quartiles": pc.quantile(sample, list(QUARTILES)).to_pylist(), "bins": _bins(sample, whole)}


def _measure(kind: Any) -> str | None:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "characters"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "value"
    return "items" if pa.types.is_list(kind) else None


def _measured(values: Any, measure: str) -> Any:
    """float64, null where there is none. Not a number counts as none."""
    by = {"characters": pc.utf8_length, "items": pc.list_value_length}
    numbers = pc.cast(by[measure](values) if measure in by else values, pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _summary(values: Any) -> Told:
    count = len(values) - values.null_count
    if not count:
        return {"count": 0}
    ends = pc.min_max(values).as_py()
    squares = pc.sum(pc.multiply(values, values)).as_py()
    return {"count": count, "sum": pc.sum(values).as_py(), "squares": squares, "minimum": ends["min"], "maximum": ends["max"]}


def _whole(parts: list[Told], count: int) -> Told:
    mean = sum(part["sum"] for part in parts) / count
    variance = sum(part["squares"] for part in parts) / count - mean * mean
    ends = {"minimum": min(part["minimum"] for part in parts), "maximum": max(part["maximum"] for part in parts)}
    return {"mean": mean, "deviation": math.sqrt(max(0.0, variance)), **ends}


def bins_of(lengths: Sequence[int]) -> list[list[float]]:
    """[low, high, count] of lengths that are at hand, both ends included."""
    return _bins(pa.array(lengths, pa.float64()), whole=True) if lengths else []


def _bins(sample: Any, whole: bool) -> list[list[float]]:
    low, high = (float(edge) for edge in pc.quantile(sample, [OUTER_SHARE, 1 - OUTER_SHARE], interpolation="nearest").to_pylist())
    width = (high - low) / BINS
    if whole:
        width = max(1, math.ceil((high - low + 1) / BINS))
    number = math.ceil((high - low + 1) / width) if whole else BINS if width > 0 else 1
    places = pc.floor(pc.divide(pc.subtract(sample, low), width or 1.0))
    counted = pc.value_counts(pc.min_element_wise(pc.max_element_wise(places, 0.0), float(number - 1)))
    counts = {int(pair["values"]): pair["counts"] for pair in counted.to_pylist()}
    ends = pc.min_max(sample).as_py()
    bins = [[low + index * width, low + (index + 1) * width - (1 if whole else 0), counts.get(index, 0)] for index in range(number)]
    bins[0][0], bins[-1][1] = min(bins[0][0], ends["min"]), ends["max"]
    return bins
