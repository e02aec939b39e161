"""What is advised follows from what was found and measured, and says what to do in both languages."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kargah.contract.measurement import GemmRate, Measurement
from kargah.hardware import advice, profile, scores, service
from kargah.kit.i18n import LANGUAGES


def measured(rates: dict[tuple[str, int], float], **changes: Any) -> Measurement:
    gemm = [GemmRate(precision=precision, threads=threads, gflops=rate) for (precision, threads), rate in rates.items()]
    plain: dict[str, Any] = {
        "at": datetime.now(UTC), "seconds": 9.0, "torch": "2.13.0+cpu", "threads": 2, "gemm": gemm, "copied_bytes_per_second": 1.4e10,
        "written_bytes_per_second": 4e8, "sync_seconds": 0.001, "busy_cores": 0.0,
    }  # fmt: skip
    return Measurement(**{**plain, **changes})


ZEN3 = {("fp32", 1): 75.0, ("fp32", 2): 140.0, ("bf16", 1): 0.6, ("bf16", 2): 0.7, ("fp16", 1): 0.4}
ZEN5 = {("fp32", 1): 94.0, ("fp32", 2): 95.0, ("bf16", 1): 400.0, ("bf16", 2): 420.0, ("fp16", 1): 1.4}


def codes(tmp_path: Path, found: Measurement | None, **changes: Any) -> set[str]:
    return {one.code for one in advice.on(profile.machine(tmp_path).model_copy(update=changes), found)}


def test_the_precision_that_wins_here_is_named_with_by_how_much(tmp_path: Path) -> None:
    said = advice.on(profile.machine(tmp_path), measured(ZEN3))
    assert next(one.params["times"] for one in said if one.code == "fp32_wins") == 200
    assert "bf16_wins" in codes(tmp_path, measured(ZEN5))
    assert "fp32_equals" in codes(tmp_path, measured({("fp32", 1): 100.0, ("bf16", 1): 110.0}))


def test_threads_that_do_not_pay_are_named(tmp_path: Path) -> None:
    assert "threads_best" in codes(tmp_path, measured(ZEN3))
    assert "threads_idle" in codes(tmp_path, measured(ZEN5))


def test_what_is_missing_slow_or_small_is_said(tmp_path: Path) -> None:
    machine = profile.machine(tmp_path)
    small = machine.memory.model_copy(update={"usable_bytes": 1 << 30})
    disk = machine.disk.model_copy(update={"free_bytes": 1_000, "kind": "remote"})
    found = codes(tmp_path, measured(ZEN3, sync_seconds=0.2, busy_cores=1.5), allocator=None, torch=None, memory=small, disk=disk)
    assert {"allocator_missing", "torch_missing", "memory_small", "disk_small", "disk_remote", "disk_slow", "measured_busy"} <= found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_advice_is_a_sentence(tmp_path: Path, language: str) -> None:
    machine = profile.machine(tmp_path)
    for found in (measured(ZEN3, sync_seconds=0.2), measured(ZEN5, busy_cores=1.0, threads=1)):
        for one in advice.on(machine.model_copy(update={"allocator": None}), found):
            text = advice.text_of(language, one)
            assert not text.startswith("hardware.") and "{" not in text


def test_a_score_is_what_the_measured_rate_would_train() -> None:
    """By hand: MiniLM takes 6 · 10.6 million and 12 · 6 · 384 · 40 operations a token; of 140 GFLOP/s 0.6 are used."""
    found = {score.model: score for score in scores.of(measured(ZEN3))}
    assert found["minilm"].tokens_per_second == pytest.approx(140e9 * 0.6 / (6 * 10_646_784 + 12 * 6 * 384 * 40), rel=0.01)
    assert found["minilm"].tokens_per_second > found["bert_base"].tokens_per_second > found["decoder_lora"].tokens_per_second


def test_a_measurement_holds_until_the_machine_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service.show(tmp_path).measurement is None
    service.keep(tmp_path, measured(ZEN3))
    kept = service.show(tmp_path)
    assert kept.measurement and not kept.changed and len(kept.scores) == 3
    monkeypatch.setattr(profile, "torch_version", lambda: "9.9.9")
    changed = service.show(tmp_path)
    assert changed.changed and changed.measurement is None and changed.scores == []


def test_a_damaged_measurement_counts_as_none(tmp_path: Path) -> None:
    service.keep(tmp_path, measured(ZEN3))
    next((tmp_path / service.FOLDER).iterdir()).write_text('{"fingerprint": 3')
    assert service.show(tmp_path).measurement is None
