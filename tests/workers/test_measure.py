"""The worker that measures the machine, by the command that people use."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kargah.workers.measure import wanted_rates


def hardware(home: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "kargah", "--language", "en", "hardware", "--json", "--home", str(home), *arguments]
    ended = subprocess.run(command, env={**os.environ, "KARGAH_LANGUAGE": "en"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_the_machine_is_measured_once_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    """By itself where nothing is known; after that only when asked."""
    assert hardware(tmp_path, "--no-measure")["measurement"] is None
    found = hardware(tmp_path)
    measured = found["measurement"]
    rates = {(one["precision"], one["threads"]): one["gflops"] for one in measured["gemm"] if one["device"] == "cpu"}
    assert set(rates) == set(wanted_rates(measured["threads"]))
    assert all(rate > 0 for rate in rates.values())
    assert measured["copied_bytes_per_second"] > 1e8
    assert measured["written_bytes_per_second"] > 0 and measured["sync_seconds"] > 0
    assert [score["tokens_per_second"] > 0 for score in found["scores"]] == [True, True, True]
    assert {one["code"] for one in found["advice"]} & {"bf16_wins", "fp32_wins", "fp32_equals"}
    assert hardware(tmp_path)["measurement"]["at"] == measured["at"], "it was measured again"
    assert [path.name for path in tmp_path.iterdir()] == ["hardware"], "the attempt's folder is left"


def test_many_cores_are_not_tried_one_by_one() -> None:
    assert [count for precision, count in wanted_rates(6) if precision == "fp32"] == [1, 2, 4, 6]
    assert wanted_rates(1) == [("fp32", 1), ("bf16", 1), ("fp16", 1)]
    assert len(wanted_rates(128)) < 16
