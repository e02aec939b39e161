"""Fixtures for all tests. This folder is on the path, so that tests import ``support``."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.databases import actor, database, migrated_postgres, postgres_database, postgres_urls, sqlite_database, sqlite_template

__all__ = ["actor", "database", "migrated_postgres", "postgres_database", "postgres_urls", "sqlite_database", "sqlite_template"]

# The same examples each time: what fails here is what was changed. New ones are looked for by `make fuzz` and `make hostile`.
settings.register_profile("kargah", derandomize=True, database=None)
settings.load_profile("kargah")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright keeps an event loop in this thread to the end, and ``asyncio.run`` refuses to stand beside one."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal))


class FailuresAtOnce:
    """Says what failed when it fails: a run that is cut off must not take that with it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line(f"\n{report.nodeid} ({report.when}) failed:\n{report.longreprtext[-4000:]}", red=True)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A worker's code run in this process blocks SIGTERM in it, and every process started later would inherit that."""
    before, handler = signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(signal.SIGTERM)
    yield
    if signal.getsignal(signal.SIGTERM) is not handler:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
