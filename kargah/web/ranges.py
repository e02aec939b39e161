"""What is made while it is sent, and yet may be asked for from the middle: its length and a mark of its bytes are known beforehand."""

import re
from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


def stream(
    request: Request, size_bytes: int, mark: str, chunks: Callable[[int, int], Iterator[bytes]], headers: dict[str, str], media_type: str
) -> Response:
    """All of it, or with ``Range`` (one, from a place on) the rest, as long as it is still the same thing (``If-Range``)."""
    told = {**headers, "ETag": f'"{mark}"', "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked is None or request.headers.get("if-range", f'"{mark}"').strip() != f'"{mark}"':
        return StreamingResponse(chunks(0, size_bytes), headers={**told, "Content-Length": str(size_bytes)}, media_type=media_type)
    first, last = int(asked[1]), min(size_bytes - 1, int(asked[2] or size_bytes))
    if first > last:
        return Response(status_code=416, headers={**told, "Content-Range": f"bytes */{size_bytes}"})
    told |= {"Content-Range": f"bytes {first}-{last}/{size_bytes}", "Content-Length": str(last + 1 - first)}
    return StreamingResponse(chunks(first, last + 1), 206, headers=told, media_type=media_type)
