"""Fixtures for all tests. This folder is on the path, so that tests import ``support``."""

from support.databases import actor, database, migrated_postgres, postgres_database, postgres_urls, sqlite_database, sqlite_template

__all__ = ["actor", "database", "migrated_postgres", "postgres_database", "postgres_urls", "sqlite_database", "sqlite_template"]
