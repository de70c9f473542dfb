"""A weights file from outside: safetensors only, measured before anything parses it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from engine.messages import AdapterUse, InvalidRequest, stored_at

FILE_BYTES = 512 * 2**20
HEADER_BYTES = 2 * 2**20
TENSORS = 5000


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the header says about one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Header:
    """A safetensors header, from its raw bytes; `end` is the length in bytes of a whole file."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    end: int


def stored_content(folder: Path, use: AdapterUse) -> bytes:
    """The file's bytes, measured before they are read and checked against their hash."""
    path = stored_at(folder, use.sha256)
    if not path.is_file():
        raise InvalidRequest(f"the file of LoRA {use.name} is missing: upload or train it again.")
    size, most = path.stat().st_size / 2**20, FILE_BYTES / 2**20
    if size > most:
        raise InvalidRequest(
            f"the file of LoRA {use.name} has {size:,.1f} MB, but at most {most:g} MB are allowed."
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != use.sha256:
        raise InvalidRequest(f"the file of LoRA {use.name} is damaged: its content does not match its hash.")
    return content


def read_header(content: bytes, lora: str) -> Header:
    """The header, checked before safetensors parses the file."""
    size = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{":
        if content.startswith((b"PK", b"\x80")):
            raise InvalidRequest(
                f"{lora} is a pickle or zip file, which can run code: only safetensors are read."
            )
        raise InvalidRequest(f"{lora} is not a safetensors file.")
    if size > HEADER_BYTES:
        raise InvalidRequest(
            f"{lora} has a header of {size:,} bytes, but at most {HEADER_BYTES:,} are allowed."
        )
    if size + 8 > len(content):
        raise InvalidRequest(f"the file of {lora} is cut off: upload it again.")
    try:
        header = parsed_header(json.loads(content[8 : 8 + size]), size)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidRequest(f"{lora} is not a safetensors file: its header cannot be read.") from None
    if len(header.entries) > TENSORS:
        raise InvalidRequest(
            f"{lora} has {len(header.entries):,} tensors, but at most {TENSORS:,} are allowed."
        )
    if not header.entries:
        raise InvalidRequest(f"{lora} is empty: it has no tensors.")
    if header.end > len(content):
        raise InvalidRequest(f"the file of {lora} is cut off: upload it again.")
    return header


def parsed_header(fields: dict[str, dict[str, object]], size: int) -> Header:
    """The header's fields by type. Raises what wrongly shaped JSON raises."""
    metadata = {str(key): str(value) for key, value in fields.pop("__metadata__", {}).items()}
    entries, end = {}, 0
    for key, field in fields.items():
        shape, offsets = field["shape"], field["data_offsets"]
        if not isinstance(shape, list) or not isinstance(offsets, list):
            raise TypeError(key)
        entries[key] = Entry(dtype=str(field["dtype"]), shape=tuple(int(side) for side in shape))
        end = max(end, int(offsets[1]))
    return Header(entries=entries, metadata=metadata, end=8 + size + end)


def finite_tensors(content: bytes, lora: str) -> dict[str, Tensor]:
    """All tensors, on the CPU. Raises InvalidRequest when safetensors does or when a number is not finite."""
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as broken:
        raise InvalidRequest(f"{lora} is not a valid safetensors file: {shown(str(broken))}.") from broken
    for key, tensor in sorted(tensors.items()):
        if not torch.isfinite(tensor).all():
            raise InvalidRequest(f"{lora} is broken: {shown(key)} has numbers that are not finite.")
    return tensors


def shown(text: str) -> str:
    """Text from a file, fit to be shown: printable and short."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= 100 else f"{printable[:60]}...{printable[-37:]}"
