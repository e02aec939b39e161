"""Why a file cannot be made a table at all. Lesser trouble is a finding and lets the import go on.

Texts: ``error.<CODE>`` in ``locale/*/datasets.po``.
"""

from kargah.kit.errors import BadInput


class EmptyFile(BadInput):
    code = "EMPTY_FILE"


class HeaderOnly(BadInput):
    """``columns``: the names that were found."""

    code = "HEADER_ONLY"


class BinaryFile(BadInput):
    """``found``: what the bytes are (PNG, ZIP …)."""

    code = "BINARY_FILE"


class NotTabular(BadInput):
    """``found``: what the text is instead (HTML, scalar …)."""

    code = "NOT_TABULAR"


class UnclosedQuote(BadInput):
    """``line``: where the quote was opened."""

    code = "UNCLOSED_QUOTE"


class RowTooLong(BadInput):
    """``line``, ``limit_bytes``."""

    code = "ROW_TOO_LONG"


class NoUsableRows(BadInput):
    """``rows_dropped``, ``lines``: the first of the rows that had to be left out."""

    code = "NO_USABLE_ROWS"


class NestedTooDeeply(BadInput):
    code = "NESTED_TOO_DEEPLY"


class BrokenJson(BadInput):
    """``line``, ``column``."""

    code = "BROKEN_JSON"


class JsonTooLarge(BadInput):
    """``size_bytes``, ``limit_bytes``: one JSON object must fit into memory, JSON lines need not."""

    code = "JSON_TOO_LARGE"


class BrokenArchive(BadInput):
    """A gzip file that ends early or does not match its checksum."""

    code = "BROKEN_ARCHIVE"


class ExpandsTooMuch(BadInput):
    """``limit_bytes``: a compressed file of suspicious size."""

    code = "EXPANDS_TOO_MUCH"


class TooManyColumns(BadInput):
    """``columns``, ``limit``."""

    code = "TOO_MANY_COLUMNS"


class UnknownEncoding(BadInput):
    """``encoding``: what the plan asks for."""

    code = "UNKNOWN_ENCODING"


class UnknownColumnsDelimiter(BadInput):
    """``delimiter``: what the plan asks for; one character is needed."""

    code = "BAD_DELIMITER"
