"""An invisible watermark of 32 bits, keyed by a secret: spread over mid frequencies of the luminance.

Each symbol of 6 bits is one of 64 keyed sequences over Fourier coefficients of a tile (spread spectrum, Cox
et al. 1997, with 64-ary signals), beside a fixed keyed pattern that finds the tile again. The tile repeats
all over the picture scaled to one area (after Kutter 1998), so that resizing changes nothing, and a crop is a
shift and a small scale, which a search finds. 16 further bits check the other 32.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALLEST = 256  # pixels a side of a picture that can be marked
PAYLOAD_BITS, CHECK_BITS, SYMBOL_BITS = 32, 16, 6
SYMBOLS = (PAYLOAD_BITS + CHECK_BITS) // SYMBOL_BITS
AREA_SIDE = 512  # pixels a side of a square of the area at which marks are made and read
TILE = 128  # pixels of those
BAND = (5.0, 18.0)  # cycles in a tile: coarse enough for half the size, fine enough not to be seen
STRENGTH, MASKING, STRONGEST = 1.3, 0.07, 3.0  # of 255: where it is flat, for each unit of detail, at most
LARGE, MOST_GAIN = 768, 1.8  # pixels a side of a square under which it is stronger; so many times at most
DETAIL = 6  # pixels around each, over which detail is measured
CERTAIN, LIKELY = 9.0, 5.6  # standard deviations of the tile's pattern: no other place is tried; is tried
CROPS = 0.7, 1.25  # scales that are tried: of what a crop left, and of what a frame added
STEP = 0.004  # between two of them
STRIP = 256  # rows of pixels that are marked at a time

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class _Pattern:
    """What a secret makes: places of coefficients, the tile's pattern there, and sequences of symbols."""

    sync: NDArray[np.intp]  # flat places in a tile's half spectrum
    sync_phases: NDArray[np.complex128]
    data: NDArray[np.intp]  # (SYMBOLS, chips)
    sequences: NDArray[np.float64]  # (SYMBOLS, 64, chips, 2): signs of real and imaginary parts


