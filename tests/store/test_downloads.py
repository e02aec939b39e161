"""Downloads as people ask for them, and what their end means, with an agent that runs them, on both databases."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.agents import scheduler, tick_until
from support.databases import person
from support.hub_server import Repository, fake_hub
from support.model_folders import make_folder

from kargah.assets.tables import Asset
from kargah.cli.agent import all_trades
from kargah.contract.hubs import downloads_folder
from kargah.datasets import service as datasets
from kargah.jobs import service as jobs
from kargah.kit.errors import DiskFull, Forbidden
from kargah.kit.settings import Settings, load
from kargah.models import catalogue, downloaded, downloads, offers
from kargah.models import service as models
from kargah.models.catalogue import Kind
from kargah.models.downloads import DownloadActive, DownloadOut, DownloadWish, Offline, Status
from kargah.models.fitting import Fit, fit_of
from kargah.monitoring import resources
from kargah.store.access import Actor, Role
from kargah.store.database import Database

PARSBERT = "HooshvareLab/bert-fa-base-uncased"
KINDS = {"kinds": frozenset({"download", "ingest"}), "light_kinds": frozenset({"download", "ingest"})}


def settings_for(home: Path, *hubs: str, **changes: Any) -> Settings:
    return load(home=home, **{"hub_urls": list(hubs) or ["http://127.0.0.1:1"], "hub_patience_minutes": 0.02, **changes})


def started(database: Database, actor: Actor, settings: Settings, repository: str, **wish: Any) -> DownloadOut:
    with database.write() as session:
        return downloads.start(session, actor, settings, DownloadWish(repository=repository, **wish))


@pytest.fixture
def allowed(database: Database) -> Callable[..., None]:
    def allow(kind: Kind, *patterns: str) -> None:
        admin = person(database, Role.ADMIN)
        with database.write() as session:
            for pattern in patterns:
                catalogue.allow(session, admin, kind, pattern)

    return allow


def test_the_catalogue_is_whole_and_every_name_in_it_means_one_thing() -> None:
    entries = catalogue.entries()
    kinds = [entry.kind for entry in entries]
    assert (kinds.count("model") >= 38, kinds.count("dataset") >= 24) == (True, True)
    names = [(entry.kind, entry.name.casefold()) for entry in entries]
    assert len(set(names)) == len(names)
    by_name = {entry.repository: entry for entry in entries}
    assert (by_name["universitytehran/PersianMind-v1.0"].for_trade, by_name[PARSBERT].for_trade) == (False, True)
    assert by_name["PartAI/Tooka-SBERT"].for_trade is None


def test_searching_folds_letters_and_knows_tasks_in_both_languages(database: Database, actor: Actor) -> None:
    with database.read() as session:
        for words in ("گفت‌وگو qwen2.5-0.5", "chat QWEN2.5-0.5B", "apache qwen2.5-0.5b"):
            assert [entry.name for entry in catalogue.search(session, actor, "model", words)] == ["Qwen2.5-0.5B-Instruct"], words
        assert {entry.task for entry in catalogue.search(session, actor, "dataset", "احساس")} == {"sentiment"}
        assert catalogue.search(session, actor, "model", "بازنمايي")[0].task == "embedding"


def test_what_is_not_allowed_is_refused_until_an_admin_allows_it(database: Database, actor: Actor, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    for repository in ("somebody/model", "../../etc/passwd", "somebody/..", "a/b/c", "http://evil.example/x", "نام/مدل", "x" * 200):
        with pytest.raises(catalogue.NotAllowed):
            started(database, actor, settings, repository)
    admin, trainer = person(database, Role.ADMIN), person(database, Role.TRAINER)
    with database.write() as session:
        for pattern in ("somebody", "some body/x", "../*", "*", "*/x", "somebody/x/*"):
            with pytest.raises(catalogue.BadPattern):
                catalogue.allow(session, admin, "model", pattern)
        with pytest.raises(Forbidden):
            catalogue.allow(session, trainer, "model", "somebody/*")
        made = catalogue.allow(session, admin, "model", "somebody/*")
        with pytest.raises(catalogue.AlreadyAllowed):
            catalogue.allow(session, admin, "model", "somebody/*")
        assert catalogue.find(session, actor, "model", "Somebody/Model").repository == "Somebody/Model"
        with pytest.raises(catalogue.NotAllowed):
            catalogue.find(session, actor, "dataset", "somebody/model")
        catalogue.disallow(session, admin, made.id)
        with pytest.raises(catalogue.NotAllowed):
            catalogue.find(session, actor, "model", "somebody/model")


def test_one_download_at_a_time_for_a_person_and_for_an_address(database: Database, actor: Actor, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    first = started(database, actor, settings, "bert-fa-base-uncased")
    assert (first.repository, first.started, first.status) == (PARSBERT, True, Status.DOWNLOADING)
    again = started(database, actor, settings, PARSBERT)
    assert (again.id, again.started) == (first.id, False)
    with pytest.raises(DownloadActive):
        started(database, actor, settings, "HooshvareLab/gpt2-fa")
    neighbour, other = person(database, Role.TRAINER), person(database, Role.TRAINER)
    with database.write() as session:
        jobs.stop(session, actor, first.job.id)
    at_one_place = [Actor(**{**one.__dict__, "peer": "10.0.0.7"}) for one in (neighbour, other)]
    started(database, at_one_place[0], settings, "HooshvareLab/gpt2-fa")
    with pytest.raises(DownloadActive) as refused:
        started(database, at_one_place[1], settings, "openai/whisper-tiny")
    assert refused.value.params["repository"] == "HooshvareLab/gpt2-fa"
    assert started(database, actor, settings, PARSBERT).started, "what was stopped keeps nobody from beginning anew"


def test_viewers_download_nothing_and_offline_nobody_does(database: Database, actor: Actor, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        started(database, person(database, Role.VIEWER), settings_for(tmp_path), PARSBERT)
    with pytest.raises(Offline):
        started(database, actor, settings_for(tmp_path, offline=True), PARSBERT)


def test_without_room_for_it_nothing_is_begun(database: Database, actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kargah.kit.files.free_bytes", lambda path: 1000)
    with pytest.raises(DiskFull) as refused:
        started(database, actor, settings_for(tmp_path), PARSBERT)
    assert refused.value.params == {"needed_bytes": round(1.1 * 163_000_000 * 4), "free_bytes": 1000}


def test_a_downloaded_model_is_one_to_start_from_and_thrown_away_it_may_come_again(
    database: Database, actor: Actor, tmp_path: Path, allowed: Callable[..., None]
) -> None:
    folder = make_folder(tmp_path / "upstream")
    content = {path.name: path.read_bytes() for path in folder.iterdir()} | {"LICENSE": b"Apache License"}
    allowed("model", "kargah-tests/*")
    home = tmp_path / "home"
    with fake_hub(**{"kargah-tests/small": Repository(content)}) as hub:
        settings = settings_for(home, hub.url, hub_token="hf_secret", hub_token_url=hub.url)
        made = started(database, actor, settings, "kargah-tests/small")
        agent = scheduler(database, home, all_trades(), **KINDS)
        tick_until(agent, lambda: seen(database, actor, made).status is not Status.DOWNLOADING, 60)
    done = seen(database, actor, made)
    assert (done.status, done.job.error, done.commit_id) == (Status.READY, None, Repository(content).commit)
    with database.read() as session:
        model = models.get_for(session, actor, done.model_id or "")
        version = model.versions[0]
        asset = session.get_one(Asset, done.asset_id)
        assert "hf_secret" not in str(done.job.model_dump()), "what is secret stands in no record"
        listed = resources.list_for(session, actor)
        totals = resources.totals(session, actor)
        offered = {offer.entry.repository: offer.status for offer in offers.list_for(session, actor, "model", 1 << 34)}
    assert (model.title, version.family, version.source, version.licence) == ("small", "base", "hub", "apache-2.0")
    assert (version.detail["hub"]["repository"], version.detail["hub"]["licence_file"]) == ("kargah-tests/small", "LICENSE")
    assert done.job.result == {"model_id": model.id, "model_version_id": version.id}
    assert (asset.status, asset.source, asset.size_bytes) == ("ready", "HuggingFace", version.size_bytes)
    assert asset.downloaded_at is not None
    assert [(one.kind, one.status, one.source, one.size_bytes) for one in listed] == [("model", "ready", "HuggingFace", version.size_bytes)]
    assert (totals.total, totals.ready, totals.size_bytes, totals.downloaded_this_month) == (1, 1, version.size_bytes, 1)
    assert offered.get("kargah-tests/small") is None, "an organisation stands for none of its repositories"
    assert list(downloads_folder(home).iterdir()) == []
    assert not started(database, actor, settings, "kargah-tests/small").started
    with database.write() as session:
        models.delete(session, actor, model.id)
    assert started(database, actor, settings, "kargah-tests/small").started


def seen(database: Database, actor: Actor, made: DownloadOut) -> DownloadOut:
    with database.read() as session:
        return downloads.show(session, actor, made.id)


def test_a_failed_download_says_why_and_the_next_goes_on_with_what_had_come(
    database: Database, actor: Actor, tmp_path: Path, allowed: Callable[..., None]
) -> None:
    folder = make_folder(tmp_path / "upstream")
    content = {path.name: path.read_bytes() for path in folder.iterdir()} | {"tokenizer.json": b"{}" + b" " * 300_000}
    allowed("model", "kargah-tests/small")
    home = tmp_path / "home"
    with fake_hub(**{"kargah-tests/small": Repository(dict(content))}) as hub:
        settings = settings_for(home, hub.url)
        agent = scheduler(database, home, all_trades(), **KINDS)
        hub.repositories["kargah-tests/small"].files["model.safetensors"] += b"damaged"
        made = started(database, actor, settings, "kargah-tests/small")
        tick_until(agent, lambda: seen(database, actor, made).job.is_over, 60)
        assert seen(database, actor, made).status is Status.ERROR
        assert seen(database, actor, made).job.error["code"] == "WEIGHTS_DAMAGED"  # type: ignore[index]
        with database.read() as session:
            assert [(one.status, one.size_bytes is not None) for one in resources.list_for(session, actor)] == [("error", True)]
        hub.repositories["kargah-tests/small"].files["model.safetensors"] = content["model.safetensors"]
        before = hub.sent_bytes
        again = started(database, actor, settings, "kargah-tests/small")
        tick_until(agent, lambda: seen(database, actor, again).job.is_over, 60)
        assert seen(database, actor, again).status is Status.READY
        assert hub.sent_bytes - before < 10_000, "what had come whole is not fetched again"


def test_a_downloaded_data_set_is_read_like_an_uploaded_one(
    database: Database, actor: Actor, tmp_path: Path, allowed: Callable[..., None]
) -> None:
    rows = "متن,برچسب\n" + "".join(f"جملهٔ {number},{'خوب' if number % 2 else 'بد'}\n" for number in range(60))
    content = {"train.csv": rows.encode(), "test.csv": rows.encode(), "README.md": b"x", "build.py": b"import os"}
    allowed("dataset", "kargah-tests/words")
    home = tmp_path / "home"
    with fake_hub(**{"kargah-tests/words": Repository(content, licence="cc-by-4.0")}) as hub:
        made = started(database, actor, settings_for(home, hub.url), "kargah-tests/words", kind="dataset")
        agent = scheduler(database, home, all_trades(), **KINDS)

        def dataset() -> Any:
            found = seen(database, actor, made)
            if found.dataset_id is None:
                return None
            with database.read() as session:
                return datasets.get_for(session, actor, found.dataset_id)

        tick_until(agent, lambda: (one := dataset()) and one.version and one.version.state != "IMPORTING", 90)
    found = dataset()
    assert (found.title, found.version.state, found.version.rows, found.licence) == ("words", "READY", 120, "cc-by-4.0")
    assert found.source_note.endswith(f"/datasets/kargah-tests/words/tree/{Repository(content).commit}")


def test_one_that_is_cancelled_while_it_waits_leaves_nothing(database: Database, actor: Actor, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    made = started(database, actor, settings, PARSBERT)
    with database.write() as session:
        jobs.stop(session, actor, made.job.id)
    agent = scheduler(database, tmp_path, all_trades(), **KINDS)
    tick_until(agent, lambda: seen(database, actor, made).asset_id is None)
    with database.read() as session:
        assert resources.list_for(session, actor) == []
        assert session.get(Asset, made.asset_id) is None


def test_what_nobody_goes_on_with_is_swept_and_what_is_fresh_stays(tmp_path: Path) -> None:
    folder = downloads_folder(tmp_path)
    folder.mkdir()
    for name, age in (("old.part", 10), ("old.have", 10), ("fresh.part", 0)):
        (folder / name).write_bytes(b"x")
        then = (folder / name).stat().st_mtime - age * 86_400
        os.utime(folder / name, (then, then))
    assert downloaded.sweep(tmp_path, kept_days=3) == 2
    assert [path.name for path in folder.iterdir()] == ["fresh.part"]


def test_fitting_goes_by_what_training_takes() -> None:
    room = 8 << 30
    assert [fit_of(parameters, 2, room) for parameters in (76_000_000, 1_540_000_000, 7_600_000_000, None)] == [
        Fit.WHOLE, Fit.ADAPTERS, Fit.NOT, None,
    ]  # fmt: skip
