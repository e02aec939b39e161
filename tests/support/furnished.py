"""A workshop with one of everything in it, and the addresses of all its pages, as the application itself lists them."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi.routing import APIRoute

from kargah.client import JobEnded, Kargah
from kargah.web import pages
from support.server import EMAIL, PASSWORD, Server, running_with_admin

LINE = Path(__file__).parents[2] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
#: A name that means harm, reads from the right, and does not look like one.
NAME = '<b>نام</b> \u202e"evil" & 😀 <script>alert(1)</script>'
#: Addresses that give no page of their own: parts of a page, files, and what leads elsewhere for one who is signed in.
PARTS = ("/log", "/curve", ".csv", ".json", "/login", "/register")

VIEWER = {"email": "viewer@example.org", "password": PASSWORD, "name": NAME.replace("\u202e", ""), "role": "viewer"}
NOWHERE = "/no/such/page"
#: The chapter of the manual that is made and not written: it has the most in it.
CHAPTER = {"name": "errors"}


@dataclass(frozen=True)
class Furnished:
    server: Server
    ids: dict[str, str]

    @property
    def pages(self) -> list[str]:
        """Every page of the application; an address whose place nobody can fill is an error here."""
        addresses = addresses_of(self.ids)
        run, dataset = self.ids["run_id"], self.ids["dataset_id"]
        asked = ["/runs?state=failed", f"/runs/new?dataset={dataset}", f"/runs/new?like={run}", NOWHERE]
        asked += [f"/runs/{self.ids['failed_run_id']}", f"/runs/{self.ids['waiting_run_id']}"]
        asked += [f"/datasets/{dataset}/difference?since={self.ids['first_version_id']}"]
        compared = [f"/compare?run={run}&run={self.ids['other_run_id']}"] if "/compare" in addresses else []
        return [*addresses, *asked, *compared]


def addresses_of(ids: dict[str, str]) -> list[str]:
    return [path.format(**ids, **CHAPTER) for path in page_routes() if not path.endswith(PARTS)]


def page_routes() -> list[str]:
    return sorted({route.path for route in _routes() if "GET" in route.methods})


def _routes() -> Iterator[APIRoute]:
    for found in pkgutil.iter_modules(pages.__path__, f"{pages.__name__}."):
        router = getattr(importlib.import_module(found.name), "router", None)
        yield from (route for route in (router.routes if router else ()) if isinstance(route, APIRoute))


@contextmanager
def furnished(home: Path, **settings: object) -> Iterator[Furnished]:
    with running_with_admin(home, **settings) as server, Kargah(server.url, server.token) as kargah:
        dataset = kargah.datasets.upload(LINE, title=NAME)
        runs = [kargah.trainings.start(datasets=[dataset.id], spec={"epochs": 2}, title=NAME) for _ in range(2)]
        for run in runs:
            kargah.jobs.wait(run.job.id)
        failed = kargah.trainings.start(datasets=[dataset.id], title=NAME, terms={"time_limit_seconds": 0.01})
        with suppress(JobEnded):
            kargah.jobs.wait(failed.job.id)
        waiting = kargah.trainings.start(datasets=[dataset.id], title=NAME, terms={"not_before": "2099-01-01T00:00:00Z"})
        kargah.transport.json("POST", "/api/v1/users", json=VIEWER)
        newer = home.parent / "newer.csv"
        newer.write_text(LINE.read_text(encoding="utf-8").replace("0.1,", "0.15,", 1), encoding="utf-8")
        kargah.datasets.add_version(dataset.id, newer)
        _fill_storage(kargah, home.parent / "disk")
        version = kargah.trainings.models(runs[0].run_id)[0]
        ids = {"run_id": runs[0].run_id, "other_run_id": runs[1].run_id, "version_id": version.id, "model_id": version.model_id}
        ids["first_version_id"] = (dataset.version or {})["id"]
        rival = kargah.trainings.models(runs[0].run_id)[-1]
        ids["evaluation_id"] = kargah.evaluations.start(version.id, dataset.id, against=rival.id, title=NAME)["id"]
        unfinished = {"failed_run_id": failed.run_id, "waiting_run_id": waiting.run_id}
        yield Furnished(server, {"dataset_id": dataset.id, **ids, **unfinished})


def _fill_storage(kargah: Kargah, disk: Path) -> None:
    """A root with a table in it, and a file in the trash."""
    disk.mkdir()
    (disk / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    root = kargah.transport.json("POST", "/api/v1/roots", json={"path": str(disk), "name": NAME.replace("\u202e", "")})
    kargah.jobs.wait(root["job_id"])
    kept = kargah.transport.json("POST", "/api/assets/upload/artifacts", files={"file": ("report.txt", b"text")}, data={"name": NAME})
    kargah.transport.json("DELETE", f"/api/assets/{kept['data']['id']}")


__all__ = ["EMAIL", "NAME", "NOWHERE", "PASSWORD", "VIEWER", "Furnished", "furnished"]
