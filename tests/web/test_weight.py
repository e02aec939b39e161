"""What goes over the wire is small, and kept by browsers for as long as it stays the same."""

import gzip

import httpx
import pytest
from support.sites import Site

from kargah.web.pages import assets

YEAR = "public, max-age=31536000, immutable"


def asked(site: Site, name: str, **headers: str) -> httpx.Response:
    with site.client(**headers).stream("GET", assets.address(name)) as answer:
        answer.raise_for_status()
        answer._content = b"".join(answer.iter_raw())  # as it came, still packed
    return answer


@pytest.mark.parametrize("name", ["face.css", "js/app.js", "vendor/uplot.js", "icons.svg"])
def test_text_comes_packed_to_whoever_takes_it_and_is_the_same(site: Site, name: str) -> None:
    packed, plain = asked(site, name, **{"Accept-Encoding": "br, gzip"}), asked(site, name, **{"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert {answer.headers["vary"] for answer in (packed, plain)} == {"Accept-Encoding"}
    assert {answer.headers["cache-control"] for answer in (packed, plain)} == {YEAR}
    assert gzip.decompress(packed.content) == plain.content == (assets.FOLDER / name).read_bytes()
    assert len(packed.content) < 0.5 * len(plain.content)


def test_a_client_that_refuses_packing_and_one_that_wants_a_part_get_plain_bytes(site: Site) -> None:
    assert "content-encoding" not in asked(site, "face.css", **{"Accept-Encoding": "gzip;q=0"}).headers
    part = asked(site, "face.css", **{"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert part.status_code == 206
    assert part.content == (assets.FOLDER / "face.css").read_bytes()[:10]


def test_what_has_not_changed_is_not_sent_again(site: Site) -> None:
    first = asked(site, "face.css", **{"Accept-Encoding": "gzip"})
    again = site.client(**{"Accept-Encoding": "gzip", "If-None-Match": first.headers["etag"]}).get(assets.address("face.css"))
    assert again.status_code == 304


def test_fonts_are_packed_already(site: Site) -> None:
    font = asked(site, "fonts/vazirmatn-arabic-wght-normal.woff2", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in font.headers


def test_a_page_with_a_secret_in_it_is_never_packed(site: Site) -> None:
    """The length of a packed page that holds a token beside words of the asker's choice betrays the token."""
    page = site.browser("trainer").get("/runs?q=_csrf", headers={"Accept-Encoding": "gzip"})
    assert 'name="_csrf"' in page.text
    assert "content-encoding" not in page.headers


def test_the_first_page_and_all_that_it_needs_fit_into_150_kb(site: Site) -> None:
    page = site.browser("trainer").get("/").text
    needed = {part.split('"')[0].split("#")[0] for part in page.split(f'"{assets.ADDRESS}/{assets.version()}/')[1:]}
    scripts = {f"js/{path.name}" for path in (assets.FOLDER / "js").glob("*.js")}  # any of them may be imported: an upper bound
    files = {name for name in needed | scripts if not name.startswith("fonts/")}
    weight = sum(len(asked(site, name, **{"Accept-Encoding": "gzip"}).content) for name in files)
    assert len(page.encode()) + weight < 150_000
    assert len(files) > 15
