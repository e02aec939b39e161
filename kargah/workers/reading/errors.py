"""Why a file cannot be made a table at all. Lesser trouble is a finding and lets the import go on.

Texts: ``error.<CODE>`` in ``locale/*/datasets.po``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kargah.kit.errors import BadInput, KargahError


@contextmanager
def in_file(name: str | None) -> Iterator[None]:
    """What is raised within names the file that it was read from, where it is one of several."""
    try:
        yield
    except KargahError as error:
        if name is not None:
            error.params.setdefault("file", name)
        raise


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
    """``kind``: a compressed file that ends early, or does not match its checksum or the sizes it states."""

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


class NestedArchive(BadInput):
    """``kind``: an archive within an archive."""

    code = "NESTED_ARCHIVE"


class ArchivePath(BadInput):
    """``name``: an entry that would lie outside the folder it is unpacked to."""

    code = "ARCHIVE_PATH"


class EmptyArchive(BadInput):
    code = "EMPTY_ARCHIVE"


class EncryptedArchive(BadInput):
    code = "ENCRYPTED_ARCHIVE"


class TooManyFiles(BadInput):
    """``files``, ``limit``."""

    code = "TOO_MANY_FILES"


class SeveralTables(BadInput):
    """``names``: the tables of an archive (or the sheets of a workbook) of which none is the obvious one."""

    code = "SEVERAL_TABLES"


class SplitColumnsDiffer(BadInput):
    """``file`` lacks ``missing``, which ``other`` has."""

    code = "SPLIT_COLUMNS_DIFFER"


class UnseenLabel(BadInput):
    """``file``, ``line``, ``column``, ``label``: a class that the training part has not."""

    code = "UNSEEN_LABEL"


class BrokenTable(BadInput):
    """``kind``: a Parquet, Arrow or Excel file that cannot be opened."""

    code = "BROKEN_TABLE"


class BrokenLines(BadInput):
    """``count``, ``reasons``: a list of {code, params: {line}}, of the first lines that are no JSON at all."""

    code = "BROKEN_LINES"


class BrokenChats(BadInput):
    """``count``, ``reasons``: a list of {code, params: {line}}, one for each of the first conversations that are none."""

    code = "BROKEN_CHATS"


class TagsDoNotMatch(BadInput):
    """``count``, ``reasons``: a list of {code, params: {line, tokens, tags}}."""

    code = "TAGS_DO_NOT_MATCH"


class MediaMissing(BadInput):
    """``name``, ``line``: a file that the manifest names and the archive has not."""

    code = "MEDIA_MISSING"
