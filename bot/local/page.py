"""The page's own files, by their addresses: everybody gets them, whether they know the token or not."""

from functools import partial
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).parents[1] / "page"
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
STATIC = {"/": "index.html", **{f"/{name}": name for name in NAMES}}


def routes() -> list[web.RouteDef]:
    """Where they are found; a browser asks each time whether they changed."""
    return [web.get(path, partial(_answer, name)) for path, name in STATIC.items()]


async def _answer(name: str, _: web.Request) -> web.StreamResponse:
    return web.FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})
