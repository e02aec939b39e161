"""A slice of ``make chaos``: real trainings under random kills of everything, and a verdict that would say what was lost."""

import subprocess
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "chaos.py"


def slice_of(database: str, kills: int) -> str:
    """The last line of a short run, which must have ended well."""
    command = [sys.executable, str(SCRIPT), "--database", database, "--kills", str(kills), "--minutes", "0.7", "--steps", "1500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_kills_lose_double_and_damage_nothing() -> None:
    assert slice_of("sqlite", 12).endswith("kills: 0 events lost, 0 doubled, 0 jobs stuck, 0 checkpoints damaged")


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("postgres_urls")
def test_random_kills_over_postgresql_and_its_restarts() -> None:
    assert slice_of("postgresql", 8).endswith("kills: 0 events lost, 0 doubled, 0 jobs stuck, 0 checkpoints damaged")


def test_the_verdict_counts_what_is_missing_and_what_is_there_twice() -> None:
    spec = spec_from_file_location("chaos", SCRIPT)
    assert spec is not None and spec.loader is not None
    chaos = module_from_spec(spec)
    sys.modules["chaos"] = chaos
    spec.loader.exec_module(chaos)
    verdict = chaos.Verdict()
    verdict.compare("same", Counter([1, 2]), Counter([2, 1]))
    assert verdict.is_clean()
    verdict.compare("lines", Counter([1, 2, 3]), Counter([1, 3, 3]))
    assert (verdict.lost, verdict.doubled, verdict.is_clean()) == (1, 1, False)
