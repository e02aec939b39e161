"""An upload and an agent: the bundled sample goes all the way by itself."""

from pathlib import Path

from support.agents import scheduler, tick_until
from support.far import far_server

from kargah.assets import blobs
from kargah.cli.agent import all_trades
from kargah.datasets import importing, service
from kargah.datasets.bundled import SAMPLES
from kargah.datasets.importing import UrlWish
from kargah.datasets.schemas import VersionOut
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.tables import Job
from kargah.kit.settings import load
from kargah.store.access import Actor
from kargah.store.database import Database


def test_an_agent_imports_what_was_uploaded(database: Database, actor: Actor, tmp_path: Path) -> None:
    digest = blobs.put_file(tmp_path, SAMPLES / "genre-fa.csv")
    with database.write() as session:
        dataset, _, job = service.create_from_upload(session, actor, None, "genre-fa.csv", digest)
    agent = scheduler(database, tmp_path, all_trades(), kinds=frozenset({"ingest"}), light_kinds=frozenset({"ingest"}))

    def state() -> str:
        with database.read() as session:
            return session.get_one(Job, job.id).state

    tick_until(agent, lambda: state() in {"COMPLETED", "FAILED"}, limit_seconds=60)
    with database.read() as session:
        found = service.get_for(session, actor, dataset.id)
        suggested = service.suggest(session, actor, dataset.id)[0]
    assert state() == "COMPLETED"
    assert found.version is not None
    assert (found.version.state, found.version.rows, found.version.columns[1].distinct) == ("READY", 2000, 4)  # type: ignore[index]
    assert (suggested.recipe, suggested.columns) == ("text-classification", {"text": "متن", "label": "گونه"})


def test_a_fetch_that_is_paused_goes_on_where_it_was(database: Database, actor: Actor, tmp_path: Path) -> None:
    content = b"text,label\n" + b"".join(b"review number %d of this shop,%d\n" % (number, number % 2) for number in range(40_000))
    with far_server() as far:
        far.files["/data.csv"], far.breaks_after = content, [len(content) // 2, 0, 0, 0, 0, 0]
        settings = load(home=tmp_path, url_import_allow=["127.0.0.1"])
        with database.write() as session:
            dataset = importing.import_url(session, actor, settings, UrlWish(url=f"{far.url}/data.csv"))
            job_id = service.get_for(session, actor, dataset.id).versions[0].job_id or ""
        agent = scheduler(database, tmp_path, all_trades(), kinds=frozenset({"ingest"}), light_kinds=frozenset({"ingest"}))

        def job() -> JobOut:
            with database.read() as session:
                return jobs.show(session, actor, job_id)

        tick_until(agent, lambda: job().state == "RUNNING" and bool(job().progress.get("done")), limit_seconds=60)
        assert (job().progress["code"], job().progress.get("percent")) == ("datasets.fetching", None)
        with database.write() as session:
            jobs.pause(session, actor, job_id)
        tick_until(agent, lambda: job().state == "PAUSED", limit_seconds=60)
        assert (job().progress["done"], job().progress["total"]) == (len(content) // 2, len(content))
        far.breaks_after, far.asked = [], []
        with database.write() as session:
            jobs.resume(session, actor, job_id)
        tick_until(agent, lambda: job().is_over, limit_seconds=60)
    assert (job().state, far.asked) == ("COMPLETED", [("/data.csv", f"bytes={len(content) // 2}-")])
    with database.read() as session:
        assert service.preview(session, actor, dataset.id, tmp_path).total_rows == 40_000


def test_an_agent_fetches_what_is_named_by_its_address(database: Database, actor: Actor, tmp_path: Path) -> None:
    content = (SAMPLES / "genre-fa.csv").read_bytes()
    with far_server() as far:
        settings = load(home=tmp_path, url_import_allow=["127.0.0.1"])
        with database.write() as session:
            wishes = [UrlWish(url=f"{far.url}/{path}?key=secret") for path in ("export", "nothing")]
            far.files["/export?key=secret"], far.names["/export?key=secret"] = content, "گونه‌ها.csv"
            made, failed = (importing.import_url(session, actor, settings, wish) for wish in wishes)
        agent = scheduler(database, tmp_path, all_trades(), kinds=frozenset({"ingest"}), light_kinds=frozenset({"ingest"}))

        def found(dataset_id: str) -> VersionOut:
            with database.read() as session:
                version = service.get_for(session, actor, dataset_id).version
            assert version is not None
            return version

        tick_until(agent, lambda: "IMPORTING" not in {found(made.id).state, found(failed.id).state}, limit_seconds=60)
    version = found(made.id)
    assert (version.state, version.rows, version.source_filename) == ("READY", 2000, "گونه‌ها.csv")
    assert version.source_size_bytes == len(content)
    assert made.source_note == f"{far.url}/export"
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.read_bytes() == content]
    error = found(failed.id).error
    assert error is not None
    assert (error["code"], error["params"]["http_status"], "secret" in str(error)) == ("REMOTE_REFUSED", 404, False)
