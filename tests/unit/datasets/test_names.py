import pytest
from hypothesis import given
from hypothesis import strategies as st

from kargah.datasets.service import clean_filename


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("نظرات مشتریان (نسخهٔ ۲).csv", "نظرات مشتریان (نسخهٔ ۲).csv"), ("../../etc/passwd", "passwd"), ("C:\\data\\x.csv", "x.csv"),
        ("", "data"), ("..", "data"), ("sales\u202evsc.exe.csv", "salesvsc.exe.csv"), ("a\x00b\r\n.csv", "ab.csv"), ("/tmp/x/", "x"),
    ],
)  # fmt: skip
def test_a_file_name_is_shown_without_what_could_mislead(given_name: str, shown: str) -> None:
    assert clean_filename(given_name) == shown


@given(st.text(max_size=600))
def test_any_name_becomes_a_short_plain_one(name: str) -> None:
    shown = clean_filename(name)
    assert 0 < len(shown.encode()) <= 255
    assert "/" not in shown
    assert shown not in (".", "..")
