"""A stored file as an answer: itself, or the hashes of its pieces for whoever got some of it wrong."""

from pathlib import Path
from typing import Annotated

from fastapi import Query
from fastapi.responses import FileResponse, Response, StreamingResponse

from kargah.kit import pieces

Pieces = Annotated[bool, Query(description="The SHA-256 of each piece, 32 bytes each, in place of the file.")]


def answer(blob: Path, name: str, headers: dict[str, str], *, of_pieces: bool) -> Response:
    """Ranges are answered, and HEAD. How long a piece is stands in the header ``X-Kargah-Pieces``."""
    piece_bytes = pieces.size_for(blob.stat().st_size)
    if of_pieces:
        said = {pieces.HEADER: str(piece_bytes)}
        return StreamingResponse(pieces.hashes(blob, piece_bytes), media_type="application/octet-stream", headers=said)
    told = {**headers, pieces.HEADER: str(piece_bytes)}
    return FileResponse(blob, media_type="application/octet-stream", filename=name, headers=told)
