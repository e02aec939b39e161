"""The terms of a training as people write them in its form."""

from datetime import time, timedelta

import pytest

from kargah.jobs.terms import Terms
from kargah.kit.clock import utc_now
from kargah.web.pages import terms_form
from kargah.web.pages.words import Words

FA, EN = Words("fa"), Words("en")


def read(words: Words, **fields: str) -> terms_form.Said:
    return terms_form.read(words, {f"terms.{name}": [value] for name, value in fields.items()})


def test_all_terms_are_read_with_persian_digits() -> None:
    said = read(
        FA, priority="۵", after="job_1", if_after_fails="hold", not_before="۱۴۶۰/۰۱/۰۱ ۲۲:۰۰", deadline="۱۴۶۰/۰۱/۰۵", window_start="۲۲",
        window_end="۰۶:۰۰", time_limit_hours="۱٫۵", memory_limit_gib="۰٫۵", max_attempts="۳",
    )  # fmt: skip
    assert (said.errors, said.priority) == ({}, 5)
    terms = said.terms
    assert (terms.after, terms.if_after_fails, terms.time_limit_seconds, terms.memory_limit_bytes) == (["job_1"], "hold", 5400, 1 << 29)
    assert terms.window is not None
    assert (terms.window.start, terms.window.end, terms.window.zone) == (time(22), time(6), "Asia/Tehran")
    assert (terms.not_before.isoformat() if terms.not_before else "") == "2081-03-20T22:00:00+03:30"
    assert terms.retry.max_attempts == 3
    assert terms.deadline is not None


def test_an_empty_form_has_no_terms() -> None:
    said = read(EN, priority=" ", not_before="")
    assert (said.priority, said.terms, said.errors) == (0, Terms(), {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "101"), ("priority", "1.5"), ("priority", "زیاد"), ("not_before", "دیروز"), ("not_before", "1399/01/01 10:00"),
        ("deadline", "2001-01-01 00:00"), ("window_start", "26:00"), ("time_limit_hours", "0"), ("time_limit_hours", "-1"),
        ("memory_limit_gib", "0.001"), ("max_attempts", "0"), ("if_after_fails", "dance"), ("time_limit_hours", "nan"),
        ("priority", "1e400"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_beside_its_field_and_left_out(field: str, value: str) -> None:
    for words in (FA, EN):
        said = read(words, **{field: value})
        assert said.errors[f"terms.{field}"] not in {"", f"terms.{field}.bad"}
        assert (said.priority, said.terms) == (0, Terms())


def test_two_fields_must_agree() -> None:
    soon, later = (f"{utc_now() + timedelta(days=days):%Y-%m-%d %H:%M}" for days in (1, 2))
    assert set(read(EN, not_before=later, deadline=soon).errors) == {"terms.deadline"}
    assert set(read(EN, window_start="22:00").errors) == {"terms.window_end"}


def test_a_training_may_come_after_several_named_once_each() -> None:
    said = terms_form.read(EN, {"terms.after": ["job_1", "", "job_2", "job_1"]})
    assert (said.terms.after, said.errors) == (["job_1", "job_2"], {})
    assert set(terms_form.read(EN, {"terms.after": [f"job_{number}" for number in range(33)]}).errors) == {"terms.after"}


def test_the_next_form_has_what_lasts_and_not_what_was_for_once() -> None:
    said = read(EN, priority="7", after="job_1", not_before="2081-01-01 00:00", time_limit_hours="1.5", window_start="22", window_end="6")
    again = terms_form.read(EN, terms_form.given_of(said.priority, said.terms))
    assert (again.priority, again.terms) == (7, said.terms.model_copy(update={"after": [], "not_before": None}))
