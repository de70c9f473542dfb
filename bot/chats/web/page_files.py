"""The page's own files, by their addresses: everybody gets them, whether they know the token or not."""

import asyncio
import hashlib
from functools import partial
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).parent / "page"
NAMES = (
    "style.css",
    "app.js",
    "curve.js",
    "files.js",
    "forms.js",
    "loras.js",
    "parts.js",
    "pictures.js",
    "training.js",
)
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
STATIC = {"/": "index.html", **{f"/{name}": name for name in NAMES}}


def routes() -> list[web.RouteDef]:
    """Where they are found; a browser asks each time whether they changed."""
    return [web.get(path, partial(_answer, name)) for path, name in STATIC.items()]


async def _answer(name: str, request: web.Request) -> web.StreamResponse:
    """The file from memory: one that nobody reads to its end keeps no handle."""
    content = await asyncio.to_thread((PAGE / name).read_bytes)
    tag = hashlib.sha256(content).hexdigest()[:32]
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(other.value == tag for other in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=content, content_type=KINDS[name.rpartition(".")[2]], charset="utf-8", headers=headers
    )
