"""Real processes are started and killed here; workers find ``support`` by the path that agents pass on."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def workers_find_support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
