"""What comes in over HTTP, read as bytes: no longer than allowed, in time, and in UTF-8 alone."""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

PATIENCE = 30.0  # seconds that a body may take, or the next part of one that may be large
SLOWEST = 16 * 2**10  # bytes that have to come within them


async def utf8_of(request: web.Request, most: int, patience: float = PATIENCE) -> str:
    """The body as text of at most so many bytes. Raises HTTPException.

    Neither the charset nor the compression that a stranger names is looked at: some cost minutes to decode.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(text="the body must not be compressed.")
    content = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for chunk in chunks_of(request, patience):
                content += chunk
                if len(content) > most:
                    raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(content))
    except TimeoutError as error:
        raise _too_late(patience) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="the body must be UTF-8.") from error


async def chunks_of(request: web.Request, patience: float = PATIENCE) -> AsyncGenerator[bytes]:
    """The body as it comes, however large. Raises HTTPException where it stops, drips or is broken."""
    came = SLOWEST
    deadline = 0.0
    while True:
        if came >= SLOWEST:
            deadline, came = asyncio.get_running_loop().time() + patience, 0
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise _too_late(patience) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise web.HTTPBadRequest(text="the body is broken, or ended early.") from error
        if not chunk:
            return
        came += len(chunk)
        yield chunk


def _too_late(patience: float) -> web.HTTPRequestTimeout:
    return web.HTTPRequestTimeout(text=f"the body must come within {patience:g} seconds.")
