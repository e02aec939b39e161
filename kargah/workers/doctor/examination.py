"""The data doctor: looks at the typed table, batch by batch as it is written, by families of findings for one kind of trouble each.

Where only a part is looked at, the finding says of how many rows it speaks (``looked_at``). Places are rows of the table, from 1.
"""

from collections.abc import Mapping
from typing import Any, Protocol

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
from kargah.workers.reading.signs import PersonalRows


class Family(Protocol):
    """``see`` gets every batch with the number of its first row; ``say`` writes what was found."""

    def see(self, batch: Any, first_row: int) -> None: ...

    def say(self, findings: Findings) -> None: ...


class Examination:
    """``see`` every batch of the typed table in their order, then ``say``. ``personal``: what reading already saw, by column."""

    def __init__(self, columns: list[Column], personal: Mapping[str, PersonalRows]) -> None:
        self._columns, self._roles = columns, Roles.of(columns)
        self._families = _families(columns, self._roles, personal)
        self._rows = 0

    def see(self, batch: Any) -> None:
        for family in self._families:
            family.see(batch, self._rows + 1)
        self._rows += batch.num_rows

    def say(self, findings: Findings) -> None:
        say_of_labels(self._columns, self._roles, findings)
        for family in self._families:
            family.say(findings)


def _families(columns: list[Column], roles: Roles, personal: Mapping[str, PersonalRows]) -> list[Family]:
    return [
        Cells(columns),
        NumbersAmongText(columns),
        PersonalData(columns, personal),
        Languages(columns),
        Duplicates(columns, roles),
        Leaks(columns, roles),
        OneSideProbe(roles),
        Tags(columns),
        Conversations(columns),
    ]
