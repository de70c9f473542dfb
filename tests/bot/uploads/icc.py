"""Colour profiles as pictures bring them, made by hand: the few tags that tell what numbers mean."""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
D65_WHITE, D50_WHITE = (0.3127, 0.3290), (0.3457, 0.3585)

Matrix = NDArray[np.float64]


def display_p3() -> bytes:
    """What phones attach."""
    return rgb(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65_WHITE, _para(SRGB_CURVE))


def adobe_rgb() -> bytes:
    return rgb(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65_WHITE, _gamma(2.19921875))


def prophoto() -> bytes:
    return rgb(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50_WHITE, _gamma(1.8))


def grey(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": _xyz(D50), b"kTRC": _gamma(gamma)})


def rgb(primaries: tuple[tuple[float, float], ...], white: tuple[float, float], curve: bytes) -> bytes:
    columns = to_xyz(primaries, white).T
    tags = {b"wtpt": _xyz(D50)}
    for letter, column in zip(b"rgb", columns, strict=True):
        tags[bytes([letter]) + b"XYZ"] = _xyz(tuple(column))
        tags[bytes([letter]) + b"TRC"] = curve
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags)


def cmyk(corners: Mapping[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A press that prints the inks at these corners (0 or 1 each) as these colours of CIELAB, else white."""
    ramp = bytes(range(256))
    table = b""
    for number in range(16):
        inks = (number >> 3 & 1, number >> 2 & 1, number >> 1 & 1, number & 1)
        lightness, a, b = corners.get(inks, (100.0, 0.0, 0.0))
        table += bytes((round(lightness * 2.55), round(a + 128), round(b + 128)))
    unit = struct.pack(">9i", *(65536 * (place % 4 == 0) for place in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + unit + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"wtpt": _xyz(D50), b"A2B0": lut})


def to_xyz(primaries: tuple[tuple[float, float], ...], white: tuple[float, float]) -> Matrix:
    """(3, 3) from linear numbers to XYZ as D50 sees it."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    seen = np.array([white[0] / white[1], 1.0, (1 - sum(white)) / white[1]])
    matrix = columns * np.linalg.solve(columns, seen)
    gains = (BRADFORD @ np.array(D50)) / (BRADFORD @ seen)
    adapted: Matrix = np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD @ matrix
    return adapted


def _profile(colours: bytes, connection: bytes, device: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    tags = {b"desc": _text(b"made by hand"), b"cprt": _text(b"nobody's"), **tags}
    directory, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(content)
        directory += name + struct.pack(">II", place, len(tag))
        content += tag + bytes(-len(tag) % 4)
    body = directory + content
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x04200000, device, colours, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _to_fixed_point(D50)
    return head.ljust(128, b"\0") + body


def _text(words: bytes) -> bytes:
    wide = words.decode().encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(wide), 28) + wide


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _to_fixed_point(values)


def _gamma(value: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(value * 256))


def _para(values: tuple[float, ...]) -> bytes:
    return b"para" + struct.pack(">IHH", 0, 3, 0) + _to_fixed_point(values)


def _to_fixed_point(values: tuple[float, ...]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
