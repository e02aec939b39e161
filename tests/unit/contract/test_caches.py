"""What is worked out of a table goes when the table goes, and nothing of another's."""

from pathlib import Path

from kargah.contract import caches

ONE, OTHER = "1" * 64, "2" * 64


def test_all_that_is_kept_of_a_table_goes_with_it(tmp_path: Path) -> None:
    files = [caches.statistics_file(tmp_path, ONE), *(caches.order_file(tmp_path, ONE, what) for what in ("by text", "by label"))]
    others = [caches.statistics_file(tmp_path, OTHER), caches.order_file(tmp_path, OTHER, "by text")]
    for file in files + others:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    caches.forget(tmp_path, ONE)
    assert [file.exists() for file in files] == [False, False, False]
    assert all(file.exists() for file in others)


def test_tokens_of_several_tables_go_with_any_of_them(tmp_path: Path) -> None:
    folders = [caches.tokens_folder(tmp_path, tables) for tables in ([ONE], [OTHER, ONE], [OTHER])]
    for folder in folders:
        assert folder is not None
        folder.mkdir(parents=True)
        (folder / "x.arrow").write_bytes(b"x")
    caches.forget(tmp_path, ONE)
    assert [folder is not None and folder.exists() for folder in folders] == [False, False, True]


def test_tokens_of_no_table_or_of_too_many_for_a_name_are_not_kept(tmp_path: Path) -> None:
    assert caches.tokens_folder(tmp_path, []) is None
    assert caches.tokens_folder(tmp_path, [ONE] * 30) is None
