"""Versions made from versions: an agent mends, nothing is changed in place, and there is always a way back."""

from pathlib import Path

import pytest
from support.agents import scheduler, tick_until
from support.databases import person

from kargah.assets import blobs
from kargah.cli.agent import all_trades
from kargah.contract.fixes import AnyFix, Fix
from kargah.datasets import service, versions
from kargah.datasets.errors import BadFix, ColumnNameNotFree, UnknownColumn, UnknownVersion
from kargah.datasets.schemas import DatasetDetail, MendWish, UploadOptions
from kargah.jobs.tables import Job
from kargah.kit.errors import Forbidden
from kargah.store.access import Actor, Role
from kargah.store.database import Database

CSV = "متن,برچسب,قیمت\n" + "".join(f"خوب بود {n},مثبت,{n}\nبد بود {n},{'منفی' if n else 'منفي'},{n or ''}\n" for n in range(4))
REFUSED: tuple[tuple[dict[str, object], type[Exception]], ...] = (
    ({"kind": "merge_labels", "column": "نیست"}, UnknownColumn),
    ({"kind": "drop_columns", "columns": ["متن", "برچسب", "قیمت"]}, BadFix),
    ({"kind": "fill_missing", "column": "قیمت", "value": "گران"}, BadFix),
    ({"kind": "fill_missing", "column": "متن", "by": "mean"}, BadFix),
    ({"kind": "trim", "columns": ["قیمت"]}, BadFix),
    ({"kind": "edit_rows", "edits": [{"row": 1, "column": "قیمت", "value": "x"}]}, BadFix),
    ({"kind": "split", "validation_share": 0.6, "test_share": 0.5}, BadFix),
    ({"kind": "join_rows", "column": "قیمت"}, BadFix),
    ({"kind": "rename_column", "column": "قیمت", "to": "متن"}, ColumnNameNotFree),
    ({"kind": "rename_column", "column": "قیمت", "to": "به\u202eا"}, ColumnNameNotFree),
)


def fixes(*asked: dict[str, object]) -> list[Fix]:
    return [AnyFix.validate_python(fix) for fix in asked]


class Desk:
    """One data set and the agent that works on it."""

    def __init__(self, database: Database, actor: Actor, home: Path) -> None:
        self.database, self.actor, self.home = database, actor, home
        self.agent = scheduler(database, home, all_trades(), kinds=frozenset({"ingest", "mend"}), light_kinds=frozenset({"ingest", "mend"}))
        (home / "data.csv").write_text(CSV)
        digest = blobs.put_file(home, home / "data.csv")
        with database.write() as session:
            dataset, _, job = service.create_from_upload(session, actor, "نظرها", "data.csv", digest)
        self.id = dataset.id
        self.until_done(job.id)

    def until_done(self, job_id: str) -> None:
        def over() -> bool:
            with self.database.read() as session:
                return session.get_one(Job, job_id).state in {"COMPLETED", "FAILED"}

        tick_until(self.agent, over, limit_seconds=120)

    def mend(self, *asked: dict[str, object], why: str = "") -> None:
        with self.database.write() as session:
            version = versions.mend(session, self.actor, self.id, MendWish(fixes=fixes(*asked), why=why))
        self.until_done(version.job_id or "")

    def show(self) -> DatasetDetail:
        with self.database.read() as session:
            return service.get_for(session, self.actor, self.id)


@pytest.fixture
def desk(database: Database, actor: Actor, tmp_path: Path) -> Desk:
    return Desk(database, actor, tmp_path)


