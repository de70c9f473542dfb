"""Reads the recipe from a PNG's text chunks, as our engine, A1111 and others write them."""

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = b"IDAT"
HEAD = 2**17  # bytes of a file that hold its recipe, if it has one
LONGEST = 10_000  # characters
MOST = 100  # chunks before the pixels; there are about ten
NAMES = ("recipe", "parameters")  # ours first: it says more


def recipe_in(content: bytes) -> str:
    """The recipe in this file, of which the first HEAD bytes are enough; "" where there is none."""
    texts = dict(_text(kind, data) for kind, data in _parts(content) if kind in (b"tEXt", b"iTXt"))
    return next((texts[name] for name in NAMES if 0 < len(texts.get(name, "")) <= LONGEST), "")


def _parts(content: bytes) -> list[tuple[bytes, bytes]]:
    """The kind and the content of each chunk before the pixels, as far as the file goes."""
    parts: list[tuple[bytes, bytes]] = []
    at = len(SIGNATURE) if content.startswith(SIGNATURE) else len(content)
    while at + 8 <= len(content) and len(parts) < MOST:
        length, kind = struct.unpack_from(">I4s", content, at)
        at += 8
        if kind == PIXELS or at + length > len(content):
            break
        parts.append((kind, content[at : at + length]))
        at += length + 4  # and its checksum
    return parts


def _text(kind: bytes, data: bytes) -> tuple[str, str]:
    """The name and the text of a chunk; empty for a compressed one, which recipes are not."""
    name, _, text = data.partition(b"\0")
    if kind == b"iTXt":
        packed, text = text[:1], text[2:]
        _, _, text = text.partition(b"\0")[2].partition(b"\0")
        if packed != b"\0":
            return "", ""
    return name.decode("latin-1"), text.decode("latin-1" if kind == b"tEXt" else "utf-8", errors="replace")