def embed_watermark(picture: Image.Image, payload: int, secret: bytes) -> Image.Image:
    """The RGB picture with these PAYLOAD_BITS bits in it; both sides have at least SMALLEST pixels."""
    grey = _scale(picture.convert("L").convert("F"))
    detail = np.sqrt(np.maximum(_blur(_high_pass(grey) ** 2, DETAIL), 0))
    gain = min(max((LARGE**2 / (picture.width * picture.height)) ** 0.25, 1.0), MOST_GAIN)
    strength = np.minimum(STRENGTH * gain + MASKING * detail, STRONGEST)
    tile = _make_tile(payload, secret)
    height, width = grey.shape
    mark = np.tile(tile, (-(-height // TILE), -(-width // TILE)))[:height, :width] * strength
    change = Image.fromarray(mark.astype(np.float32)).resize(picture.size, Image.Resampling.BICUBIC)
    pixels, changes = np.array(picture), np.asarray(change)
    for top in range(0, len(pixels), STRIP):  # so that a large picture takes little memory
        rows = slice(top, top + STRIP)
        pixels[rows] = np.clip(np.rint(pixels[rows] + changes[rows, :, None]), 0, 255)
    return Image.fromarray(pixels)


def read_watermark(picture: Image.Image, secret: bytes) -> int | None:
    """The bits that were embedded with this secret, or None where there are none."""
    grey = _scale(picture.convert("L").convert("F"))
    residual = _high_pass(grey)
    residual /= np.sqrt(np.maximum(_blur(residual**2, DETAIL), 0)) + 1
    pattern = _pattern(secret)
    for certainty, spectrum in _candidates(residual, pattern):
        if certainty >= LIKELY and (payload := _decode(spectrum, pattern, secret)) is not None:
            return payload
    return None


def _candidates(residual: Plane, pattern: _Pattern) -> Iterator[tuple[float, NDArray[np.complex128]]]:
    """How surely the tile was found and its spectrum, moved to its place: as it is, then by other scales."""
    whole = _align(residual, pattern)
    yield whole
    if whole[0] >= CERTAIN:
        return
    scales = np.exp(np.arange(np.log(CROPS[0]), np.log(CROPS[1]), STEP))
    image, (height, width) = Image.fromarray(residual), residual.shape
    aligned = []
    for scale in scales:
        size = round(width * scale), round(height * scale)
        aligned.append(_align(np.asarray(image.resize(size, Image.Resampling.BILINEAR)), pattern))
    yield from sorted(aligned, key=lambda candidate: -candidate[0])[:3]


def _align(residual: Plane, pattern: _Pattern) -> tuple[float, NDArray[np.complex128]]:
    height, width = residual.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.pad(residual, ((0, rows * TILE - height), (0, columns * TILE - width)))
    spectrum = np.fft.rfft2(padded.reshape(rows, TILE, columns, TILE).sum((0, 2)))
    sized = np.abs(spectrum)
    phases = (spectrum / np.maximum(sized, 1e-9)).ravel()
    matched = np.zeros(spectrum.size, np.complex128)
    matched[pattern.sync] = phases[pattern.sync] * pattern.sync_phases.conj()
    places = np.fft.irfft2(matched.reshape(spectrum.shape), (TILE, TILE)) * (TILE * TILE / 2)
    down, across = np.unravel_index(np.argmax(places), places.shape)
    certainty = float(places[down, across] / np.sqrt(len(pattern.sync) / 2))
    turns = np.outer(
        np.exp(2j * np.pi * np.fft.fftfreq(TILE) * down), np.exp(2j * np.pi * np.fft.rfftfreq(TILE) * across)
    )
    return certainty, phases * turns.ravel()


def _decode(spectrum: NDArray[np.complex128], pattern: _Pattern, secret: bytes) -> int | None:
    parts = spectrum[pattern.data]
    parts = np.stack([parts.real, parts.imag], -1)  # (SYMBOLS, chips, 2)
    scores = np.einsum("scp,swcp->sw", parts, pattern.sequences)
    word = 0
    for symbol in scores.argmax(1):
        word = word << SYMBOL_BITS | int(symbol)
    payload = word >> CHECK_BITS
    return payload if _word(payload, secret) == word else None


def _word(payload: int, secret: bytes) -> int:
    """The payload with its check, by which nobody without the secret can make another."""
    check = hmac.digest(secret, b"check" + payload.to_bytes(PAYLOAD_BITS // 8), "sha256")
    return payload << CHECK_BITS | int.from_bytes(check[: CHECK_BITS // 8])


def _make_tile(payload: int, secret: bytes) -> Plane:
    """(TILE, TILE), of mean 0 and standard deviation 1."""
    pattern, word = _pattern(secret), _word(payload, secret)
    spectrum = np.zeros(TILE * (TILE // 2 + 1), np.complex128)
    spectrum[pattern.sync] = pattern.sync_phases
    for place in range(SYMBOLS):
        symbol = word >> SYMBOL_BITS * (SYMBOLS - 1 - place) & (1 << SYMBOL_BITS) - 1
        signs = pattern.sequences[place, symbol]
        spectrum[pattern.data[place]] = (signs[:, 0] + 1j * signs[:, 1]) / np.sqrt(2)
    tile = np.fft.irfft2(spectrum.reshape(TILE, TILE // 2 + 1), (TILE, TILE))
    scaled: Plane = (tile / tile.std()).astype(np.float32)
    return scaled


@lru_cache(maxsize=4)
def _pattern(secret: bytes) -> _Pattern:
    random = np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(b"watermark" + secret).digest()))
    )
    down, across = np.meshgrid(np.fft.fftfreq(TILE) * TILE, np.arange(TILE // 2 + 1), indexing="ij")
    radius = np.hypot(down, across).ravel()
    inside = (radius >= BAND[0]) & (radius <= BAND[1]) & (across.ravel() > 0)
    places = random.permutation(np.flatnonzero(inside))
    chips = len(places) * 5 // 8 // SYMBOLS  # the rest finds the tile
    data, sync = places[: SYMBOLS * chips].reshape(SYMBOLS, chips), places[SYMBOLS * chips :]
    sequences = random.choice([-1.0, 1.0], (SYMBOLS, 1 << SYMBOL_BITS, chips, 2))
    return _Pattern(sync, np.exp(2j * np.pi * random.random(len(sync))), data, sequences)


def _scale(grey: Image.Image) -> Plane:
    """The luminance at the area at which marks are made and read."""
    scale = AREA_SIDE / (grey.width * grey.height) ** 0.5
    size = max(round(grey.width * scale), 8), max(round(grey.height * scale), 8)
    plane: Plane = np.array(grey.resize(size, Image.Resampling.BICUBIC), np.float32)
    return plane


def _high_pass(plane: Plane) -> Plane:
    """Without what is coarser than the marks."""
    coarse: Plane = _blur(plane, TILE // 12)
    fine: Plane = plane - coarse
    return fine


def _blur(plane: Plane, radius: int) -> Plane:
    """The mean of the (2 radius + 1)^2 pixels around each."""
    for axis in (0, 1):
        edges = [(0, 0), (0, 0)]
        edges[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(plane, edges, mode="edge"), axis=axis, dtype=np.float64)
        upper = np.take(sums, range(2 * radius + 1, sums.shape[axis]), axis)
        lower = np.take(sums, range(sums.shape[axis] - 2 * radius - 1), axis)
        plane = ((upper - lower) / (2 * radius + 1)).astype(np.float32)
    return plane
