"""Why something cannot be done with a data set. Texts: ``error.<CODE>`` in ``locale/*/datasets.po``."""

from kargah.kit.errors import BadInput, Conflict


class TitleMissing(BadInput):
    code = "TITLE_MISSING"


class NotImported(Conflict):
    """``state``: the version is IMPORTING, or has FAILED."""

    code = "NOT_IMPORTED"
