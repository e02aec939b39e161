"""The head of a README.md that anybody may have written."""

from pathlib import Path

import pytest

from kargah.hub import card


def read(folder: Path, head: str) -> dict[str, str]:
    (folder / "README.md").write_text(f"---\n{head}\n---\n# x\n", encoding="utf-8")
    return card.read(folder / "README.md")


def test_title_and_licence_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "pretty_name: مدلِ  من\nlicense: mit\ntags: [a]") == {"pretty_name": "مدلِ من", "license": "mit"}
    assert card.read(tmp_path / "absent") == {}


@pytest.mark.parametrize(
    "head",
    [
        "", "x", "- 1", "a: b: c", "\t", "license: [mit]", "license: {a: b}", "!!timestamp x", "!!bool x", "!!int ''", "!!float x",
        "x: !!python/object:os.system x",
        "license: 2020-99-99", "[" * 5000, "a: &a [*a]\nlicense: *a", "? [a]\n: b", "x: " + "9" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_card_says_nothing(tmp_path: Path, head: str) -> None:
    assert read(tmp_path, head) == {}
