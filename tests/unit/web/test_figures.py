"""Figures as they are read: one script in each, the sign at the left."""

import pytest

from kargah.web.pages.figures import reading
from kargah.web.pages.run_views import taught_by
from kargah.web.pages.words import Words


@pytest.mark.parametrize(
    ("value", "fa", "en"),
    [
        (0.0, "۰", "0"),
        (0.5, "۰٫۵", "0.5"),
        (1234.0, "۱٬۲۳۴", "1,234"),
        (0.00001264, "۰٫۰۰۰۰۱۲۶", "1.26e-5"),
        (0.0009999, "۰٫۰۰۱", "1e-3"),
        (12_400_000.0, "۱۲٬۴۰۰٬۰۰۰", "1.24e7"),
        (-0.25, "\u200e\u2212۰٫۲۵", "-0.25"),
        (None, "–", "–"),
    ],
)
def test_a_metric_is_read_in_one_script(value: float | None, fa: str, en: str) -> None:
    assert (reading(Words("fa"), "loss", value), reading(Words("en"), "loss", value)) == (fa, en)


def test_a_share_is_read_in_percent() -> None:
    assert (reading(Words("fa"), "accuracy", 0.875), reading(Words("en"), "accuracy", 0.875)) == ("۸۷٫۵٪", "87.5%")


def test_the_teachers_figure_stands_beside_its_students_in_the_readers_language() -> None:
    interval = {"low": 0.8, "high": 0.9}
    summary = {"primary_metric": "accuracy", "teacher": {"title": "tfidf-linear", "metrics": {"accuracy": 0.85}, "interval": interval}}
    english, persian = (taught_by(Words(language), summary) for language in ("en", "fa"))
    assert all(part in english for part in ("tfidf-linear", "85%", "80%", "90%"))
    assert all(part in persian for part in ("tfidf-linear", "۸۵٪", "۸۰٪", "۹۰٪"))
    without = {**summary, "teacher": {**summary["teacher"], "interval": None}}
    assert "95%" not in taught_by(Words("en"), without)
    assert taught_by(Words("en"), {"primary_metric": "accuracy", "teacher": None}) == ""
    assert taught_by(Words("en"), {}) == ""
