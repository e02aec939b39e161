"""The data doctor: looks at the typed table, batch by batch as it is written, by families of findings for one kind of trouble each.

Where only a part is looked at, the finding says of how many rows it speaks (``looked_at``). Places are rows of the table, from 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kargah.recipes.columns import Column
from kargah.workers.doctor.cells import Cells, NumbersAmongText
from kargah.workers.doctor.duplicates import Duplicates
from kargah.workers.doctor.labels import say_of_labels
from kargah.workers.doctor.language import Languages
from kargah.workers.doctor.leaks import Leaks
from kargah.workers.doctor.personal import PersonalData
from kargah.workers.doctor.probe import OneSideProbe
from kargah.workers.doctor.scope import Columns, Scope
from kargah.workers.doctor.sequences import Conversations, Tags
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.signs import PersonalRows


class Family(Protocol):
    """``see`` gets every batch with the number of its first row; ``say`` writes what was found, of ``columns`` as they turned out."""

    def see(self, batch: Any, first_row: int) -> None: ...

    def say(self, columns: Columns, findings: Findings) -> None: ...


class Examination:
    """``see`` every batch of the typed table in their order, then ``say``. ``personal``: what reading already saw, by column.

    ``columns`` may be those of the first rows alone, where those of all rows are covered by them.
    """

    def __init__(self, columns: Sequence[Column], personal: Mapping[str, PersonalRows]) -> None:
        self._scope = Scope.of(columns)
        self._families = _families(self._scope, personal)
        self._rows = 0

    def covers(self, columns: Sequence[Column]) -> bool:
        """Whether it sees all that is to be seen of these."""
        return self._scope.covers(Scope.of(columns))

    def see(self, batch: Any) -> None:
        for family in self._families:
            family.see(batch, self._rows + 1)
        self._rows += batch.num_rows

    def say(self, columns: Sequence[Column], findings: Findings) -> None:
        say_of_labels(columns, self._scope.roles, findings)
        by_name = {column.name: column for column in columns}
        for family in self._families:
            family.say(by_name, findings)


def _families(scope: Scope, personal: Mapping[str, PersonalRows]) -> list[Family]:
    """Of columns they know nothing but the scope before they speak."""
    return [
        Cells(scope),
        NumbersAmongText(scope),
        PersonalData(scope, personal),
        Languages(scope),
        Duplicates(scope.roles),
        Leaks(scope),
        OneSideProbe(scope.roles),
        Tags(scope),
        Conversations(scope),
    ]
