"""Why something cannot be done with a data set. Texts: ``error.<CODE>`` in ``locale/*/datasets.po``."""

from kargah.kit.errors import BadInput, Conflict, NotAvailable, NotFound


class TitleMissing(BadInput):
    code = "TITLE_MISSING"


class NotImported(Conflict):
    """``state``: the version is IMPORTING, or has FAILED."""

    code = "NOT_IMPORTED"


class UnknownColumn(BadInput):
    """``column``, ``known``: the names there are."""

    code = "UNKNOWN_COLUMN"


class ColumnNameNotFree(BadInput):
    """``name``: another column's, or none that a column can have."""

    code = "COLUMN_NAME_NOT_FREE"


class UnknownVersion(NotFound):
    """``version``: no READY version of this data set."""

    code = "UNKNOWN_VERSION"


class RowsUnreadable(NotAvailable):
    """``title``: the data set whose rows could not be read in time."""

    code = "ROWS_UNREADABLE"


class BadFix(BadInput):
    """``field``, ``reason``, ``known``: the kinds of fixes."""

    code = "BAD_FIX"
