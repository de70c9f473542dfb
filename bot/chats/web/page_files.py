"""The files of the page over HTTP: everybody gets them, whether they know the token or not."""

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).parent / "page"
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def addresses() -> Mapping[str, Path]:
    """The path of an address, and the file that is found there."""
    files = {f"/{path.name}": path for path in sorted(PAGE.iterdir()) if path.suffix in CONTENT_TYPES}
    return {"/": files.pop("/index.html"), **files}


def routes() -> list[web.RouteDef]:
    """Where they are found; a browser asks each time whether they changed."""
    return [web.get(address, partial(_send, path)) for address, path in addresses().items()]


async def _send(path: Path, request: web.Request) -> web.StreamResponse:
    """The file from memory: one that nobody reads to its end keeps no handle."""
    content = await asyncio.to_thread(path.read_bytes)
    tag = hashlib.sha256(content).hexdigest()[:32]
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(other.value == tag for other in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=content, content_type=CONTENT_TYPES[path.suffix], charset="utf-8", headers=headers
    )
