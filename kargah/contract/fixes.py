"""What can be mended in a data set version. Mends are made together, in the order of ``Fix``, and give one new version.

Row numbers are of the parent version, from 1. An empty list of columns means all that the mend can concern.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Columns = Annotated[list[str], Field(max_length=4096)]
Otherwise = Literal["empty", "drop"]
Meaning = Literal["number", "category", "text", "date", "identifier"]
Language = Literal["persian", "arabic", "latin", "mixed"]
Personal = Literal["email", "phone", "card", "national_id", "iban"]


class _Fix(BaseModel):
    """``safe``: cannot take away what a model could learn from, so all such mends may be made at one press."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    safe: ClassVar[bool] = False


class CellEdit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    row: int = Field(ge=1)
    column: str
    value: str | None = Field(max_length=100_000)


class EditRows(_Fix):
    """What a person wrote into cells, and rows that they took out."""

    kind: Literal["edit_rows"] = "edit_rows"
    edits: list[CellEdit] = Field([], max_length=10_000)
    deletions: list[Annotated[int, Field(ge=1)]] = Field([], max_length=100_000)


class PadRows(_Fix):
    """Brings back rows of the file that were left out for having too few fields: those that lack at the end are empty.

    ``file``: of several that were read as the parts of one data set; null means all.
    """

    kind: Literal["pad_rows"] = "pad_rows"
    file: str | None = Field(None, max_length=1000)


class JoinRows(_Fix):
    """Brings back rows of the file that were left out for having too many fields: as many as are too many are joined in ``column``."""

    kind: Literal["join_rows"] = "join_rows"
    file: str | None = Field(None, max_length=1000)
    column: str


class LeaveOutRows(_Fix):
    """Rows of the file that were left out for their width stay so, and are spoken of no more."""

    kind: Literal["leave_out_rows"] = "leave_out_rows"
    file: str | None = Field(None, max_length=1000)


class StripHidden(_Fix):
    """Takes out the characters that turn the direction of a text."""

    kind: Literal["strip_hidden"] = "strip_hidden"
    columns: Columns = []
    safe: ClassVar[bool] = True


class RepairEncoding(_Fix):
    """Reads texts again that were read in a wrong encoding, where nothing was lost (kargah.text.mojibake)."""

    kind: Literal["repair_encoding"] = "repair_encoding"
    columns: Columns = []
    safe: ClassVar[bool] = True


class Trim(_Fix):
    """Takes the blanks off both ends."""

    kind: Literal["trim"] = "trim"
    columns: Columns = []
    safe: ClassVar[bool] = True


class Normalise(_Fix):
    """Writes texts as the version's normaliser does."""

    kind: Literal["normalise"] = "normalise"
    columns: Columns = []


class MergeLabels(_Fix):
    """``merges``: old label → new one. Without it, spellings of one label become its most frequent."""

    kind: Literal["merge_labels"] = "merge_labels"
    column: str
    merges: dict[str, str] | None = Field(None, max_length=10_000)
    safe: ClassVar[bool] = True


class MaskPersonal(_Fix):
    """Writes <PHONE> in the place of a phone number, and so on."""

    kind: Literal["mask_personal"] = "mask_personal"
    columns: Columns = []
    what: list[Personal] = ["email", "phone", "card", "national_id", "iban"]


class CapLength(_Fix):
    """Cuts longer texts at ``characters``."""

    kind: Literal["cap_length"] = "cap_length"
    columns: Columns = []
    characters: int = Field(ge=1, le=10_000_000)


class Cast(_Fix):
    """Makes numbers of a column. What is none becomes empty, or its row goes."""

    kind: Literal["cast"] = "cast"
    column: str
    otherwise: Otherwise = "empty"


class CastDates(_Fix):
    """Writes dates of either calendar as ISO dates of one. What is none, or no day that there is, becomes empty, or its row goes."""

    kind: Literal["cast_dates"] = "cast_dates"
    column: str
    calendar: Literal["gregorian", "jalali"] = "gregorian"
    otherwise: Otherwise = "empty"


class SetKind(_Fix):
    """What a column is, as a person says. What is no such value (of numbers and dates) becomes empty, or its row goes.

    Values stay as they are: a date is written as it was, an identifier is kept and not learnt from.
    """

    kind: Literal["set_kind"] = "set_kind"
    column: str
    to: Meaning
    otherwise: Otherwise = "empty"


class RepairTags(_Fix):
    """A tag I-X that nothing begins becomes B-X."""

    kind: Literal["repair_tags"] = "repair_tags"
    column: str
    safe: ClassVar[bool] = True


class FillMissing(_Fix):
    """Fills empty cells with a value, or with what the column itself says."""

    kind: Literal["fill_missing"] = "fill_missing"
    column: str
    by: Literal["value", "mean", "median", "most_frequent"] = "value"
    value: str | None = Field(None, max_length=10_000)


