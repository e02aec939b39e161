"""The walls of DESIGN: who imports whom, proved by import-linter and by fresh interpreters."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER_NEVER = ("torch", "transformers", "numpy", "sklearn", "tokenizers", "safetensors", "peft")
WORKER_NEVER = ("fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "socketio")


def loaded_after(statement: str) -> set[str]:
    """The top-level packages in a fresh interpreter after ``statement``."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["kargah.web.app", "kargah.cli.main", "kargah.cli.web", "kargah.cli.agent"])
def test_the_server_loads_no_training_library(module: str) -> None:
    assert loaded_after(f"import {module}").isdisjoint(SERVER_NEVER)


def test_an_application_put_together_loads_no_training_library_and_no_table_reader() -> None:
    made = "from kargah.kit.settings import Settings; from kargah.web.app import create_app; create_app(Settings(home='nowhere'))"
    assert loaded_after(made).isdisjoint({*SERVER_NEVER, "pyarrow", "alembic", "pandas"})


@pytest.mark.parametrize("worker", ["train", "ingest", "predict"])
def test_a_worker_loads_no_server_library(worker: str) -> None:
    assert loaded_after(f"import kargah.workers.{worker}").isdisjoint(WORKER_NEVER)


def test_a_worker_of_any_kind_begins_without_training_libraries_so_that_it_can_say_what_to_install() -> None:
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in SERVER_NEVER)
    asked = "from kargah.cli.agent import all_trades; found = {each.module for each in all_trades(scripts=True).by_kind.values()}"
    begun = "from importlib import import_module; [import_module(module) for module in found]"
    assert "kargah" in loaded_after(f"{asked}; {blocked}; {begun}")


def test_floors_and_forbidden_imports_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(linter), "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
