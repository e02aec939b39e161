"""Whether runs differ: said only where their intervals are apart."""

from typing import Any

import pytest

from kargah.web.pages.verdicts import between
from kargah.web.pages.words import Words

WORDS = Words("en")


def summary(value: float, low: float, high: float, metric: str = "accuracy", lower_is_better: bool = False) -> dict[str, Any]:
    model = {"metrics": {metric: value}, "primary_metric": metric, "interval": {"low": low, "high": high}}
    return {"models": {"m": model}, "recommended": "m", "primary_metric": metric, "lower_is_better": lower_is_better}


def said(*runs: tuple[str, dict[str, Any]]) -> tuple[str, bool]:
    verdict = between(WORDS, [(title, one, ("data",)) for title, one in runs])
    assert verdict is not None
    return verdict.text, verdict.sure


def test_intervals_that_overlap_are_no_difference() -> None:
    assert said(("one", summary(0.9, 0.85, 0.95)), ("two", summary(0.8, 0.7, 0.86))) == (WORDS.text("compare.tie"), False)


@pytest.mark.parametrize(("lower_is_better", "winner"), [(False, "two"), (True, "one")])
def test_intervals_apart_name_the_better_one(lower_is_better: bool, winner: str) -> None:
    one = summary(0.5, 0.4, 0.6, "mae" if lower_is_better else "accuracy", lower_is_better)
    two = summary(0.9, 0.8, 0.95, "mae" if lower_is_better else "accuracy", lower_is_better)
    assert said(("one", one), ("two", two)) == (WORDS.text("compare.better", name=winner), True)


def test_better_than_some_names_both_sorts() -> None:
    text, sure = said(("best", summary(0.9, 0.85, 0.95)), ("near", summary(0.88, 0.8, 0.92)), ("far", summary(0.5, 0.4, 0.6)))
    assert sure
    assert text == WORDS.text("compare.better_than_some", name="best", beaten=["far"], tied=["near"])


def test_what_cannot_be_judged_is_not_judged() -> None:
    assert said(("one", summary(0.9, 0.85, 0.95)), ("going on", {})) == (WORDS.text("compare.not_over", names=["going on"]), False)
    assert said(("one", summary(0.9, 0.8, 1)), ("two", summary(2, 1, 3, "mae"))) == (WORDS.text("compare.other_metrics"), False)
    assert between(WORDS, [("one", {}, ())]) is None


def test_other_data_is_said() -> None:
    verdict = between(WORDS, [("one", summary(0.9, 0.85, 0.95), ("a",)), ("two", summary(0.5, 0.4, 0.6), ("b",))])
    assert verdict is not None
    assert verdict.also == [WORDS.text("compare.other_data")]
