from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.sites import Site, move_to_workspace_of_their_own, open_site


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """A fresh site with settings of its own."""
    opened = []

    def make(**settings: Any) -> Site:
        context = open_site(tmp_path / f"home-{len(opened)}", **settings)
        site = context.__enter__()
        opened.append(context)
        return site

    yield make
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site with four people: admin, trainer, viewer, and a stranger who is trainer of another workspace."""
    with open_site(tmp_path_factory.mktemp("site")) as site:
        people = {who: site.register(who) for who in ("admin", "trainer", "viewer", "stranger")}
        site.client("admin").patch(f"/api/v1/users/{people['viewer']['id']}", json={"role": "viewer"}).raise_for_status()
        move_to_workspace_of_their_own(site, people["stranger"]["id"])
        yield site
