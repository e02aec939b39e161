"""From rows of strings to a typed Parquet file, in two passes and bounded memory.

The first pass measures the columns while all cells go, as strings, to a temporary file; only then are the types known. The
second converts. Text stays as it was; numbers, booleans and lists get types of their own. Where the first rows tell the types, one
pass does both: ``reading.foreseen``.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from kargah.recipes.columns import Column
from kargah.text.normalise import Normaliser
from kargah.workers.reading.batch import Batch, Lines, Row, abreast, ahead, behind, beside, of_rows
from kargah.workers.reading.distinct import hashes_of_rows
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.media import Media
from kargah.workers.reading.profile import ColumnProfile, Look
from kargah.workers.reading.signs import PersonalRows
from kargah.workers.reading.typed import TypedFile, Typing, gathering

#: Different values remembered over all columns, 64 bits each; and rows remembered to tell duplicates: of more the set would double.
DISTINCT_BUDGET, DUPLICATES_BUDGET = 2_000_000, 2_500_000
#: Of typed batches that wait to be looked at.
UNSEEN_BYTES = 32 << 20


class RawTable:
    """The first pass. ``profiles`` are whole when all was read; among ``rows_compared`` rows duplicates were looked for."""

    def __init__(self, names: list[str], findings: Findings, normaliser: Normaliser) -> None:
        self.names = names
        self.rows = self.rows_compared = 0
        self._findings = findings
        self._seen: set[int] = set()
        self._compares = True
        max_distinct = max(1000, DISTINCT_BUDGET // len(names))
        self.profiles = [ColumnProfile(name, findings, normaliser, max_distinct) for name in names]
        self._schema = strings_schema(len(names))

    def read(self, rows: Iterable[Row], path: Path, tick: Callable[[], None]) -> None:
        """All rows there are, in one go."""
        with waiting_at(path, self._schema) as store, gathering(store) as gather:
            self.add(of_rows(rows), gather, tick)

    def add(self, batches: Iterable[Batch], store: Callable[[Any], None], tick: Callable[[], None]) -> int:
        """Measure, and ``store`` batches of strings; how many rows came. ``tick`` is called between batches and may raise to end it all."""
        before = self.rows
        for batch, looks in abreast(self._look, (part for whole in batches for part in whole.parts())):
            store(self._measured(batch, looks))
            tick()
        return self.rows - before

    def personal_rows(self) -> dict[str, PersonalRows]:
        return {profile.name: profile.personal_rows for profile in self.profiles}

    def _look(self, batch: Batch) -> list[Look]:
        return [profile.look(values) for profile, values in zip(self.profiles, batch.columns, strict=True)]

    def _measured(self, batch: Batch, looks: list[Look]) -> Any:
        self.rows += batch.rows
        self._note_duplicates([look.hashes for look in looks], batch.lines)
        columns = zip(self.profiles, batch.columns, looks, strict=True)
        return pa.record_batch([profile.add(values, look, batch.lines) for profile, values, look in columns], schema=self._schema)

    def _note_duplicates(self, hashes: list[Any], lines: Lines) -> None:
        if not self._compares:
            return
        self.rows_compared = self.rows
        rows = hashes_of_rows(hashes).to_pylist()
        are_new, before = self._seen.isdisjoint(rows), len(self._seen)
        places = [] if are_new else list(_repeated(rows, self._seen))
        self._seen.update(rows)
        if are_new and len(self._seen) < before + len(rows):
            places = list(_repeated(rows))
        if places:
            self._findings.note("DUPLICATE_ROWS", "warning", count=0).add(len(places), (lines()[place] for place in places))
        if len(self._seen) > DUPLICATES_BUDGET:
            self._compares, self._seen = False, set()


def _repeated(rows: list[int], known: Collection[int] = ()) -> Iterator[int]:
    """The places of rows that stood before, here or in an earlier batch."""
    here = set[int]()
    for place, row in enumerate(rows):
        if row in here or row in known:
            yield place
        here.add(row)


def strings_schema(columns: int) -> Any:
    return pa.schema([pa.field(str(index), pa.string()) for index in range(columns)])


@contextmanager
def waiting_at(path: Path, schema: Any) -> Iterator[Callable[[Any], None]]:
    """A file that grows by the batches that are given, by a thread of its own."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer, behind(writer.write_batch) as store:
        yield store


def waiting(path: Path) -> Iterator[Any]:
    """The batches of such a file."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as batches:
        yield from batches


def write_typed(
    strings: Callable[[], Iterator[Any]],
    target: Path,
    columns: list[Column],
    tick: Callable[[int], None],
    see: Callable[[Any], None],
    media: Media | None = None,
) -> list[Any]:
    """The second pass: ``target`` with the columns' types, of what ``strings`` makes. The first rows are returned for the preview.

    ``see`` gets each typed batch, in a thread of its own. It dwells on the first ones: where batches are cheap to make it has its own,
    and nobody waits for it before the end.
    """
    typing = Typing(columns, media)
    done = 0
    with (
        beside(see, typing.batches(strings()) if typing.is_cheap else ()),
        TypedFile(target, columns, typing.schema) as file,
        behind(file.write) as write,
        behind(see, UNSEEN_BYTES) as show,
    ):
        for batch in ahead(typing.batches(strings())):
            write(batch)
            if not typing.is_cheap:
                show(batch)
            done += batch.num_rows
            tick(done)
    return file.preview
