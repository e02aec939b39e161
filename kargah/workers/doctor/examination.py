"""The data doctor: one more reading of the typed table, in batches, by families of findings that each look at one kind of trouble.

Where only a part is looked at, the finding says of how many rows it speaks (``looked_at``). Places are rows of the table, from 1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from kargah.recipes.columns import Column
from kargah.workers.doctor.cells import Cells, NumbersAmongText
from kargah.workers.doctor.duplicates import Duplicates
from kargah.workers.doctor.labels import say_of_labels
from kargah.workers.doctor.language import Languages
from kargah.workers.doctor.leaks import Leaks
from kargah.workers.doctor.personal import PersonalData
from kargah.workers.doctor.probe import OneSideProbe
from kargah.workers.doctor.roles import Roles
from kargah.workers.doctor.sequences import Conversations, Tags
from kargah.workers.reading.findings import Findings

BATCH_ROWS = 10_000


class Family(Protocol):
    """``see`` gets every batch with the number of its first row; ``say`` writes what was found."""

    def see(self, batch: Any, first_row: int) -> None: ...

    def say(self, findings: Findings) -> None: ...


def examine(path: Path, columns: list[Column], findings: Findings, tick: Callable[[int], None]) -> None:
    """Look at the table and add to ``findings``. ``tick`` is called with the rows seen so far and may raise to end it all."""
    roles = Roles.of(columns)
    families = _families(columns, roles)
    seen = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for family in families:
                family.see(batch, seen + 1)
            seen += batch.num_rows
            tick(seen)
    say_of_labels(columns, roles, findings)
    for family in families:
        family.say(findings)


def _families(columns: list[Column], roles: Roles) -> list[Family]:
    return [
        Cells(columns),
        NumbersAmongText(columns),
        PersonalData(columns),
        Languages(columns),
        Duplicates(columns, roles),
        Leaks(columns, roles),
        OneSideProbe(roles),
        Tags(columns),
        Conversations(columns),
    ]
