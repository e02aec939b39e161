"""The description of the API as a page: Swagger UI from our own files, nothing from elsewhere."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from kargah.web.pages import assets

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="openapi" content="/api/v1/openapi.json">
<meta name="csrf-token" content="{csrf}">
<title>Kargah API</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{css}">
</head>
<body>
<main id="api"></main>
<script src="{bundle}" defer></script>
<script src="{start}" defer></script>
</body>
</html>
"""


@router.get("/api/docs")
async def api_docs(request: Request) -> HTMLResponse:
    names = {"css": "swagger-ui.css", "bundle": "swagger-ui-bundle.js", "start": "start.js"}
    addresses = {key: assets.address(f"api-docs/{name}") for key, name in names.items()} | {"icon": assets.address("mark.svg")}
    return HTMLResponse(_PAGE.format(csrf=escape(request.state.csrf_token), **addresses))
