"""Agents are woken by what people ask, and a connection that the server has dropped is not handed out again."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from kargah.jobs import service
from kargah.store.access import Actor
from kargah.store.database import Database, now_of
from kargah.store.wake import Sleeper

LIMIT_SECONDS = 60.0


def submit(database: Database, actor: Actor) -> str:
    with database.write() as session:
        return service.submit(session, actor, "count", "x", {}).id


def test_a_sleeper_is_woken_by_a_submission_and_by_a_wish_and_by_nothing_else(database: Database, actor: Actor) -> None:
    with Sleeper(database.engine) as sleeper:
        assert not sleeper.sleep(0.0)  # listens from here on
        job_id = submit(database, actor)
        assert sleeper.sleep(LIMIT_SECONDS)
        with database.write() as session:
            service.stop(session, actor, job_id)
        assert sleeper.sleep(LIMIT_SECONDS)
        with database.write() as session:
            now_of(session)
        assert not sleeper.sleep(0.1)


def test_what_was_rolled_back_wakes_nobody(database: Database, actor: Actor) -> None:
    with Sleeper(database.engine) as sleeper:
        sleeper.sleep(0.0)
        with pytest.raises(RuntimeError), database.write() as session:
            service.submit(session, actor, "count", "x", {})
            raise RuntimeError
        assert not sleeper.sleep(0.1)


def test_a_sleeper_whose_line_is_cut_sleeps_on_and_others_are_none_the_worse(postgres_database: Database) -> None:
    with Sleeper(postgres_database.engine) as sleeper:
        sleeper.sleep(0.0)
        cut_all_others(postgres_database)
        began = time.monotonic()
        assert not sleeper.sleep(0.1) and not sleeper.sleep(0.1)
        assert time.monotonic() - began < LIMIT_SECONDS


def test_a_sleeper_whose_server_is_away_only_sleeps(tmp_path: Path) -> None:
    away = Database(f"postgresql://kargah@/kargah?host={tmp_path}")
    with Sleeper(away.engine) as sleeper:
        assert not sleeper.sleep(0.0) and not sleeper.sleep(0.0)
    away.close()


def test_connections_that_the_server_has_cut_are_not_used_again(postgres_database: Database) -> None:
    together = threading.Barrier(3)

    def use() -> None:
        with postgres_database.read() as session:
            now_of(session)
            together.wait(LIMIT_SECONDS)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(4):
        cut_all_others(postgres_database)
        with postgres_database.write() as session:
            now_of(session)


def cut_all_others(database: Database) -> None:
    mine = "pid <> pg_backend_pid() AND datname = current_database()"
    with database.engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
        until = time.monotonic() + LIMIT_SECONDS
        while connection.execute(text(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")).scalar_one():
            assert time.monotonic() < until
            connection.rollback()
