"""Writes uploads to temporary files as they arrive, so that none has to fit into the memory."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from engine.messages import INCOMING

START = 9  # bytes that tell the kind of a file

Check = Callable[[int, bytes], None]
"""Raises InvalidRequest when a file of so many bytes so far, which starts so, is refused."""


@asynccontextmanager
async def spool_file(folder: Path, chunks: AsyncIterable[bytes], check: Check) -> AsyncGenerator[Path]:
    """Write the chunks to a temporary file on the disk of this folder, the store's.

    Raises what `check` does as soon as it does, OSError when the disk is full.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=INCOMING, dir=folder) as file:
        start, size = b"", 0
        async for chunk in chunks:
            start, size = (start + chunk)[:START], size + len(chunk)
            check(size, start)
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
        yield Path(file.name)
