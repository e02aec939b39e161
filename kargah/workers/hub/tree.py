"""What a repository holds at one commit, as a hub lists it, and which of it is wanted. All that a hub says is doubted."""

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from kargah.contract import hubs
from kargah.contract.plans import DownloadPlan
from kargah.kit import files
from kargah.kit.errors import KargahError
from kargah.workers.hub import link
from kargah.workers.hub.errors import HubAnswerUnreadable, NothingWanted, OnlyPickles
from kargah.workers.hub.link import Broken, Link
from kargah.workers.hub.sources import Sources

MOST_FILES = 20_000
MOST_PAGES = 100
_LARGEST_ANSWER_BYTES = 32 << 20
_ANSWER_SECONDS = 120.0
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


class RemoteFile(BaseModel):
    """``sha256`` of a large file, else ``git_sha1`` is what its bytes are known by."""

    path: str = Field(min_length=1, max_length=1000)
    size_bytes: int = Field(ge=0, le=1 << 50)
    sha256: str | None = Field(None, pattern=hubs.SHA256.pattern + "$")
    git_sha1: str | None = Field(None, pattern=hubs.COMMIT.pattern + "$")

    @property
    def key(self) -> str:
        return self.sha256 or f"git-{self.git_sha1}"


class Tree(BaseModel):
    """``files``: the wanted ones. ``hub``: who said so."""

    hub: str
    commit: str = Field(pattern=hubs.COMMIT.pattern + "$")
    files: list[RemoteFile]
    licence: str | None = Field(None, max_length=100)
    gated: bool = False

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def ask_for(plan: DownloadPlan, the_link: Link, sources: Sources) -> Tree:
    """Raises NotOnHub, HubWantsConsent, HubUnreachable, OnlyPickles, NothingWanted, UnsafePath."""
    what = {"repository": plan.repository, "revision": plan.revision}
    tree = sources.ask(what, lambda hub: _listed(plan, the_link, hub))
    wanted = _of_model(plan.repository, tree.files) if plan.repository_kind == "model" else _of_dataset(plan, tree.files)
    _require_safe([file.path for file in wanted])
    return tree.model_copy(update={"files": sorted(wanted, key=lambda file: file.path)})


def _require_safe(paths: list[str]) -> None:
    """Each a place of its own below one folder."""
    folders = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 1)}
    for path in paths:
        files.safe_join(Path("/"), *path.split("/"))
        if path in folders:
            raise files.UnsafePath(path=path)
    if len(set(paths)) < len(paths):
        raise files.UnsafePath(path=next(path for path in paths if paths.count(path) > 1))


def planned(plan: DownloadPlan) -> Tree | None:
    """Of a model of another Kargah all is known beforehand, and signed; of a root in an object store, by its scan. Raises UnsafePath."""
    known = plan.bundled or plan.stored
    if known is None:
        return None
    _require_safe([file.path for file in known.files])
    wanted = [RemoteFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in known.files]
    return Tree(hub=plan.hubs[0], commit=known.commit, files=wanted)


def address_of(plan: DownloadPlan, hub: str, commit: str, path: str) -> str:
    if plan.bundled is not None:
        return f"{hub}{plan.bundled.address}{quote(path)}"
    folder = "datasets/" if plan.repository_kind == "dataset" else ""
    return f"{hub}/{folder}{plan.repository}/resolve/{commit}/{quote(path)}"


def _listed(plan: DownloadPlan, the_link: Link, hub: str) -> Tree:
    """The commit first, and then what it holds: nobody can change that between two questions."""
    base = f"{hub}/api/{plan.repository_kind}s/{plan.repository}"
    said, _ = _read(the_link, f"{base}/revision/{quote(plan.revision, safe='')}")
    try:
        commit = str(said["sha"])
        address: str | None = f"{base}/tree/{commit}?recursive=true"
        if not hubs.COMMIT.fullmatch(commit):
            raise ValueError("no commit")
        found: list[RemoteFile] = []
        for _ in range(MOST_PAGES):
            if address is None:
                return Tree(hub=hub, commit=commit, files=found, licence=_licence_of(said), gated=bool(said.get("gated")))
            entries, address = _read(the_link, address)
            found += [_file_of(entry) for entry in entries if entry["type"] == "file"]
            if len(found) > MOST_FILES:
                raise HubAnswerUnreadable(hub=hub, reason=f"> {MOST_FILES}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Broken(f"unreadable listing: {type(error).__name__}", strange=True) from error
    raise HubAnswerUnreadable(hub=hub, reason=f"> {MOST_PAGES}")


def _file_of(entry: dict[str, Any]) -> RemoteFile:
    large = entry.get("lfs")
    if large:
        return RemoteFile(path=entry["path"], size_bytes=large["size"], sha256=str(large["oid"]).removeprefix("sha256:"))
    return RemoteFile(path=entry["path"], size_bytes=entry["size"], git_sha1=entry["oid"])


def _licence_of(said: dict[str, Any]) -> str | None:
    card = said.get("cardData")
    licence = card.get("license") if isinstance(card, dict) else None
    licence = licence[0] if isinstance(licence, list) and licence else licence
    return licence[:100] if isinstance(licence, str) else None


def _read(the_link: Link, address: str) -> tuple[Any, str | None]:
    """JSON, and where it goes on. Raises Broken for what is none, is endless, or comes too slowly."""
    until_seconds = time.monotonic() + _ANSWER_SECONDS
    content = bytearray()
    with the_link.answer(address, {"Accept": "application/json"}) as answer:
        for chunk in link.chunks(answer):
            content += chunk
            if len(content) > _LARGEST_ANSWER_BYTES or time.monotonic() > until_seconds:
                raise Broken("endless listing", strange=True)
        if answer.length:
            raise Broken("the listing broke off")
        following = _NEXT.search(answer.getheader("Link", ""))
    try:
        return json.loads(content), following[1] if following else None
    except (ValueError, RecursionError) as error:
        raise Broken("the listing is no JSON", strange=True) from error


def _of_model(repository: str, listed: list[RemoteFile]) -> list[RemoteFile]:
    top = [file for file in listed if "/" not in file.path]
    weights = _weights([file.path for file in top if file.path.endswith(".safetensors")])
    if not weights:
        pickles = [file.path for file in top if Path(file.path).suffix in hubs.PICKLES]
        if pickles:
            raise OnlyPickles(repository=repository, file=pickles[0])
        raise NothingWanted(repository=repository)
    return [file for file in top if hubs.is_of_model(file.path) and (file.path in weights or not file.path.endswith(".safetensors"))]


def _weights(names: list[str]) -> set[str]:
    """The same weights are often there twice, whole and in shards."""
    if "model.safetensors" in names:
        return {"model.safetensors"}
    shards = {name for name in names if _SHARD.fullmatch(name)}
    return shards or set(names)


def _of_dataset(plan: DownloadPlan, listed: list[RemoteFile]) -> list[RemoteFile]:
    """Parquet where there is any: other files then say the same in other words."""
    within = f"{plan.folder}/" if plan.folder else ""
    tables = [file for file in listed if hubs.is_table(file.path) and file.path.startswith(within)]
    parquet = [file for file in tables if file.path.endswith(".parquet")]
    if not tables:
        raise NothingWanted(repository=plan.repository)
    return [*(parquet or tables), *(file for file in listed if hubs.is_of_dataset(file.path) and not hubs.is_table(file.path))]


def remembered(path: Path) -> Tree | None:
    """What an earlier attempt of the job was told: the commit stays the same over all of them."""
    try:
        return Tree.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError, KargahError):
        return None
