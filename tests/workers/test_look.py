"""What is told of a table without loading it: spread, lengths, pictures."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kargah.workers import look, statistics

NUMBERS = st.lists(st.none() | st.integers(-(10**9), 10**9), min_size=1, max_size=80)
FLOATS = st.lists(st.none() | st.floats(-1e12, 1e12), min_size=1, max_size=80)
TEXTS = st.lists(st.none() | st.text(max_size=30), min_size=1, max_size=80)


def told(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    pq.write_table(pa.table(values), path, row_group_size=16)
    out = io.BytesIO()
    look.main({"path": str(path), "statistics": True}, out)
    return {column["name"]: column for column in json.loads(out.getvalue())}


@settings(max_examples=60, deadline=None)
@given(whole=NUMBERS, real=FLOATS, text=TEXTS)
def test_every_value_is_counted_in_one_bin_and_the_figures_are_those_of_all(
    tmp_path_factory: pytest.TempPathFactory, whole: list[int | None], real: list[float | None], text: list[str | None]
) -> None:
    lengths = [None if value is None else len(value) for value in text]
    kinds = {"whole": (pa.int64(), whole, whole), "real": (pa.float64(), real, real), "text": (pa.string(), text, lengths)}
    for name, (kind, values, measured) in kinds.items():
        found = told(tmp_path_factory.getbasetemp() / "spread.parquet", {name: pa.array(values, kind)})[name]
        known = [float(value) for value in measured if value is not None]
        assert (found["count"], found["nulls"]) == (len(known), len(values) - len(known))
        assert sum(count for _, _, count in found["bins"]) == len(known)
        if not known:
            continue
        assert (found["minimum"], found["maximum"]) == (min(known), max(known))
        assert found["mean"] == pytest.approx(sum(known) / len(known), rel=1e-6, abs=1e-6)
        assert found["minimum"] <= found["quartiles"][0] <= found["quartiles"][1] <= found["quartiles"][2] <= found["maximum"]
        assert len(found["bins"]) <= statistics.BINS
        assert (found["bins"][0][0], found["bins"][-1][1]) == (min(known), max(known))
        edges = [edge for low, high, _ in found["bins"] for edge in (low, high)]
        assert edges == sorted(edges)


def test_one_absurd_value_does_not_flatten_the_picture(tmp_path: Path) -> None:
    prices = [*range(1, 1001), 10**12]
    bins = told(tmp_path / "p.parquet", {"قیمت": prices, "برچسب‌ها": [["الف"] * (row % 3) for row in range(1001)]})["قیمت"]["bins"]
    assert sum(count > 30 for _, _, count in bins) >= 14
    assert bins[-1][1] == 10**12


def test_what_has_no_measure_is_left_out_and_lists_are_counted(tmp_path: Path) -> None:
    found = told(
        tmp_path / "l.parquet", {"بله": [True, False], "گفت‌وگو": [[{"role": "user"}], []], "خالی": pa.nulls(2), "نا": [float("nan"), 1.0]}
    )
    assert found.keys() == {"گفت‌وگو", "نا"}
    assert (found["گفت‌وگو"]["measure"], found["گفت‌وگو"]["bins"]) == ("items", [[0, 0, 1], [1, 1, 1]])
    assert (found["نا"]["count"], found["نا"]["nulls"]) == (1, 1)


def test_an_order_is_worked_out_once_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [(row * 7) % 100 for row in range(100)]}), tmp_path / "t.parquet", row_group_size=9)
    folder = tmp_path / "cache" / "orders"

    def page(name: str, **asked: Any) -> list[int]:
        wish = {"path": str(tmp_path / "t.parquet"), "limit": 10, "order": str(folder / f"{name}.arrow"), "orders": 2, **asked}
        out = io.BytesIO()
        look.main(wish, out)
        return [row["cells"]["n"] for row in json.loads(out.getvalue())["rows"]]

    assert page("a", sort="n", offset=20) == list(range(20, 30))
    assert page("a", sort="n", offset=50) == list(range(50, 60))
    assert page("b", sort="n", contains="9") == [9, 19, 29, 39, 49, 59, 69, 79, 89, 90]
    assert page("b", sort="n", contains="9", offset=100) == []
    page("c", sort="n", descending=True)
    assert {path.name for path in folder.iterdir()} == {"b.arrow", "c.arrow"}
    assert page("none", contains="nothing") == []
    assert page("none", contains="nothing") == []


def test_marks_on_letters_hide_no_word(tmp_path: Path) -> None:
    pq.write_table(pa.table({"متن": ["هٰذا کتاب", "مُحَمَّد", "دیگر"]}), tmp_path / "t.parquet")

    def found(words: str) -> list[str]:
        out = io.BytesIO()
        look.main({"path": str(tmp_path / "t.parquet"), "contains": words}, out)
        return [row["cells"]["متن"] for row in json.loads(out.getvalue())["rows"]]

    assert (found("هذا"), found("محمد")) == (["هٰذا کتاب"], ["مُحَمَّد"])