class DropMissing(_Fix):
    """Takes out rows where one of ``columns`` is empty."""

    kind: Literal["drop_missing"] = "drop_missing"
    columns: Columns = Field(min_length=1)


class DropClasses(_Fix):
    """Takes out rows with these labels."""

    kind: Literal["drop_classes"] = "drop_classes"
    column: str
    labels: list[str] = Field(min_length=1, max_length=10_000)


class KeepLanguages(_Fix):
    """Takes out rows whose text in ``column`` is in another language; a text without letters is in none, and stays."""

    kind: Literal["keep_languages"] = "keep_languages"
    column: str
    languages: list[Language] = Field(min_length=1)


class CapClasses(_Fix):
    """Keeps of each label at most so many ``rows``, chosen by chance from the seed."""

    kind: Literal["cap_classes"] = "cap_classes"
    column: str
    rows: int = Field(ge=1, le=2**53)
    seed: int = Field(42, ge=0, le=2**31 - 1)


class DropSame(_Fix):
    """Takes out rows that say one thing in all of ``columns``: a pair of equal answers teaches nothing."""

    kind: Literal["drop_same"] = "drop_same"
    columns: Columns = Field(min_length=2)


class DropBrokenTurns(_Fix):
    """Takes out conversations in which user and assistant do not take turns."""

    kind: Literal["drop_broken_turns"] = "drop_broken_turns"
    column: str


class DropConflicts(_Fix):
    """Takes out all rows whose ``inputs`` also stand with another ``target``."""

    kind: Literal["drop_conflicts"] = "drop_conflicts"
    inputs: Columns = Field(min_length=1)
    target: str


class DropDuplicates(_Fix):
    """Keeps the first of equal rows: equal in ``columns``, and ``near``: equal but for letters, blanks and marks."""

    kind: Literal["drop_duplicates"] = "drop_duplicates"
    columns: Columns = []
    near: bool = False

    @property
    def is_safe(self) -> bool:
        return not self.near and not self.columns


class DropLeaked(_Fix):
    """Takes rows out of the test part whose ``inputs`` also stand in the training part."""

    kind: Literal["drop_leaked"] = "drop_leaked"
    column: str
    inputs: Columns = Field(min_length=1)


class DropColumns(_Fix):
    kind: Literal["drop_columns"] = "drop_columns"
    columns: Columns = Field(min_length=1)


class RenameColumn(_Fix):
    """Other mends made together with it know the column by its former name."""

    kind: Literal["rename_column"] = "rename_column"
    column: str
    to: str = Field(min_length=1, max_length=200)


class Split(_Fix):
    """Writes ``train``, ``validation`` or ``test`` into ``column``: seeded, with the shares of ``stratify``'s values kept,
    and rows with the same value of ``group`` together."""

    kind: Literal["split"] = "split"
    column: str = Field("split", min_length=1, max_length=200)
    validation_share: float = Field(0.1, ge=0, lt=1)
    test_share: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(42, ge=0, le=2**31 - 1)
    stratify: str | None = None
    group: str | None = None


Fix = Annotated[
    EditRows | PadRows | JoinRows | LeaveOutRows | StripHidden | RepairEncoding | Trim | Normalise | MaskPersonal | CapLength | MergeLabels
    | Cast | CastDates | SetKind
    | RepairTags | FillMissing | DropMissing | DropClasses | KeepLanguages | DropSame | DropBrokenTurns | DropConflicts | DropDuplicates
    | DropLeaked | CapClasses | DropColumns | Split | RenameColumn,
    Field(discriminator="kind"),
]  # fmt: skip
AnyFix: TypeAdapter[Fix] = TypeAdapter(Fix)

#: In which order mends are made, whatever the order in which they were asked for.
ORDER = tuple(
    kind.model_fields["kind"].default
    for kind in (
        EditRows, PadRows, JoinRows, LeaveOutRows, StripHidden, RepairEncoding, Trim, Normalise, MaskPersonal, CapLength, MergeLabels,
        Cast, CastDates, SetKind,
        RepairTags, FillMissing, DropMissing, DropClasses, KeepLanguages, DropSame, DropBrokenTurns, DropConflicts, DropDuplicates,
        DropLeaked, CapClasses, DropColumns, Split, RenameColumn,
    )
)  # fmt: skip


def is_safe(fix: Fix) -> bool:
    return fix.is_safe if isinstance(fix, DropDuplicates) else fix.safe


def columns_of(fix: Fix) -> list[str]:
    """The columns that must be there for it."""
    named: list[Any] = [getattr(fix, "columns", []), getattr(fix, "inputs", [])]
    single = [getattr(fix, name, None) for name in ("target", "stratify", "group")]
    if not isinstance(fix, Split):
        single.append(getattr(fix, "column", None))
    edited = [edit.column for edit in fix.edits] if isinstance(fix, EditRows) else []
    return [name for names in named for name in names] + [name for name in single if name] + edited
