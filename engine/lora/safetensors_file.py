"""Reading of safetensors files from outside, with limits that are checked before anything is parsed."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.messages import HEADER_BYTES, AdapterUse, InvalidRequest, stored_path

FILE_BYTES = 512 * 2**20
TENSORS = 5000
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
}
EIGHT_BITS = frozenset({"F8_E4M3", "F8_E5M2"})  # both are exact in float16, which torch can compute with


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor in the header. Its bytes are from `begin` to `end` behind the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int = 0
    end: int = 0

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Header:
    """A safetensors header.

    `start`: where the numbers start. `end`: the length of the whole file in bytes.
    """

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    start: int
    end: int


def read_stored_file(folder: Path, use: AdapterUse) -> bytes:
    """The file's bytes, after checks of its size and hash. Raises InvalidRequest."""
    path = stored_path(folder, use.sha256)
    if not path.is_file():
        raise InvalidRequest(f"The file of LoRA {use.name} is missing. Import or train it again.")
    size, limit = path.stat().st_size / 2**20, FILE_BYTES / 2**20
    if size > limit:
        raise InvalidRequest(
            f"The file of LoRA {use.name} has {size:,.1f} MB. At most {limit:g} MB are allowed."
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != use.sha256:
        raise InvalidRequest(f"The file of LoRA {use.name} is damaged. Its content does not match its hash.")
    return content


def read_header(content: bytes, lora: str) -> Header:
    """Parse the header, after a check of its size. Raises InvalidRequest."""
    size = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{":
        if content.startswith((b"PK", b"\x80")):
            raise InvalidRequest(
                f"{lora} is a pickle or zip file, which can run code. Only safetensors files are read."
            )
        raise InvalidRequest(f"{lora} is not a safetensors file.")
    if size > HEADER_BYTES:
        raise InvalidRequest(
            f"{lora} has a header of {size:,} bytes. At most {HEADER_BYTES:,} bytes are allowed."
        )
    if size + 8 > len(content):
        raise InvalidRequest(f"{lora} is cut off. Send the file again.")
    try:
        header = parse_header(json.loads(content[8 : 8 + size]), size)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidRequest(f"{lora} is not a safetensors file. Its header cannot be read.") from None
    if len(header.entries) > TENSORS:
        raise InvalidRequest(f"{lora} has {len(header.entries):,} tensors. At most {TENSORS:,} are allowed.")
    if not header.entries:
        raise InvalidRequest(f"{lora} is empty. It has no tensors.")
    if header.end > len(content):
        raise InvalidRequest(f"{lora} is cut off. Send the file again.")
    return header


def parse_header(fields: dict[str, dict[str, object]], size: int) -> Header:
    """The header of this JSON. Raises ValueError, KeyError, TypeError or AttributeError for wrong JSON."""
    metadata = {str(key): str(value) for key, value in fields.pop("__metadata__", {}).items()}
    entries, end = {}, 0
    for key, field in fields.items():
        shape, offsets = field["shape"], field["data_offsets"]
        if not isinstance(shape, list) or not isinstance(offsets, list):
            raise TypeError(key)
        begin, finish = (int(offset) for offset in offsets)
        sides = tuple(int(side) for side in shape)
        entries[key] = Entry(dtype=str(field["dtype"]), shape=sides, begin=begin, end=finish)
        end = max(end, finish)
    return Header(entries=entries, metadata=metadata, start=8 + size, end=8 + size + end)


def read_finite_tensors(content: bytes, header: Header, keys: Iterable[str], lora: str) -> dict[str, Tensor]:
    """The tensors of these keys on the CPU, those of 8 bits as float16.

    Raises InvalidRequest where the tensors do not fill the file without gaps, as the format demands, or where
    a number is not finite.
    """
    refuse_bad_layout(content, header, lora)
    tensors = {}
    for key in sorted(keys):
        tensors[key] = tensor = read_tensor(content, header, key)
        if not torch.isfinite(tensor).all():
            raise InvalidRequest(f"{lora} is broken. {printable(key)} has numbers that are not finite.")
    return tensors


def refuse_bad_layout(content: bytes, header: Header, lora: str) -> None:
    """Raise InvalidRequest unless each tensor starts where the last one ends and has the right size."""
    position = 0
    for key, entry in sorted(header.entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        room = entry.end - entry.begin
        fits = entry.dtype not in DTYPES or room == entry.count * DTYPES[entry.dtype].itemsize
        if entry.begin != position or room < 0 or min(entry.shape, default=0) < 0 or not fits:
            raise InvalidRequest(
                f"{lora} is not a valid safetensors file. {printable(key)} is not where its header says."
            )
        position = entry.end
    if header.end != len(content):
        raise InvalidRequest(f"{lora} is not a valid safetensors file. It goes on behind its tensors.")


def read_tensor(content: bytes, header: Header, key: str) -> Tensor:
    """One tensor, in memory of its own."""
    entry = header.entries[key]
    dtype = DTYPES[entry.dtype]
    if not entry.count:
        return torch.empty(entry.shape, dtype=dtype)
    numbers = bytearray(memoryview(content)[header.start + entry.begin : header.start + entry.end])
    tensor = torch.frombuffer(numbers, dtype=dtype).view(entry.shape)
    return tensor.to(torch.float16) if entry.dtype in EIGHT_BITS else tensor


def printable(text: str) -> str:
    """Text from a file, made printable and short enough to show."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= 100 else f"{printable[:60]}...{printable[-37:]}"
