"""What is known about the columns of a table: measured once at import, read by every recipe's guess and form."""

from enum import StrEnum

from pydantic import BaseModel


class ColumnKind(StrEnum):
    """What the values of a column are, and so how ``data.parquet`` holds them (decision 0015).

    LIST: list of strings (tokens, tags, sets of labels). MESSAGES: list of {role, content}. ANSWERS: {text: [...],
    answer_start: [...]}. AUDIO, IMAGE: {path, bytes}. JSON: any other nested value, as JSON text.
    """

    TEXT = "text"
    CATEGORY = "category"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    MESSAGES = "messages"
    ANSWERS = "answers"
    AUDIO = "audio"
    IMAGE = "image"
    JSON = "json"
    EMPTY = "empty"


class Meaning(StrEnum):
    """What a person said that a column is, whatever its values look like."""

    NUMBER = "number"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"
    IDENTIFIER = "identifier"


class LabelCount(BaseModel):
    value: str
    count: int


class Column(BaseModel):
    """One column. Lengths are in characters; ``top`` holds the most frequent values when ``distinct`` is small (≤ 200).

    ``meant``: null where nobody said what the column is, and its name and values tell.
    """

    name: str
    kind: ColumnKind
    meant: Meaning | None = None
    rows: int
    nulls: int = 0
    distinct: int
    distinct_is_exact: bool = True
    mean_length: float | None = None
    p95_length: int | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    top: list[LabelCount] = []
    examples: list[str] = []
