"""A worker's environment: what it needs and nothing more."""

import subprocess
import sys

import pytest

from kargah.contract import process
from kargah.contract.process import THREAD_VARIABLES, environment, quick_allocator

STEPS = """
import resource
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step(): blocks = [bytearray(2 << 20) for _ in range(8)]
step()
before = faults()
for _ in range(50): step()
print((faults() - before) // 50)
"""


def test_no_secret_of_the_starter_reaches_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARGAH_DATABASE_URL", "postgresql://user:secret@host/name")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert not any("secret" in value for value in environment(2).values())


def test_threads_are_those_granted() -> None:
    found = environment(3)
    assert {found[name] for name in THREAD_VARIABLES} == {"3"}


def test_the_allocator_of_this_machine_is_used_unless_another_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert environment(1).get("LD_PRELOAD") == quick_allocator()
    monkeypatch.setenv("LD_PRELOAD", "/somewhere/libother.so")
    assert environment(1)["LD_PRELOAD"] == "/somewhere/libother.so"


def test_without_such_an_allocator_glibc_keeps_the_blocks_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)

    def faults_of_a_step() -> int:
        return int(subprocess.run([sys.executable, "-c", STEPS], env=environment(1), check=True, capture_output=True).stdout)

    monkeypatch.setattr(process, "quick_allocator", lambda: None)
    kept = faults_of_a_step()
    monkeypatch.setattr(process, "KEEPING_BLOCKS", {})
    assert kept < 100 < 1000 < faults_of_a_step()
