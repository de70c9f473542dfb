"""LoRA files on their way in: written aside as they come, refused as soon as it shows that they are none."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from pathlib import Path

from engine.messages import INCOMING, InvalidRequest

LARGEST_LORA = 512 * 2**20  # bytes
LONGEST_HEADER = 2 * 2**20  # bytes
TOLD = 9  # bytes that tell a safetensors file: the length of its header, and how that begins


def check_lora(size: int, start: bytes) -> None:
    """Raise InvalidRequest when a file of so many bytes so far, which begins so, cannot be a LoRA.

    The engine looks at all of it later; this spares the store what is plainly something else.
    """
    if size > LARGEST_LORA:
        raise InvalidRequest(
            f"the file is larger than {LARGEST_LORA // 2**20} MB, which no LoRA here may be."
        )
    if len(start) < TOLD:
        return
    if start[8:9] != b"{":
        pickled = start.startswith((b"PK", b"\x80"))  # a header may be so long, too
        what = "a pickle or zip file, which can run code" if pickled else "no safetensors file"
        raise InvalidRequest(f"this is {what}: send a LoRA that ends in .safetensors.")
    if int.from_bytes(start[:8], "little") > LONGEST_HEADER:
        raise InvalidRequest("the header of this file is larger than 2 MB, which no LoRA's is.")


@asynccontextmanager
async def aside(folder: Path, chunks: AsyncIterable[bytes]) -> AsyncGenerator[Path]:
    """The file while it is looked at, on the store's own disk; it never has to fit into the memory.

    Raises InvalidRequest as soon as it shows that it is no LoRA, OSError when the disk is full.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=INCOMING, dir=folder) as file:
        start, size = b"", 0
        async for chunk in chunks:
            start, size = (start + chunk)[:TOLD], size + len(chunk)
            check_lora(size, start)
            await asyncio.to_thread(file.write, chunk)
        if len(start) < TOLD:
            raise InvalidRequest("this is no safetensors file: send a LoRA that ends in .safetensors.")
        await asyncio.to_thread(file.flush)
        yield Path(file.name)
