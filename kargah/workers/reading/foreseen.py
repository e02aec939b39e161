"""The typed table, written while the file is still being read: by the types that its first rows give the columns.

Most files keep what their first rows promise. Of one that does not nothing is lost but time: cells that do not stay as they came wait
as they were, and all is written once more.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from kargah.recipes.columns import Column
from kargah.workers.reading.batch import behind
from kargah.workers.reading.table import strings_schema, waiting, waiting_at
from kargah.workers.reading.typed import TypedFile, Typing, gathering, row_groups

#: Of batches that wait to be written, and of typed ones that wait to be looked at, which takes long of the first rows.
UNWRITTEN_BYTES, UNSEEN_BYTES = 16 << 20, 32 << 20
Take = Callable[[Any], None]


class Foreseen:
    """``guess`` is asked when the first rows have come: the columns as they seem, or null where they cannot be foreseen. ``see`` is told
    them, and makes what gets each typed batch, in a thread of its own.
    """

    def __init__(self, folder: Path, guess: Callable[[], Sequence[Column] | None], see: Callable[[Sequence[Column]], Take]) -> None:
        self._raw, self._parquet = folder / "raw.arrow", folder / "foreseen.parquet"
        self._guess, self._see = guess, see
        self._typing: Typing | None = None
        self._file: TypedFile | None = None
        self._is_mistaken = False

    @contextmanager
    def growing(self) -> Iterator[Take]:
        """What is yielded takes batches of strings, measured before they are given."""
        with ExitStack() as opened:
            put: Take | None = None

            def take(batch: Any) -> None:
                nonlocal put
                put = put or self._begun(batch.num_columns, opened)
                put(batch)

            with gathering(take) as gather:
                yield gather

    def holds(self, columns: Sequence[Column]) -> bool:
        """Whether the file that was written is that of these columns."""
        return self._typing is not None and not self._is_mistaken and self._typing.schema == Typing(columns).schema

    def keep_at(self, target: Path) -> list[Any]:
        """The file that was written becomes ``target``. The first rows are returned for the preview."""
        assert self._file is not None
        os.replace(self._parquet, target)
        return self._file.preview

    def strings(self) -> Iterator[Any]:
        """The batches that were taken, as they came."""
        if self._typing is None:
            yield from waiting(self._raw)
            return
        changing = self._typing.changing
        if not changing:
            yield from row_groups(self._parquet)
            return
        for typed, strings in zip(row_groups(self._parquet), waiting(self._raw), strict=True):
            arrays = list(typed.columns)
            for place, array in zip(changing, strings.columns, strict=True):
                arrays[place] = array
            yield pa.record_batch(arrays, schema=strings_schema(len(arrays)))

    def _begun(self, width: int, opened: ExitStack) -> Take:
        columns = self._guess()
        typing = None if columns is None else Typing(columns)
        if columns is None or typing is None or not typing.is_cheap:
            return opened.enter_context(waiting_at(self._raw, strings_schema(width)))
        self._typing, changing = typing, typing.changing
        file = self._file = opened.enter_context(TypedFile(self._parquet, columns, typing.schema))
        wait = opened.enter_context(waiting_at(self._raw, strings_schema(len(changing)))) if changing else None
        show = opened.enter_context(behind(self._see(columns), UNSEEN_BYTES))

        def written(strings: Any) -> None:
            typed = self._typed(typing, strings)
            file.write(typed)
            if not self._is_mistaken:
                show(typed)

        write = opened.enter_context(behind(written, UNWRITTEN_BYTES))

        def put(strings: Any) -> None:
            if wait is not None:
                wait(pa.record_batch([strings.column(place) for place in changing], schema=strings_schema(len(changing))))
            write(strings)

        return put

    def _typed(self, typing: Typing, strings: Any) -> Any:
        """What is no value of the kind that its column seemed to have says that it has another: then only the others are worth typing."""
        if not self._is_mistaken:
            try:
                return typing.batch(strings)
            except (pa.ArrowInvalid, ValueError, OverflowError):
                self._is_mistaken = True
        return typing.hollow(strings)
