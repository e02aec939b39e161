"""Whatever a power cut or a full disk leaves of a write, what stood before it still stands, or what was written does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.power import Blackouts, each_failing
from test_mending import SmallTask, loop_of, messages

from kargah.assets import blobs
from kargah.contract import wire
from kargah.contract.wire import EventWriter
from kargah.kit import files
from kargah.workers import checkpoint
from kargah.workers.checkpoint import Keeping, Snapshot, TrainState
from kargah.workers.wants import Wants


@pytest.fixture
def taken() -> Snapshot:
    torch.manual_seed(1)
    module = torch.nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    return checkpoint.snapshot(TrainState(plan="p", threads=1, step=10), module, optimizer, None)


def at_step(taken: Snapshot, step: int) -> Snapshot:
    return Snapshot(replace(taken.state, step=step), taken.parts)


def step_of(folder: Path) -> int:
    found = checkpoint.latest(folder, "p")
    assert found is not None
    module = torch.nn.Linear(8, 8)
    checkpoint.restore(found[0], module, torch.optim.AdamW(module.parameters()))
    return found[1].step


def test_a_power_cut_leaves_the_old_checkpoint_or_the_new(tmp_path: Path, taken: Snapshot) -> None:
    job = tmp_path / "job"
    checkpoint.write(job / "checkpoints", taken, Keeping(last=1, best=False))
    blackouts = Blackouts(job, tmp_path / "disks")
    with files.watched(blackouts):
        checkpoint.write(job / "checkpoints", at_step(taken, 20), Keeping(last=1, best=False))
    blackouts.at_end()
    assert blackouts.moments > 8
    assert {step_of(disk / "checkpoints") for disk in blackouts.disks()} == {10, 20}
    assert step_of(blackouts.last_synced() / "checkpoints") == 20


def test_the_first_checkpoint_of_all_is_there_once_it_was_told_of(tmp_path: Path, taken: Snapshot) -> None:
    job = tmp_path / "job"
    job.mkdir()
    blackouts = Blackouts(job, tmp_path / "disks")
    with files.watched(blackouts):
        checkpoint.write(job / "checkpoints", taken)
    blackouts.at_end()
    for disk in blackouts.disks():
        checkpoint.latest(disk / "checkpoints", "p")
    assert step_of(blackouts.last_synced() / "checkpoints") == 10


def test_a_disk_that_is_full_at_any_deed_leaves_the_checkpoint_before_and_no_remains(tmp_path: Path, taken: Snapshot) -> None:
    folder = tmp_path / "checkpoints"
    checkpoint.write(folder, taken)
    steps = iter(range(11, 100))
    failures = list(each_failing(lambda: void(checkpoint.write(folder, at_step(taken, next(steps)), Keeping(last=1)))))
    assert len(failures) > 6
    assert step_of(folder) == 11 + len(failures)
    assert not list(folder.glob(".*"))


def test_each_failure_leaves_a_checkpoint_that_can_be_gone_on_from(tmp_path: Path, taken: Snapshot) -> None:
    folder = tmp_path / "checkpoints"
    checkpoint.write(folder, taken)
    for _ in each_failing(lambda: void(checkpoint.write(folder, at_step(taken, 20), Keeping(last=1)))):
        assert step_of(folder) in {10, 20}
        assert not list(folder.glob(".*"))


def test_events_are_a_beginning_of_what_was_told_whatever_was_cut(tmp_path: Path) -> None:
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    blackouts = Blackouts(attempt, tmp_path / "disks")
    with files.watched(blackouts):
        writer = EventWriter(attempt / "events.jsonl")
        for step in range(1, 6):
            writer.write("Step", step=step, epoch=0.1, metrics={"loss": 1.0})
        writer.sync()
        writer.close()
    blackouts.at_end()
    for disk in blackouts.disks():
        assert steps_in(disk) == list(range(1, len(steps_in(disk)) + 1))
    assert steps_in(blackouts.last_synced()) == [1, 2, 3, 4, 5]


def test_a_line_that_had_no_room_is_not_there_and_can_be_written_again(tmp_path: Path) -> None:
    for number in each_failing(lambda: void(EventWriter(tmp_path / "events.jsonl").write("Paused", step=1))):
        assert len(list(wire.whole_lines(tmp_path / "events.jsonl", 0))) == 0, number
    assert len(list(wire.whole_lines(tmp_path / "events.jsonl", 0))) == 1


def test_a_blob_with_a_name_is_whole_after_any_cut_and_stays_once_it_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    source = home / "weights"
    source.write_bytes(b"w" * 5000)
    digest = files.digest_of(source)
    blackouts = Blackouts(home, tmp_path / "disks")
    with files.watched(blackouts):
        blobs.keep(home, source, digest.sha256, digest.size_bytes)
    blackouts.at_end()
    for disk in blackouts.disks():
        path = blobs.path_of(disk, digest.sha256)
        assert not path.exists() or files.digest_of(path).sha256 == digest.sha256
    assert blobs.path_of(blackouts.last_synced(), digest.sha256).exists()


def test_the_first_blob_of_all_stays_though_its_folder_was_made_for_what_was_coming_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"w" * 5000

    blackouts = Blackouts(home, tmp_path / "disks")
    with files.watched(blackouts):
        digest = asyncio.run(blobs.put_stream(home, chunks(), 10_000))
    blackouts.at_end()
    assert files.digest_of(blobs.path_of(blackouts.last_synced(), digest.sha256)) == digest


def test_a_blob_that_had_no_room_is_kept_at_the_next_try(tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"w" * 5000)
    digest = files.digest_of(source)
    for _ in each_failing(lambda: blobs.keep(tmp_path, source, digest.sha256, digest.size_bytes)):
        path = blobs.path_of(tmp_path, digest.sha256)
        assert not path.exists() or files.digest_of(path).sha256 == digest.sha256
    assert files.digest_of(blobs.path_of(tmp_path, digest.sha256)).sha256 == digest.sha256


def test_what_was_mended_for_memory_stays_mended_in_the_attempt_after_a_kill(tmp_path: Path, wants: Wants) -> None:
    """What a SIGKILL leaves is the checkpoint; the next attempt begins with the passes that fitted."""
    job = tmp_path / "job"
    first = loop_of(SmallTask(most_rows=3), job, wants, checkpoint_steps=1)
    first._epoch()
    first.keeper.wait(wants.check)
    assert [code for code, _ in messages(job)] == ["train.passes_shortened"] * 2
    found = checkpoint.latest(job / "checkpoints", "p")
    assert found is not None and found[1].micro_batch_tokens == 2
    again = loop_of(SmallTask(most_rows=3), tmp_path / "again", wants)
    again.take_up(*found)
    again.run()
    assert messages(tmp_path / "again") == [] and again.state.micro_batch_tokens == 2


def test_what_others_wrote_is_on_the_disk_once_its_tree_is_synced(tmp_path: Path) -> None:
    """What an attempt does with its outputs before it says that it has finished."""
    attempt = tmp_path / "attempt"
    (attempt / "outputs" / "model" / "deep").mkdir(parents=True)
    blackouts = Blackouts(attempt, tmp_path / "disks")
    for name in ("model/model.safetensors", "model/deep/tokenizer.json", "note"):
        (attempt / "outputs" / name).write_bytes(name.encode() * 1000)
    with files.watched(blackouts):
        files.sync_tree(attempt / "outputs")
    blackouts.at_end()
    for name in ("model/model.safetensors", "model/deep/tokenizer.json", "note"):
        assert (blackouts.last_synced() / "outputs" / name).read_bytes() == name.encode() * 1000


def steps_in(disk: Path) -> list[int]:
    events = [wire.decode(line) for line, _ in wire.whole_lines(disk / "events.jsonl", 0)]
    return [event.step for event in events if event.kind == "Step"]


def void(_: object) -> None:
    return None
