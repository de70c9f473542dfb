"""A file of weights as the quick engine takes them, made without torch: tests of chats start quickly."""

import json
import struct


def a_file(words: str = "") -> bytes:
    """As much of a safetensors file as the quick engine looks at."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    return struct.pack("<Q", len(header)) + header + words.encode()
