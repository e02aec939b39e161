"""Names that hub clients take, and names of files that strangers may choose."""

import pytest

from kargah.contract import hubs
from kargah.hub import paths, slugs
from kargah.hub.errors import BadPath, TooManyFiles
from kargah.models.folders import ModelIsPickle


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("نظرهای دیجی‌کالا ۱۴۰۳", "nzrhay-dyjy-kala-1403"),
        ("مدلِ عاطفهٔ فارسي", "mdl-aatfh-farsy"),
        ("Bert base (fa)", "bert-base-fa"),
        ("Café déjà", "cafe-deja"),
        ("مدل", "mdl"),
        ("😀", "model"),
        ("x" * 200, "x" * slugs.LONGEST_SLUG),
    ],
)
def test_a_title_of_any_language_becomes_a_name_that_clients_take(title: str, name: str) -> None:
    assert slugs.slug_of(title, "model") == name
    assert slugs.is_name(name)


@pytest.mark.parametrize("name", ["", "-x", "x-", ".x", "a--b", "a..b", "x.git", "مدل", "a/b", "x" * 97])
def test_what_clients_would_refuse_is_no_name(name: str) -> None:
    assert not slugs.is_name(name)


@pytest.mark.parametrize(
    "path", ["config.json", "پوشهٔ من/نمونهٔ یک.txt", "می\u200cشود.md", "a/b/c/d.safetensors", ".gitattributes", "C++/x"]
)
def test_ordinary_names_stay_as_they_are(path: str) -> None:
    assert paths.checked(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../x", "a/./x", "a//x", "x/", "C:\\x", "c:/x", "a\\..\\x", "x\0y", "x\ny", ".git/config", "a/.GIT/x",
        "．．/x", "a／b", "‥/x", "a/ . /x", " x", "x\u202egpj.exe", "x\ud800", "x" * 256, "/".join(["x" * 200] * 6),
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_deceive_are_refused(path: str) -> None:
    with pytest.raises(BadPath):
        paths.checked(path)


@pytest.mark.parametrize("suffix", sorted(hubs.PICKLES))
def test_what_runs_when_it_is_opened_is_refused(suffix: str) -> None:
    with pytest.raises(ModelIsPickle):
        paths.checked(f"a/weights{suffix.upper()}")


def test_names_that_some_disk_takes_for_one_are_refused() -> None:
    paths.require_distinct(["a/x", "a/y", "b"])
    for pair in (["a", "A"], ["é", "e\u0301"], ["a", "a/b"], ["a/b", "A/b/c"]):
        with pytest.raises(BadPath):
            paths.require_distinct(pair)
    with pytest.raises(TooManyFiles):
        paths.require_distinct(str(number) for number in range(paths.MOST_FILES + 1))
