"""Fixes as they are named in a terminal."""

import pytest

from kargah.cli.datasets import chosen_fixes
from kargah.kit.errors import BadInput

OFFERED = [
    {"kind": "merge_labels", "column": "برچسب", "merges": None},
    {"kind": "drop_missing", "columns": ["متن"]},
    {"kind": "drop_missing", "columns": ["برچسب"]},
    {"kind": "trim", "columns": ["متن"]},
]


def test_a_kind_means_all_that_the_report_offers_of_it_and_a_column_just_one() -> None:
    assert chosen_fixes(["drop_missing"], OFFERED, safe=False) == OFFERED[1:3]
    assert chosen_fixes(["drop_missing:برچسب"], OFFERED, safe=False) == [OFFERED[2]]


def test_safe_ones_are_taken_once_even_when_they_are_named_too() -> None:
    assert chosen_fixes(["trim"], OFFERED, safe=True) == [OFFERED[0], OFFERED[3]]


def test_what_no_report_offers_can_be_asked_for() -> None:
    asked = ["normalise", "drop_columns:شناسه", "cast:بها", '{"kind": "split", "seed": 7}']
    assert chosen_fixes(asked, OFFERED, safe=False) == [
        {"kind": "normalise"},
        {"kind": "drop_columns", "columns": ["شناسه"]},
        {"kind": "cast", "column": "بها"},
        {"kind": "split", "seed": 7},
    ]
    with pytest.raises(BadInput):
        chosen_fixes(["{kind"], OFFERED, safe=False)
