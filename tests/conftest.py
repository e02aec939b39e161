"""Fixtures for all tests. This folder is on the path, so that tests import ``support``."""

import pytest
from support.databases import actor, database, migrated_postgres, postgres_database, postgres_urls, sqlite_database, sqlite_template

__all__ = ["actor", "database", "migrated_postgres", "postgres_database", "postgres_urls", "sqlite_database", "sqlite_template"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright keeps an event loop in this thread to the end, and ``asyncio.run`` refuses to stand beside one."""
    items.sort(key=lambda item: "browser" in item.path.parts)
