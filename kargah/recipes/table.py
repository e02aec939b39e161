"""A data set version as training reads it: columns of Python values, and what was measured of them at import."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.columns import Column
from kargah.recipes.errors import ColumnMissing
from kargah.text.normalise import Normaliser, NormaliserSettings


@dataclass(frozen=True)
class Table:
    """``values[name]`` are the raw values of a column, None where there is none. ``normaliser`` is the data set's own.

    ``weight``: how often a training row of it is seen in an epoch, on the mean.
    """

    columns: dict[str, Column]
    values: dict[str, list[Any]]
    rows: int
    normaliser: dict[str, Any] | None = None
    title: str = ""
    weight: float = 1.0

    def column(self, name: str, role: str) -> list[Any]:
        """Raises ColumnMissing, naming the role and the columns there are."""
        if name not in self.values:
            raise ColumnMissing(field=f"spec.columns.{role}", column=name, known=", ".join(self.values))
        return self.values[name]


def read(folder: Path, normaliser: dict[str, Any] | None = None, only: Sequence[str] | None = None) -> Table:
    """Read ``data.parquet`` and ``columns.json``; ``only`` leaves other columns on the disk."""
    import pyarrow.parquet as pq

    described = {column["name"]: Column.model_validate(column) for column in files.read_json(folder / "columns.json")}
    table = pq.read_table(folder / "data.parquet", columns=list(only) if only else None, use_threads=False)
    values = {name: table.column(name).to_pylist() for name in table.column_names}
    return Table(described, values, table.num_rows, normaliser)


def renamed(table: Table, names: dict[str, str]) -> Table:
    """The columns under other names (new → present), so that it stands in line with another table. One that has a new name goes."""
    own = {present: new for new, present in names.items()}
    kept = [name for name in table.values if name in own or name not in names]
    columns = {own.get(name, name): table.columns[name].model_copy(update={"name": own.get(name, name)}) for name in kept}
    return replace(table, columns=columns, values={own.get(name, name): table.values[name] for name in kept})


def normaliser_of(settings: dict[str, Any] | None) -> Normaliser | None:
    return Normaliser(NormaliserSettings.model_validate(settings)) if settings is not None else None


def as_label(value: Any) -> str | None:
    """A class by its name. 1, 1.0 and "1" are one class: a column with gaps arrives as floats. Empty text is no label."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    return text or None
