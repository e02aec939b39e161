"""The Hugging Face hub's protocol, the reading half: what is here, listed and fetched by clients with HF_ENDPOINT=http://host/hub.

Translation only; the use-cases are ``kargah.hub``. Nothing here speaks of Xet, so that clients fetch by plain HTTP.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from kargah.accounts import service as accounts
from kargah.hub import names, repositories
from kargah.hub.errors import RepositoryNotFound
from kargah.hub.repositories import Address, Listed
from kargah.hub.revisions import MAIN
from kargah.store.access import Role
from kargah.web.api.models import stored
from kargah.web.deps import Ask, Asking
from kargah.web.hub import caching, shapes
from kargah.web.hub.shapes import Json
from kargah.web.pieces import Pieces, answer

router = APIRouter(prefix="/hub", include_in_schema=False)

Kinds = Literal["models", "datasets"]
ENTRIES_A_PAGE = 1000
MOST_PATHS = 10_000


async def addressed(kinds: Kinds, namespace: str, name: str, ask: Ask) -> Address:
    return await _here(ask, Address(kinds.removesuffix("s"), namespace, name))


async def of_dataset(namespace: str, name: str, ask: Ask) -> Address:
    return await _here(ask, Address("dataset", namespace, name))


async def of_model(namespace: str, name: str, ask: Ask) -> Address:
    return await _here(ask, Address("model", namespace, name))


async def _here(ask: Asking, address: Address) -> Address:
    await caching.bring_here(ask, address)
    return address


ApiAddress = Annotated[Address, Depends(addressed)]


@router.get("/api/whoami-v2")
async def who_am_i(ask: Ask) -> Json:
    namespace = await ask.read(names.own) or await ask.write(names.give_own)
    me = await ask.read(accounts.me)
    role = "read" if ask.actor.role is Role.VIEWER else "write"
    token = {"displayName": "kargah", "role": role, "createdAt": me.created_at.isoformat()}
    return {
        "type": "user",
        "id": me.id,
        "name": namespace,
        "fullname": me.name,
        "email": me.email,
        "orgs": [],
        "auth": {"accessToken": token},
    }


@router.get("/api/agent-harnesses")
async def agent_harnesses() -> Json:
    """Every process of the newest clients asks for it; only an answer is kept by them."""
    return {"standardEnvVars": [], "harnesses": {}}


@router.get("/api/{kinds}")
async def list_repositories(
    request: Request,
    kinds: Kinds,
    ask: Ask,
    search: Annotated[str, Query(max_length=200)] = "",
    author: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1)] = repositories.PAGE,
    cursor: Annotated[str, Query(max_length=48)] = "",
    wanted_tags: Annotated[list[str], Query(alias="filter", max_length=20)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """The newest first, page by page. Those with all tags of ``filter``; a page may then have fewer than ``limit``."""
    kind = kinds.removesuffix("s")
    found = await _listed(ask, kind, query=search, author=author, cursor=cursor, limit=limit)
    told = [shapes.about(item) for item in found.items]
    shown = [item for item in told if set(wanted_tags) <= set(item["tags"])]
    if found.next_cursor is None:
        return JSONResponse(shown)
    return JSONResponse(shown, headers={"Link": _next(request, {"cursor": found.next_cursor})})


async def _listed(ask: Asking, kind: str, **how: Any) -> Listed:
    """What nobody has named yet gets its name now: from a list clients learn it."""
    if await ask.read(names.are_missing, kind):
        await ask.write(names.give_all, kind)
    return await ask.read(repositories.list_for, kind, **how)


@router.get("/api/{kinds}/{namespace}/{name}")
async def repository_info(address: ApiAddress, ask: Ask, blobs: bool = False) -> Json:
    return await _info(ask, address, MAIN, blobs)


@router.get("/api/{kinds}/{namespace}/{name}/revision/{revision:path}")
async def revision_info(address: ApiAddress, revision: str, ask: Ask, blobs: bool = False) -> Json:
    return await _info(ask, address, revision, blobs)


async def _info(ask: Asking, address: Address, revision: str, blobs: bool) -> Json:
    found, snapshot = await ask.read(repositories.show, address, revision)
    return await ask.compute(shapes.about, found, snapshot, with_blobs=blobs)


@router.get("/api/{kinds}/{namespace}/{name}/tree/{revision}")
@router.get("/api/{kinds}/{namespace}/{name}/tree/{revision}/{path:path}")
async def tree(
    request: Request,
    address: ApiAddress,
    revision: str,
    ask: Ask,
    path: str = "",
    recursive: bool = False,
    limit: Annotated[int, Query(ge=1, le=ENTRIES_A_PAGE)] = ENTRIES_A_PAGE,
    cursor: Annotated[str, Query(max_length=4000)] = "",
) -> Response:
    """The files of a revision by path, with sizes and hashes."""
    snapshot = await ask.read(repositories.snapshot, address, revision)
    entries = await ask.compute(shapes.tree, snapshot, path.strip("/"), recursive=recursive)
    rest = [entry for entry in entries if entry["path"] > cursor]
    if len(rest) <= limit:
        return JSONResponse(rest)
    return JSONResponse(rest[:limit], headers={"Link": _next(request, {"cursor": rest[limit - 1]["path"]})})


@router.post("/api/{kinds}/{namespace}/{name}/paths-info/{revision:path}")
async def paths_info(request: Request, address: ApiAddress, revision: str, ask: Ask) -> list[Json]:
    """Of the paths in the body, a form or JSON."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        said = await request.json()
        paths = said.get("paths", []) if isinstance(said, dict) else []
    else:
        paths = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_PATHS + 10).get("paths", [])
    wanted = [str(path).strip("/") for path in ([paths] if isinstance(paths, str) else paths)[:MOST_PATHS]]
    snapshot = await ask.read(repositories.snapshot, address, revision)
    return await ask.compute(shapes.paths_info, snapshot, wanted)


