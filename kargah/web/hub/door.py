"""The door of hub clients, put together: ``/hub``."""

from fastapi import APIRouter
from fastapi.responses import Response

from kargah.hub.errors import NotOffered
from kargah.web.hub import pushing, reading

router = APIRouter(include_in_schema=False)
router.include_router(pushing.router)
router.include_router(reading.router)


@router.api_route("/hub/api/{rest:path}", methods=["GET", "POST", "PUT", "DELETE"])
async def not_offered(rest: str) -> Response:
    """Spaces, discussions, branches, tags, Xet and what else the big hub has."""
    raise NotOffered(path=rest[:200])
