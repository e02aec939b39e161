"""What a tokenizer says of many rows: a few flat arrays, kept on the disk for the next training that asks the same.

A file is named by all that decides what is in it: the texts themselves, the tokenizer, what was asked of it, and the release of the
library. So data of a newer version, or other rows of it, or another length, never find tokens that are not theirs.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kargah.kit import files

#: Fewer characters are read again in about a second.
LEAST_CHARACTERS = 1_000_000
#: Of all that is kept together; the files that were not asked for longest go first.
MOST_BYTES = 1 << 30
#: The disk has so many times the room that a file takes, or it is not kept.
_TIMES_ITS_ROOM = 10
#: Files half written by a process that died.
_ABANDONED_SECONDS = 3600.0
_CHECKSUM = b"checksum"
#: Texts that a tokenizer is given at once: what it says of them takes many times their memory.
_AT_ONCE = 500
#: Two arrays, equally long: what a token is, and one thing more of it.
Row = tuple[Any, Any]
Fields = Sequence[Sequence[str]]
Check = Callable[[], None]


class TokenRows(Sequence[Row]):
    """What the rows have stands in two ``columns``, one row after another, from ``starts[row]`` on."""

    def __init__(self, starts: NDArray[np.int64], columns: Sequence[NDArray[Any]]) -> None:
        self.starts, self.columns = starts, columns

    @classmethod
    def of(cls, rows: Iterable[Row], kinds: Sequence[Any]) -> "TokenRows":
        """``kinds``: the dtype of each column."""
        parts: list[list[NDArray[Any]]] = [[np.zeros(0, kind)] for kind in kinds]
        lengths = [0]
        for row in rows:
            lengths.append(len(row[0]))
            for part, values, kind in zip(parts, row, kinds, strict=True):
                part.append(values.astype(kind, copy=False))
        return cls(np.cumsum(lengths, dtype=np.int64), [np.concatenate(part) for part in parts])

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, row: int) -> Row: ...
    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...
    def __getitem__(self, row: int | slice) -> Row | list[Row]:
        if isinstance(row, slice):
            return [self[number] for number in range(len(self))[row]]
        number = range(len(self))[row]
        start, end = self.starts[number], self.starts[number + 1]
        first, second = self.columns
        return first[start:end], second[start:end]


@dataclass(frozen=True)
class Asked:
    """What is asked of ``tokenizer``, a fast one of transformers or one of ``tokenizers``, of rows that have a text in each of ``fields``.

    ``max_length``: longer rows are cut to so many tokens, special ones included. ``special``: whether there are any.
    """

    tokenizer: Any
    fields: Fields
    max_length: int | None = None
    special: bool = True

    @property
    def characters(self) -> int:
        return sum(len(text) for texts in self.fields for text in texts)

    @property
    def backend(self) -> Any:
        """The tokenizer of ``tokenizers``, set to what is asked."""
        backend = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        backend.no_padding()
        if self.max_length is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(self.max_length, direction=getattr(self.tokenizer, "truncation_side", "right"))
        return backend

    def answers(self, check: Check, offsets: bool = False) -> Iterator[Any]:
        """An ``Encoding`` of each row. ``offsets``: with where in the text each token stands, which takes time."""
        backend = self.backend
        encode = backend.encode_batch if offsets else backend.encode_batch_fast
        for part in parts_of(self.fields, check):
            yield from encode(part[0] if len(part) == 1 else list(zip(*part, strict=True)), add_special_tokens=self.special)

    def name(self, kinds: Sequence[Any]) -> str:
        """The same for the same answers."""
        import tokenizers

        told = (tokenizers.__version__, self.special, [np.dtype(kind).str for kind in kinds], len(self.fields), len(self.fields[0]))
        digest = hashlib.blake2b(digest_size=32)
        for part in (repr(told), self.backend.to_str(), *chain.from_iterable(self.fields)):
            content = part.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()


class KeptTokens:
    """Files of tokens in ``folder``, one of several beside each other. Not keeping them is no harm: they are made again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def rows(self, asked: Asked, kinds: Sequence[Any], make: Callable[[], Iterable[Row]]) -> TokenRows:
        """What ``make`` makes, or made before of what was asked."""
        if asked.characters < LEAST_CHARACTERS:
            return TokenRows.of(make(), kinds)
        path = self._folder / f"{asked.name(kinds)}.arrow"
        found = _read(path)
        if found is None:
            found = TokenRows.of(make(), kinds)
            with suppress(OSError, pa.ArrowException):
                self._keep(path, found)
        return found

    def _keep(self, path: Path, made: TokenRows) -> None:
        size_bytes = sum(column.nbytes for column in (made.starts, *made.columns))
        files.make_folder(path.parent)
        if size_bytes > MOST_BYTES // 2 or files.free_bytes(path.parent) < _TIMES_ITS_ROOM * size_bytes:
            return
        self._make_room(size_bytes)
        with files.atomic_writer(path) as file:
            _write(file, made)

    def _make_room(self, wanted_bytes: int) -> None:
        """Of all folders together the files go first that were not asked for longest, and what a process left that died."""
        room, now = MOST_BYTES - wanted_bytes, time.time()
        found = [(path, path.stat()) for path in self._folder.parent.glob("*/*")]
        for path, state in sorted(found, key=lambda pair: pair[1].st_mtime, reverse=True):
            is_half = path.suffix == ".tmp"
            room -= 0 if is_half else state.st_size
            if room < 0 or (is_half and state.st_mtime < now - _ABANDONED_SECONDS):
                path.unlink(missing_ok=True)


def rows_of(asked: Asked, kept: KeptTokens | None, kinds: Sequence[Any], make: Callable[[], Iterable[Row]]) -> TokenRows:
    """``kept``: null where nothing is."""
    return TokenRows.of(make(), kinds) if kept is None else kept.rows(asked, kinds, make)


def parts_of(fields: Sequence[Sequence[Any]], check: Check) -> Iterator[list[list[Any]]]:
    """Some rows at once."""
    for start in range(0, len(fields[0]), _AT_ONCE):
        check()
        yield [list(column[start : start + _AT_ONCE]) for column in fields]


def _write(file: Any, rows: TokenRows) -> None:
    """A table of lists, one column for each of the arrays."""
    starts = pa.array(rows.starts)
    columns = [pa.LargeListArray.from_arrays(starts, pa.array(values)) for values in rows.columns]
    fields = [pa.field(str(number), column.type) for number, column in enumerate(columns)]
    schema = pa.schema(fields, {_CHECKSUM: _checksum(rows)})
    with pa.ipc.new_file(file, schema) as table:
        table.write_batch(pa.record_batch(columns, schema=schema))


def _read(path: Path) -> TokenRows | None:
    """Mapped into memory, not copied; null where it is not there, or not whole."""
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as table:
            columns = table.get_batch(0).columns
            told = (table.schema.metadata or {}).get(_CHECKSUM)
        values = [column.values.to_numpy(zero_copy_only=True) for column in columns]
        found = TokenRows(columns[0].offsets.to_numpy(zero_copy_only=True), values)
        if told != _checksum(found):
            return None
        os.utime(path)
    except (OSError, pa.ArrowException, ValueError):
        return None
    return found


def _checksum(rows: TokenRows) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for values in (rows.starts, *rows.columns):
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest().encode()