def test_a_mend_makes_a_new_version_with_its_history_and_there_is_a_way_back(desk: Desk) -> None:
    before = desk.show()
    assert before.version is not None
    offered = next(problem for problem in (before.version.report or {})["problems"] if problem["code"] == "LABEL_VARIANTS")["fixes"]
    desk.mend(*offered, {"kind": "drop_missing", "columns": ["قیمت"]}, why="برای آزمون")
    after = desk.show()
    assert after.version is not None
    assert (after.version.number, after.version.state, after.version.rows) == (2, "READY", 7)
    lineage = after.version.lineage
    assert lineage is not None
    assert (lineage.parent_id, lineage.parent_number, lineage.by, lineage.why) == (before.version.id, 1, desk.actor.name, "برای آزمون")
    assert [fix["kind"] for fix in lineage.fixes] == ["merge_labels", "drop_missing"]
    labels = next(column for column in after.version.columns or [] if column.name == "برچسب")
    assert {label.value: label.count for label in labels.top} == {"مثبت": 4, "منفی": 3}
    assert before.version.commit_id != after.version.commit_id
    assert (after.versions[1].commit_id, after.versions[1].rows) == (before.version.commit_id, 8)

    with desk.database.write() as session:
        back = versions.choose(session, desk.actor, desk.id, before.version.id)
    assert back.current_version_id == before.version.id

    desk.mend({"kind": "strip_hidden"})
    found = desk.show()
    assert (found.versions[0].state, (found.versions[0].error or {})["code"]) == ("FAILED", "NOTHING_TO_MEND")
    assert found.current_version_id == before.version.id


def test_what_cannot_be_mended_is_refused_at_once_and_others_may_not_mend(desk: Desk) -> None:
    for asked, error in REFUSED:
        with pytest.raises(error), desk.database.write() as session:
            versions.mend(session, desk.actor, desk.id, MendWish(fixes=fixes(asked)))
    assert len(desk.show().versions) == 1
    other = person(desk.database, Role.TRAINER, desk.actor.workspace_id)
    with pytest.raises(Forbidden), desk.database.write() as session:
        versions.mend(session, other, desk.id, MendWish(fixes=fixes({"kind": "trim"})))
    with pytest.raises(Forbidden), desk.database.write() as session:
        versions.choose(session, other, desk.id, desk.show().current_version_id or "")
    with pytest.raises(UnknownVersion), desk.database.write() as session:
        versions.choose(session, desk.actor, desk.id, "dsv_none")


def test_a_newer_file_keeps_what_was_said_of_columns_and_how_texts_are_normalised(desk: Desk) -> None:
    desk.mend({"kind": "set_kind", "column": "قیمت", "to": "identifier"})
    (desk.home / "newer.csv").write_text(f"{CSV}خوب بود,مثبت,9\n")
    digest = blobs.put_file(desk.home, desk.home / "newer.csv")
    with desk.database.write() as session:
        options = UploadOptions(normaliser={"digits": "latin"})
        version, job = service.add_version(session, desk.actor, desk.id, "newer.csv", digest, options=options)
    desk.until_done(job.id)
    found = desk.show().version
    assert found is not None
    assert (found.id, found.number, {column.name: column.meant for column in found.columns or []}["قیمت"]) == (version.id, 3, "identifier")
    told = {problem["code"]: problem for problem in (found.report or {})["problems"]}
    assert (told["SAID_STILL_HOLDS"]["columns"], told["SAID_STILL_HOLDS"]["params"]) == (["قیمت"], {"version": 2})
    assert "NORMALISER_KEPT" not in told
    with desk.database.write() as session:
        _, job = service.add_version(session, desk.actor, desk.id, "newest.csv", digest)
        plan = session.get_one(Job, job.id).plan
    assert (plan["said"], plan["normaliser"]["digits"]) == ({"number": 3, "meant": {"قیمت": "identifier"}, "normaliser": True}, "latin")


def test_tags_are_kept_once_and_found_however_they_are_spelt(database: Database, actor: Actor, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(CSV)
    digest = blobs.put_file(tmp_path, tmp_path / "data.csv")
    with database.write() as session:
        dataset, _, _ = service.create_from_upload(session, actor, "نظرها", "data.csv", digest)
        tagged = service.rename(session, actor, dataset.id, tags=[" فارسی ", "فارسي", "", "نقد کتاب"])
        assert (tagged.title, len(tagged.tags)) == ("نظرها", 2)
        service.rename(session, actor, dataset.id, "دیدگاه‌ها")
    with database.read() as session:
        pages = [service.list_for(session, actor, query=query).items for query in ("كتاب", "ديدگاهها")]
    assert [[found.id for found in items] for items in pages] == [[dataset.id]] * 2
