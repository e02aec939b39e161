"""Bytes that come in again while a data set of the same bytes is deleted for good: whichever is first, what is registered is there."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from kargah.assets import blobs
from kargah.assets.tables import Blob
from kargah.contract import caches
from kargah.datasets import service as datasets
from kargah.datasets.tables import DatasetVersion
from kargah.kit import files
from kargah.kit.files import Digest
from kargah.store.access import Actor
from kargah.store.database import Database
from kargah.training.purging import purge_dataset

CSV = b"text,label\ngood,1\nbad,0\n"


class Shelf:
    """A home, and the doings of two people in it, each to be done when it is wanted."""

    def __init__(self, database: Database, actor: Actor, home: Path) -> None:
        self.database, self.actor, self.home = database, actor, home
        self.old = self.register(self.bring())
        with database.write() as session:
            session.execute(update(DatasetVersion).values(state="READY"))
            datasets.delete(session, actor, self.old)

    def bring(self) -> Digest:
        file = self.home / "data.csv"
        file.write_bytes(CSV)
        return blobs.put_file(self.home, file)

    def register(self, digest: Digest) -> str:
        with self.database.write() as session:
            return datasets.create_from_upload(session, self.actor, "نظرها", "data.csv", digest)[0].id

    def purge(self) -> list[str]:
        with self.database.write() as session:
            return purge_dataset(session, self.actor, self.old)

    def is_whole(self, digest: Digest) -> bool:
        path = blobs.path_of(self.home, digest.sha256)
        with self.database.read() as session:
            return session.get(Blob, digest.sha256) is not None and path.is_file() and path.read_bytes() == CSV


@pytest.fixture
def shelf(database: Database, actor: Actor, tmp_path: Path) -> Shelf:
    return Shelf(database, actor, tmp_path)


def brought_before(shelf: Shelf) -> Digest:
    digest = shelf.bring()
    blobs.discard(shelf.home, shelf.purge())
    shelf.register(digest)
    return digest


def brought_between(shelf: Shelf) -> Digest:
    freed = shelf.purge()
    digest = shelf.bring()
    blobs.discard(shelf.home, freed)
    shelf.register(digest)
    return digest


def registered_between(shelf: Shelf) -> Digest:
    freed = shelf.purge()
    digest = shelf.bring()
    shelf.register(digest)
    blobs.discard(shelf.home, freed)
    return digest


def brought_after(shelf: Shelf) -> Digest:
    blobs.discard(shelf.home, shelf.purge())
    digest = shelf.bring()
    shelf.register(digest)
    return digest


@pytest.mark.parametrize("order", [brought_before, brought_between, registered_between, brought_after])
def test_bytes_that_are_brought_again_while_they_are_purged_are_kept(shelf: Shelf, order: Callable[[Shelf], Digest]) -> None:
    assert shelf.is_whole(order(shelf))


def test_a_purge_waits_for_who_registers_the_same_bytes(shelf: Shelf) -> None:
    digest = shelf.bring()
    with ThreadPoolExecutor(1) as thread:
        with shelf.database.write() as session:
            datasets.create_from_upload(session, shelf.actor, "باز هم", "data.csv", digest)
            freed = thread.submit(shelf.purge)
            time.sleep(0.2)  # so that it has begun; it ends the same when it has not
        assert freed.result() == []
    assert shelf.is_whole(digest)


def test_who_registers_bytes_waits_for_their_purge_and_has_them_afterwards(shelf: Shelf) -> None:
    digest = shelf.bring()
    with ThreadPoolExecutor(1) as thread:
        with shelf.database.write() as session:
            freed = purge_dataset(session, shelf.actor, shelf.old)
            registered = thread.submit(shelf.register, digest)
            time.sleep(0.2)
        blobs.discard(shelf.home, freed)
        registered.result()
    assert freed == [digest.sha256]
    assert shelf.is_whole(digest)


def test_several_may_register_the_same_new_bytes_at_once(shelf: Shelf) -> None:
    (shelf.home / "other.csv").write_bytes(CSV * 2)
    digest = blobs.put_file(shelf.home, shelf.home / "other.csv")
    with ThreadPoolExecutor(4) as threads:
        assert len({*threads.map(shelf.register, [digest] * 8)}) == 8


def test_what_was_brought_again_and_never_registered_goes_in_the_end(shelf: Shelf) -> None:
    digest = shelf.bring()
    blobs.discard(shelf.home, shelf.purge())
    path, (pin,) = blobs.path_of(shelf.home, digest.sha256), (shelf.home / "blobs" / "incoming").glob("*.pin")
    measured = caches.statistics_file(shelf.home, digest.sha256)
    files.make_folder(measured.parent)
    measured.write_bytes(b"[]")
    with shelf.database.write() as session:
        blobs.sweep(session, shelf.home)
    assert path.is_file()
    assert measured.is_file()
    long_ago = time.time() - blobs.PINNED_SECONDS - 1
    os.utime(pin, (long_ago, long_ago))
    with shelf.database.write() as session:
        blobs.sweep(session, shelf.home)
    assert not path.exists()
    assert not pin.exists()
    assert not measured.exists()


def test_a_pin_that_has_served_goes_and_the_file_stays(shelf: Shelf) -> None:
    digest = brought_between(shelf)
    (pin,) = (shelf.home / "blobs" / "incoming").glob("*.pin")
    os.utime(pin, (0, 0))
    with shelf.database.write() as session:
        blobs.sweep(session, shelf.home)
    assert not pin.exists()
    assert shelf.is_whole(digest)


@pytest.mark.parametrize("registered", [True, False])
def test_what_a_killed_request_had_brought_is_swept_up_in_the_end(shelf: Shelf, registered: bool) -> None:
    (shelf.home / "other.csv").write_bytes(CSV * 3)
    with blobs.noting() as noted:
        digest = blobs.put_file(shelf.home, shelf.home / "other.csv")
    if registered:
        shelf.register(digest)
    (mark,) = (shelf.home / "blobs" / "incoming").glob("*.fresh")
    assert noted == [digest.sha256]
    with shelf.database.write() as session:
        blobs.sweep(session, shelf.home)
    assert mark.exists()
    os.utime(mark, (0, 0))
    with shelf.database.write() as session:
        blobs.sweep(session, shelf.home)
    assert (mark.exists(), blobs.path_of(shelf.home, digest.sha256).exists()) == (False, registered)
