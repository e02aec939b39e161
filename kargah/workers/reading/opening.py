"""From an upload to the tables in it: what each file is (its content decides), and which files are parts of one data set."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from kargah.contract.plans import IngestPlan
from kargah.recipes.columns import ColumnKind
from kargah.text import detect
from kargah.workers.reading import columnar, containers
from kargah.workers.reading.columnar import ColumnarTable
from kargah.workers.reading.conll import ConllTable
from kargah.workers.reading.containers import Contents, Member, Tick
from kargah.workers.reading.delimited import DelimitedTable, Rows
from kargah.workers.reading.errors import SeveralTables, SplitColumnsDiffer, in_file
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.media import FolderTable
from kargah.workers.reading.plain import PlainText
from kargah.workers.reading.records import JsonTable
from kargah.workers.reading.source import HEAD_BYTES, examine

SPLIT = "split"
_PARTS = {
    "train": "train", "training": "train", "آموزش": "train", "آموزشی": "train",
    "dev": "validation", "val": "validation", "valid": "validation", "validation": "validation", "اعتبارسنجی": "validation",
    "test": "test", "testing": "test", "آزمون": "test", "آزمایش": "test",
}  # fmt: skip
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ORDER = ("train", "validation", "test")
_CUTS = re.compile(r"[\s_.\-()\[\]]+")
_MANIFESTS = ("manifest", "metadata")
_ASIDE = re.compile(r"\A(readme|licen[cs]e|source|notice|changelog|citation)\b", re.IGNORECASE)
_TABLE_ENDINGS = {
    "csv", "tsv", "tab", "psv", "txt", "json", "jsonl", "ndjson", "parquet", "arrow", "feather", "xlsx", "conll", "conllu", "bio", "iob",
}  # fmt: skip
_CALLED = {
    "xlsx": {"xlsx"}, "parquet": {"parquet"}, "arrow": {"arrow"}, "feather": {"arrow"}, "csv": {"csv", "tsv"}, "tsv": {"tsv", "csv"},
    "json": {"json", "jsonl"}, "jsonl": {"jsonl", "json"},
}  # fmt: skip


class Reader(Protocol):
    """One table. ``kinds()`` names its nested columns; ``position`` is how many of ``size_bytes`` were read so far."""

    names: list[str]
    format: str
    encoding: str
    size_bytes: int

    @property
    def delimiter(self) -> str | None: ...

    def kinds(self) -> dict[str, ColumnKind]: ...

    def rows(self) -> Rows: ...

    def position(self) -> int: ...


@dataclass(frozen=True)
class Part:
    """A table and, where there are several, which split it is."""

    name: str
    split: str | None
    table: Reader


@dataclass(frozen=True)
class Opened:
    """``contents`` says where the recordings and pictures are that the tables name."""

    parts: list[Part]
    contents: Contents

    @property
    def names(self) -> list[str]:
        names = self.parts[0].table.names
        return [*names, _split_name(names)] if len(self.parts) > 1 else list(names)


def open_upload(path: Path, plan: IngestPlan, scratch: Path, findings: Findings, tick: Tick) -> Opened:
    if _HIDDEN.search(plan.filename):
        findings.note("NAME_CLEANED", "warning", count=0)
    contents = containers.unpack(path, plan.filename, scratch, tick)
    chosen = _chosen(contents, findings)
    if not chosen:
        assert contents.archive is not None
        return Opened([Part(plan.filename, None, FolderTable(contents.archive, contents.media))], contents)
    parts = []
    for split, member in chosen:
        findings.file = member.name if len(chosen) > 1 else None
        with in_file(findings.file):
            parts.append(Part(member.name, split, _table_of(member, plan, findings, tick)))
    findings.file = None
    _check_columns(parts)
    return Opened(parts, contents)


def _table_of(member: Member, plan: IngestPlan, findings: Findings, tick: Tick) -> Reader:
    table = _reader(member, plan, findings, tick)
    called = containers.ending(member.name)
    if called in _CALLED and table.format not in _CALLED[called]:
        findings.note("NAME_MISLEADS", "warning", count=0, called=called, format=table.format)
    return table


def _reader(member: Member, plan: IngestPlan, findings: Findings, tick: Tick) -> Reader:
    head = containers.head_of(member.path, HEAD_BYTES)
    if kind := columnar.kind_of(head):
        return ColumnarTable(member.path, kind, findings, plan.leave_out_bad_rows)
    if head.startswith(b"PK\x03\x04") and containers.is_workbook(member.path):
        from kargah.workers.reading.workbook import WorkbookTable  # as long to import as all the rest

        return WorkbookTable(member.path, findings)
    source = examine(member.path, member.name, findings, tick, plan.encoding)
    if source.shape in (detect.Shape.CONLL, detect.Shape.CONLL_U) and plan.delimiter is None:
        return ConllTable(source, findings)
    if source.shape is detect.Shape.PLAIN and plan.delimiter is None:
        return PlainText(source, findings)
    if source.shape in (detect.Shape.JSON_LINES, detect.Shape.JSON_ARRAY, detect.Shape.JSON_OBJECT):
        return JsonTable(source, findings, tick, plan.leave_out_bad_rows)
    return DelimitedTable(source, findings, plan.delimiter)


def _chosen(contents: Contents, findings: Findings) -> list[tuple[str | None, Member]]:
    """The members that make the data set, splits in their order; none when there are only recordings or pictures."""
    members = contents.members
    if len(members) > 1:
        members = [member for member in members if not _ASIDE.match(_stem(member))] or members
    if len(members) > 1:
        members = [member for member in members if containers.ending(member.name) in _TABLE_ENDINGS] or members
    if len(members) <= 1:
        return [(None, member) for member in members]
    splits = _splits(members)
    manifest = [member for member in members if _stem(member).lower() in _MANIFESTS]
    if not splits and len(manifest) != 1:
        raise SeveralTables(names=[member.name for member in members[:10]])
    chosen: list[tuple[str | None, Member]] = [(split, splits[split]) for split in _ORDER if split in splits]
    chosen = chosen or [(None, manifest[0])]
    others = [member.name for member in members if member not in [taken for _split, taken in chosen]]
    if others:
        findings.note("OTHER_FILES", "warning", count=len(others), names=others[:10])
    return chosen


def _splits(members: list[Member]) -> dict[str, Member]:
    """By split, when there is a training part, another one, and no two that claim the same."""
    found: dict[str, Member] = {}
    for member in members:
        named = {_PARTS[word] for word in _CUTS.split(_stem(member).lower()) if word in _PARTS}
        if len(named) == 1:
            split = named.pop()
            if split in found:
                return {}
            found[split] = member
    return found if "train" in found and len(found) > 1 else {}


def _check_columns(parts: list[Part]) -> None:
    """Further parts may have columns more, and in another order; none may lack one."""
    first = parts[0]
    for part in parts[1:]:
        missing = [name for name in first.table.names if name not in part.table.names]
        if missing:
            raise SplitColumnsDiffer(file=part.name, missing=missing[:10], other=first.name, found=part.table.names[:20])


def _split_name(names: list[str]) -> str:
    name, number = SPLIT, 1
    while name in names:
        number += 1
        name = f"{SPLIT}_{number}"
    return name


def _stem(member: Member) -> str:
    return PurePosixPath(member.name).stem
