"""Bodies of HTTP requests: no larger than allowed, in time, and in UTF-8 alone."""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

PATIENCE = 30.0  # seconds that a body may take, or the next part of one that may be large
SLOWEST = 16 * 2**10  # bytes that have to come within them


async def read_text(request: web.Request, most: int, patience: float = PATIENCE) -> str:
    """The body as text of at most so many bytes. Raises HTTPException.

    The charset and the compression that a request names are ignored: some take minutes to decode.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(text="The body must not be compressed.")
    content = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for chunk in read_chunks(request, patience):
                content += chunk
                if len(content) > most:
                    raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(content))
    except TimeoutError as error:
        raise _timeout(patience) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="The body must be UTF-8.") from error


async def read_chunks(request: web.Request, patience: float = PATIENCE) -> AsyncGenerator[bytes]:
    """The body as it comes, however large. Raises HTTPException where it stops, drips or is broken."""
    size = SLOWEST
    deadline = 0.0
    while True:
        if size >= SLOWEST:
            deadline, size = asyncio.get_running_loop().time() + patience, 0
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise _timeout(patience) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            raise web.HTTPBadRequest(text="The body is broken or ended early.") from error
        if not chunk:
            return
        size += len(chunk)
        yield chunk


def _timeout(patience: float) -> web.HTTPRequestTimeout:
    return web.HTTPRequestTimeout(text=f"The body must arrive within {patience:g} s.")
