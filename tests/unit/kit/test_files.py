import hashlib
import subprocess
from pathlib import Path

import pytest

from kargah.kit import files
from kargah.kit.files import UnsafePath


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    files.write_json(target, {"old": True})
    with pytest.raises(ZeroDivisionError), files.atomic_writer(target) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert files.read_json(target) == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    target = tmp_path / "control.json"
    with files.atomic_writer(target) as file:
        file.write(b"first")
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"first"


@pytest.mark.parametrize("trick", ["../x", "a/../../x", "/etc/passwd", "~root", "a\0b", "..", "C:\\x", "C:/x", "\\\\host\\share", ""])
def test_a_join_never_leaves_its_root(tmp_path: Path, trick: str) -> None:
    with pytest.raises(UnsafePath):
        files.safe_join(tmp_path, trick)


def test_a_join_does_not_follow_a_link_out_of_its_root(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(UnsafePath):
        files.safe_join(root, "link", "file")


def test_persian_names_are_ordinary_names(tmp_path: Path) -> None:
    assert files.safe_join(tmp_path, "داده‌ها", "نظرها.csv").name == "نظرها.csv"


def test_digests_are_those_of_sha256_and_of_git(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"kargah" * 300_000)
    digest = files.digest_of(path)
    git = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True, check=True).stdout.strip()
    assert (digest.sha256, digest.git_sha1, digest.size_bytes) == (hashlib.sha256(path.read_bytes()).hexdigest(), git, 1_800_000)
