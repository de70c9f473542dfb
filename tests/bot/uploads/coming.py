"""A file as a chat hands it over: in pieces."""

from collections.abc import AsyncIterator


async def pieces(content: bytes, size: int = 2**16) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
