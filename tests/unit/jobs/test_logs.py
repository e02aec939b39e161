"""What a worker printed: shown as a reader would have seen it, fetched as it was, bounded while it is still being written."""

from pathlib import Path

from kargah.jobs import logs


def test_colours_and_redrawn_progress_bars_are_tamed() -> None:
    raw = "\x1b[31mred\x1b[0m\x1b]0;title\x07\n 10%|#   |\r 50%|##  |\r100%|####|\nab\x08c\ttab\x00\n\x1b[2K\r\n"
    assert logs.tamed(raw) == "red\n100%|####|\nac\ttab\n\n"


def test_a_search_folds_case_and_persian_spelling_and_numbers_lines(tmp_path: Path) -> None:
    path = tmp_path / "1" / "worker.log"
    path.parent.mkdir()
    path.write_text("Epoch 1\nكتاب‌ها خوانده شد\nLOSS nan\n\x1b[1mloss\x1b[0m 2\n", encoding="utf-8")
    assert [line.number for line in logs.search(path, "loss").lines] == [3, 4]
    assert [line.number for line in logs.search(path, "کتاب").lines] == [2]
    assert logs.search(path, "loss", limit=1).total == 2


def test_a_log_that_grows_too_long_loses_its_middle_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("ab", buffering=0) as writer:
        for line in range(40_000):
            writer.write(b"line %08d\n" % line)
        cut = logs.keep_within(path, cap_bytes=256 << 10, head_bytes=32 << 10, tail_bytes=64 << 10)
        writer.write(b"and on\n")
    assert cut is not None
    kept = b"".join(logs.content(path))
    assert kept.startswith(b"line 00000000\n") and kept.endswith(b"line 00039999\nand on\n")
    assert b"[... %d bytes cut ...]" % cut.size_bytes in kept and b"\0" not in kept
    assert path.stat().st_blocks * 512 < 256 << 10
    again = logs.keep_within(path, cap_bytes=64 << 10, head_bytes=32 << 10, tail_bytes=16 << 10)
    assert again is not None and again.first == cut.first and again.after > cut.after


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"short\n")
    assert logs.keep_within(path) is None
    assert b"".join(logs.content(path)) == b"short\n"
