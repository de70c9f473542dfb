"""Refuses files that are no LoRAs while they are being uploaded."""

from pathlib import Path

from bot.uploads.spool import START
from engine.messages import HEADER_BYTES, InvalidRequest

LARGEST_LORA = 512 * 2**20  # bytes


def check_lora(size: int, start: bytes) -> None:
    """Raise InvalidRequest when a file of so many bytes so far, which starts so, cannot be a LoRA.

    The engine checks all of it later; this keeps out of the store what is plainly something else.
    """
    if size > LARGEST_LORA:
        raise InvalidRequest(f"The file is larger than {LARGEST_LORA // 2**20} MB. Send a smaller one.")
    if len(start) < START:  # the length of the header, and how it starts
        return
    if start[8:9] != b"{":
        pickled = start.startswith((b"PK", b"\x80"))  # a header may be so long, too
        what = "a pickle or zip file, which can run code" if pickled else "not a safetensors file"
        raise InvalidRequest(f"This is {what}. Send a LoRA that ends in .safetensors.")
    if int.from_bytes(start[:8], "little") > HEADER_BYTES:
        most = HEADER_BYTES // 2**20
        raise InvalidRequest(f"The header of this file must be at most {most} MB.")


def check_whole(path: Path) -> None:
    """Raise InvalidRequest when this file is too short to be anything. Raises OSError."""
    if path.stat().st_size < START:
        raise InvalidRequest("This is not a safetensors file. Send a LoRA that ends in .safetensors.")
