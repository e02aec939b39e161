"""The Hugging Face hub's protocol, the writing half: repositories made, files pushed by ``push_to_hub`` and its kin."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from kargah.assets import uploads as pieces
from kargah.assets.uploads import SHA256
from kargah.hub import card, lfs, names, paths, pushing, repositories, versions
from kargah.hub.errors import BadCard, HeadMoved, OnlyMain, RepositoryExists
from kargah.hub.lfs import REGULAR_BYTES
from kargah.hub.pushing import Pushed, Received
from kargah.hub.repositories import Address
from kargah.kit import i18n
from kargah.kit.ids import new_id
from kargah.web.deps import Ask, Asking
from kargah.web.errors import text_of
from kargah.web.hub.reading import ApiAddress, of_dataset, of_model
from kargah.web.hub.shapes import Json

router = APIRouter(prefix="/hub", include_in_schema=False)

MOST_AT_ONCE = 1000
#: How often a commit is tried anew when others push to the same repository meanwhile.
TRIES = 5


class NewRepository(BaseModel):
    name: str = Field(max_length=300)
    organization: str | None = Field(None, max_length=300)
    type: Literal["model", "dataset"] | None = None
    visibility: str | None = Field(None, max_length=20)
    private: bool | None = None


class NamedRepository(BaseModel):
    name: str = Field(max_length=300)
    organization: str | None = Field(None, max_length=300)
    type: Literal["model", "dataset"] | None = None


class NewSettings(BaseModel):
    visibility: str | None = Field(None, max_length=20)
    private: bool | None = None


class Announced(BaseModel):
    path: str = Field(max_length=4000)
    size: int = Field(ge=0)


class Announcement(BaseModel):
    files: list[Announced] = Field(max_length=MOST_AT_ONCE)


class LargeObject(BaseModel):
    oid: str = Field(pattern=SHA256)
    size: int = Field(ge=0)


class Batch(BaseModel):
    operation: Literal["upload"]
    objects: list[LargeObject] = Field(max_length=MOST_AT_ONCE)


class Metadata(BaseModel):
    content: str


@router.post("/api/repos/create")
async def create_repository(request: Request, wish: NewRepository, ask: Ask) -> Response:
    kind = wish.type or "model"
    try:
        made = await ask(
            repositories.create, kind, wish.name, wish.organization, private=bool(wish.private) or wish.visibility == "private"
        )
    except RepositoryExists as error:  # clients with exist_ok read the address from the refusal
        known = str(error.params["repository"])
        body = {
            "error": text_of(ask.language, error.code, error.params),
            "url": _address_of(request, kind, known),
            "name": known,
            "id": known,
        }
        return JSONResponse(body, error.status)
    return JSONResponse({"url": _address_of(request, kind, made.id), "name": made.id, "id": made.id})


@router.delete("/api/repos/delete")
async def delete_repository(wish: NamedRepository, ask: Ask) -> Json:
    """To the trash, with its model or data set."""
    namespace = wish.organization or await ask.read(names.own) or ""
    await ask(repositories.delete, Address(wish.type or "model", namespace, wish.name))
    return {}


@router.put("/api/{kinds}/{namespace}/{name}/settings")
async def change_settings(address: ApiAddress, wish: NewSettings, ask: Ask) -> Json:
    private = wish.private if wish.private is not None else wish.visibility == "private"
    await ask(repositories.set_private, address, private=private)
    return {"private": private}


@router.post("/api/validate-yaml")
async def validate_yaml(wish: Metadata, ask: Ask) -> Response:
    """The head of a README.md, before it is pushed: whether it can be read."""
    head = card.head_of(wish.content[: card.LONGEST_BYTES])
    if not wish.content.startswith("---") or isinstance(head, dict):
        return JSONResponse({"errors": [], "warnings": []})
    return JSONResponse({"errors": [{"message": text_of(ask.language, BadCard.code, {})}], "warnings": []}, 400)


@router.post("/api/{kinds}/{namespace}/{name}/preupload/{revision:path}")
async def preupload(request: Request, address: ApiAddress, revision: str, wish: Announcement, ask: Ask) -> Response:
    """How each file is to come; what would be refused is refused now, before it is sent."""
    base, room = await ask.read(pushing.base_of, ask.settings, address, revision)
    told = []
    for announced in wish.files:
        left_out = announced.path.rpartition("/")[2] in paths.LEFT_OUT
        if not left_out:
            paths.checked(announced.path)
            pieces.require_room(room, ask.settings, announced.size)
        is_regular, known = announced.size <= REGULAR_BYTES and not _expects_lfs(request, announced), base.files.get(announced.path)
        oid = None if known is None else known.git_sha1 if is_regular else known.sha256
        told.append({"path": announced.path, "uploadMode": "regular" if is_regular else "lfs", "shouldIgnore": left_out, "oid": oid})
    by_lfs = any(file["uploadMode"] == "lfs" for file in told)
    return JSONResponse(
        {"files": told, "commitOid": base.commit_id}, headers={"X-HF-Warning": f"lfs; {i18n.text('en', 'hub.by_lfs')}"} if by_lfs else {}
    )


def _expects_lfs(request: Request, announced: Announced) -> bool:
    """``datasets`` throws each table away once it was announced, and counts on its being sent by itself, however small."""
    return announced.path.endswith(".parquet") and announced.size > 0 and request.headers.get("user-agent", "").startswith("datasets/")


@router.post("/datasets/{namespace}/{name}.git/info/lfs/objects/batch")
async def dataset_batch(request: Request, address: Annotated[Address, Depends(of_dataset)], wish: Batch, ask: Ask) -> Response:
    return await _batch(request, address, wish, ask)


@router.post("/{namespace}/{name}.git/info/lfs/objects/batch")
async def model_batch(request: Request, address: Annotated[Address, Depends(of_model)], wish: Batch, ask: Ask) -> Response:
    return await _batch(request, address, wish, ask)


async def _batch(request: Request, address: Address, wish: Batch, ask: Asking) -> Response:
    """Where each large file is to be sent; those that this repository has, or that wait for it, need not come again."""
    base, _ = await ask.read(pushing.base_of, ask.settings, address, "main")
    known = {entry.sha256 for entry in base.files.values()}
    home, user_id = ask.settings.home, ask.actor.user_id
    wanted = [
        item for item in wish.objects
        if item.oid not in known and not lfs.waiting_of(home, user_id, base.repository_id, item.oid).is_file()
    ]  # fmt: skip
    await ask.read(lfs.require_room, ask.settings, [item.size for item in wanted])
    told: list[Json] = []
    for item in wish.objects:
        actions: Json = {}
        if item in wanted:
            grant = lfs.granted(ask.settings, ask.actor, base.repository_id, item.oid, item.size)
            actions = {"actions": {"upload": {"href": f"{request.base_url}hub/lfs/{grant}", "header": {}}}}
        told.append({"oid": item.oid, "size": item.size, **actions})
    return JSONResponse({"transfer": "basic", "objects": told}, media_type="application/vnd.git-lfs+json")


@router.put("/lfs/{grant}")
async def receive_object(request: Request, grant: str, ask: Ask) -> Json:
    """The bytes of one large file. No credential is shown here: the address is one."""
    wanted = lfs.read_grant(ask.settings, grant)
    await ask.threads.read(lfs.require_granted, wanted)
    await lfs.receive(ask.settings.home, wanted, request.stream())
    return {}


@router.post("/api/{kinds}/{namespace}/{name}/commit/{revision:path}")
async def commit(request: Request, address: ApiAddress, revision: str, ask: Ask, create_pr: str = "") -> Json:
    """All of the commit or nothing. Its body is written to the disk and read from there in pieces."""
    if create_pr:
        raise OnlyMain(field="create_pr", revision="refs/pr")
    base, room = await ask.read(pushing.base_of, ask.settings, address, revision)
    async with _scratch(ask) as folder:
        body = folder / "body"
        await pieces.append(body, 0, ask.settings.upload_limit_bytes, request.stream())
        received = await asyncio.to_thread(pushing.receive, ask.settings, ask.actor, base, room, body, folder)
        pushed = await _commit(ask, address, received)
    for waiting in received.waiting:
        waiting.unlink(missing_ok=True)
    return {"success": True, "commitOid": pushed.commit_id, "hookOutput": "",
            "commitUrl": f"{_address_of(request, address.kind, address.id)}/commit/{pushed.commit_id}"}  # fmt: skip


async def _commit(ask: Asking, address: Address, received: Received) -> Pushed:
    """Over the head as it is; again over the new one when somebody was faster, unless the sender named the head."""
    for tries_left in reversed(range(TRIES)):
        base, _ = await ask.read(pushing.base_of, ask.settings, address, "main")
        after = await asyncio.to_thread(pushing.merged, base, received.changes)
        substance = await asyncio.to_thread(versions.find, ask.settings.home, address.kind, after, base.files)
        try:
            return await ask.write(pushing.commit, address, base, received, after, substance)
        except HeadMoved:
            if received.said.parent or not tries_left:
                raise
    raise AssertionError


@asynccontextmanager
async def _scratch(ask: Asking) -> AsyncIterator[Path]:
    """Beside the store, so that files move there; what a dead process leaves in it is swept as an unfinished upload is."""
    parent = pieces.part_of(ask.settings.home, "x").parent
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{new_id('push')}."))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _address_of(request: Request, kind: str, repository: str) -> str:
    return f"{request.base_url}hub/{'datasets/' if kind == 'dataset' else ''}{repository}"
