"""Lets the tests of this folder import their neighbours ``attempts`` and ``samples``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kargah.contract.wire import EventWriter
from kargah.workers.telling import Teller
from kargah.workers.wants import Wants

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def wants(tmp_path: Path) -> Wants:
    """What is wanted of an attempt, of which nothing is wanted."""
    made = Wants(tmp_path / "control.json", Teller(EventWriter(tmp_path / "unused.jsonl")), tmp_path / "memory.jsonl")
    made.close()
    return made


@pytest.fixture
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