@router.get("/api/{kinds}/{namespace}/{name}/refs")
async def list_refs(address: ApiAddress, ask: Ask) -> Json:
    return shapes.refs(await ask.read(repositories.history, address))


@router.get("/api/{kinds}/{namespace}/{name}/commits/{revision:path}")
async def list_commits(address: ApiAddress, revision: str, ask: Ask) -> list[Json]:
    history = await ask.read(repositories.history, address)
    snapshot = await ask.read(repositories.snapshot, address, revision)
    since = next(number for number, known in enumerate(history) if known.commit_id == snapshot.commit_id)
    return shapes.commits(history[since:])


@router.api_route("/datasets/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
async def dataset_file(
    address: Annotated[Address, Depends(of_dataset)], revision: str, path: str, ask: Ask, pieces: Pieces = False
) -> Response:
    return await _file(ask, address, revision, path, of_pieces=pieces)


@router.api_route("/{namespace}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
async def model_file(
    address: Annotated[Address, Depends(of_model)], revision: str, path: str, ask: Ask, pieces: Pieces = False
) -> Response:
    return await _file(ask, address, revision, path, of_pieces=pieces)


@router.api_route("/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
@router.get("/api/{kinds}/{name}")
async def without_owner(name: str) -> Response:
    """Names of one part are the big hub's own; here every repository has an owner."""
    raise RepositoryNotFound(kind="repositories", id=name, repository=name)


async def _file(ask: Asking, address: Address, revision: str, path: str, *, of_pieces: bool) -> Response:
    """One file, streamed; ranges are answered, and HEAD with the same headers."""
    snapshot = await ask.read(repositories.snapshot, address, revision)
    entry = snapshot.files.get(path)
    if entry is None:
        raise shapes.missing(snapshot, path)
    etag = shapes.etag_of(entry)
    headers = {
        "ETag": f'"{etag}"',
        "X-Repo-Commit": snapshot.commit_id,
        "X-Linked-Etag": f'"{etag}"',
        "X-Linked-Size": str(entry.size_bytes),
        "Access-Control-Expose-Headers": "X-Repo-Commit, X-Linked-Etag, X-Linked-Size, ETag",
    }
    blob = stored(ask.settings.home, path, entry.sha256)
    return answer(blob, PurePosixPath(path).name, headers, of_pieces=of_pieces)


@router.get("/datasets/{namespace}/{name}")
@router.get("/datasets/{namespace}/{name}/commit/{commit}")
async def dataset_page(address: Annotated[Address, Depends(of_dataset)], ask: Ask) -> Response:
    """A person who opens the address that a client printed."""
    return RedirectResponse(await ask.read(repositories.page_of, address), 303)


@router.get("/{namespace}/{name}")
@router.get("/{namespace}/{name}/commit/{commit}")
async def model_page(address: Annotated[Address, Depends(of_model)], ask: Ask) -> Response:
    return RedirectResponse(await ask.read(repositories.page_of, address), 303)


def _next(request: Request, changed: dict[str, str]) -> str:
    """The address of the following page, as the clients want it."""
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
    query = urlencode([*asked, *changed.items()], quote_via=quote)
    return f'<{request.url.replace(query=query)}>; rel="next"'
