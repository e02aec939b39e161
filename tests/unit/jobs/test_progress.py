"""The picture of a job: a percent that never goes back, a forecast by the pace of this attempt."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kargah.contract.events import AnyEvent, Event
from kargah.jobs.progress import drawn


def said(second: int, kind: str, **fields: Any) -> Event:
    return AnyEvent.validate_python({"kind": kind, "at": f"2026-11-21T10:00:{second:02d}Z", **fields})


def step(second: int, number: int) -> Event:
    return said(second, "Step", step=number, epoch=number / 10, metrics={"loss": 1.0})


def test_the_forecast_is_the_pace_times_what_is_left() -> None:
    picture = drawn({}, [said(0, "Running", total_steps=10), step(1, 1), step(3, 2), step(5, 3)])
    assert (picture["percent"], picture["eta_seconds"], picture["metrics"]) == (30.0, 14.0, {"loss": 1.0})


def test_a_resumed_attempt_forecasts_by_its_own_pace() -> None:
    before = drawn({}, [said(0, "Running", total_steps=10), step(1, 1), step(50, 2)])
    after = drawn(before, [said(51, "Resumed", from_step=1), said(51, "Running", total_steps=10), step(52, 2), step(53, 3)])
    assert after["eta_seconds"] == 7.0


def test_a_phase_among_the_steps_is_none_of_their_pace() -> None:
    phase = said(30, "Progress", done=2, total=2, unit="models", code="train.baselines")
    picture = drawn({}, [said(0, "Running", total_steps=10), step(1, 1), phase, step(31, 2), step(32, 3)])
    assert picture["eta_seconds"] == 7.0


@given(st.lists(st.one_of(st.integers(1, 10), st.none()), max_size=30))
def test_the_percent_never_goes_back(numbers: list[int | None]) -> None:
    picture: dict[str, Any] = drawn({}, [said(0, "Running", total_steps=10)])
    for number in numbers:
        event = said(1, "Resumed", from_step=0) if number is None else step(2, number)
        fresh = drawn(picture, [event])
        assert fresh.get("percent", 0) >= picture.get("percent", 0)
        picture = fresh


def test_work_without_steps_counts_what_it_has_done() -> None:
    assert drawn({}, [said(0, "Running"), said(0, "Progress", done=5, total=20, unit="rows")])["percent"] == 25.0


def test_a_phase_before_the_steps_does_not_fill_the_percent() -> None:
    phase = said(0, "Progress", done=20, total=20, unit="rows", code="train.tokenizer")
    assert "percent" not in drawn({}, [phase])
    assert drawn({}, [phase, said(1, "Running", total_steps=10), phase, step(2, 1)])["percent"] == 10.0
