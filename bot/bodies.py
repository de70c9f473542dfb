"""What comes in over HTTP, read as bytes: no longer than allowed, in time, and in UTF-8 alone."""

import asyncio

from aiohttp import web

PATIENCE = 30.0  # seconds that a body may take


async def utf8_of(request: web.Request, most: int) -> str:
    """The body as text of at most so many bytes. Raises HTTPException.

    Neither the charset nor the compression that a stranger names is looked at: some cost minutes to decode.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise web.HTTPUnsupportedMediaType(text="the body must not be compressed.")
    content = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.content.iter_any():
                content += chunk
                if len(content) > most:
                    raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(content))
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the body must come within {PATIENCE:g} seconds.") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise web.HTTPBadRequest(text="the body must be UTF-8.") from error
