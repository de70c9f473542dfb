"""Judging a picture by its pixels: is this the scene that was asked for?

It knows the colours and the ideal shapes, and nothing of prompts, models or where things were meant to stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

from engine.demo.drawing import coverage
from engine.demo.world import COLOURS, SHAPES, Floats, Pixels, Relation, Scene, Shape, Spot, Thing, rgb

SMALLEST = 0.003
"""Share of the picture below which a spot is dirt rather than a thing."""
OVERLAP = 0.6
"""Least intersection over union with the ideal drawing for a shape to count as drawn at all."""
NEAR = 60.0
"""Farthest a colour may be from its ideal, in RGB distance."""
RIM = 0.12
"""Share of a thing's size that is its outline, and not looked at for its fill."""
DIRECTIONS = 48
"""In which the outline of a thing is measured from its middle."""
HOLE = 0.02
"""Least share of a thing that is its hole."""
TEETH = 5
"""Least number of them for a gear; ideal ones have eight."""
STRIPES = 0.2
"""Least spread of the ink from line to line, in 0-1, for a fill to count as hatched."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is right about a picture; `overlap`: mean IoU (0-1) of the things with ideal drawings."""

    background: bool
    colours: bool
    parts: bool
    relation: bool
    shapes: bool
    fills: bool
    overlap: float

    @property
    def right(self) -> bool:
        """Whether everything is right."""
        return (
            self.background and self.colours and self.parts and self.relation and self.shapes and self.fills
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """One connected thing found in a picture: its mean colour, centre in pixels, and best ideal drawing."""

    colour: Floats
    x: float
    y: float
    shape: Shape
    filled: bool
    overlap: float


def judge(picture: Pixels, scene: Scene) -> Verdict:
    """Compare a (H, W, 3) uint8 picture with a scene."""
    pixels = picture.astype(np.float32)
    ground = background_colour(pixels)
    found = parts(pixels, ground)
    wanted = scene.things
    background = named(ground, scene.background, scene.grayscale)
    if len(found) < len(wanted):
        return Verdict(
            background=background,
            colours=False,
            parts=False,
            relation=scene.relation is None and bool(found),
            shapes=False,
            fills=False,
            overlap=0.0,
        )
    order = max(permutations(found, len(wanted)), key=lambda order: _likeness(order, scene))
    pairs = list(zip(order, wanted, strict=True))
    return Verdict(
        background=background,
        colours=all(named(part.colour, thing.colour, scene.grayscale) for part, thing in pairs),
        parts=len(found) == len(wanted),
        relation=scene.relation is None or related(order[0], order[1], scene.relation),
        shapes=all(part.shape == thing.shape and part.overlap >= OVERLAP for part, thing in pairs),
        fills=all(part.filled == thing.filled for part, thing in pairs),
        overlap=float(np.mean([part.overlap for part in order])),
    )


def _likeness(order: tuple[Part, ...], scene: Scene) -> float:
    """How well parts match the scene's things in this order; where things stand breaks ties only."""
    score = 0.0
    for part, thing in zip(order, scene.things, strict=True):
        score += 2 * named(part.colour, thing.colour, scene.grayscale) + 2 * (part.shape == thing.shape)
        score += (part.filled == thing.filled) + part.overlap
    if scene.relation is not None:
        score += 0.1 * related(order[0], order[1], scene.relation)
    return score


def background_colour(pixels: Floats) -> Floats:
    """The median colour (3,) of a frame three pixels wide."""
    frame = np.ones(pixels.shape[:2], bool)
    frame[3:-3, 3:-3] = False
    return np.median(pixels[frame], axis=0).astype(np.float32)


def named(colour: Floats, name: str, grayscale: bool) -> bool:
    """Whether a measured colour (3,) is nearest to this name's, and near it; in grayscale, near its gray."""
    if grayscale:
        return bool(np.ptp(colour) < 24 and abs(float(colour.mean()) - float(rgb(name, True)[0])) < 28)
    distances = {known: float(np.linalg.norm(colour - rgb(known))) for known in COLOURS}
    return min(distances, key=distances.__getitem__) == name and distances[name] < NEAR


def related(first: Part, second: Part, relation: Relation) -> bool:
    """Whether the first is clearly so placed against the second: the asked direction is the longer one."""
    right, down = first.x - second.x, first.y - second.y
    along, across = {
        "above": (-down, right),
        "below": (down, right),
        "left of": (-right, down),
        "right of": (right, down),
    }[relation]
    return along > abs(across)


def parts(pixels: Floats, ground: Floats) -> list[Part]:
    """The things that stand out from the background, largest first, four at most."""
    apart = np.linalg.norm(pixels - ground, axis=2)
    threshold = max(14.0, 0.4 * float(np.percentile(apart, 99.5)))
    mask = ndimage.binary_closing(np.pad(apart > min(threshold, 45.0), 4))[4:-4, 4:-4]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = [i + 1 for i in np.argsort(-areas)[:4] if areas[i] >= SMALLEST * mask.size]
    return [_measured(pixels, ground, apart, labels == label) for label in large]


def _measured(pixels: Floats, ground: Floats, apart: Floats, mask: NDArray[np.bool_]) -> Part:
    strong: NDArray[np.bool_] = mask & (apart >= np.percentile(apart[mask], 50))
    colour = np.median(pixels[strong], axis=0).astype(np.float32)
    line = colour - ground
    ink = np.clip((pixels - ground) @ line / max(float(line @ line), 1.0), 0, 1) * ndimage.binary_dilation(
        mask
    )
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    options = product(SHAPES, (True, False))
    overlap, shape, filled = max(
        (_overlap(ink, box, shape, filled), shape, filled) for shape, filled in options
    )
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return Part(colour=colour, x=x, y=y, shape=shape, filled=filled, overlap=overlap)


def _overlap(ink: Floats, box: tuple[float, float, float, float], shape: Shape, filled: bool) -> float:
    """Best IoU of the ink with an ideal drawing fitted to its bounding box, over a few scales."""
    left, top, right, bottom = ideal_box(shape)
    width, height = box[2] - box[0], box[3] - box[1]
    fits = (width / (right - left), height / (bottom - top))
    best = 0.0
    for radius in {fits[0], fits[1], (fits[0] + fits[1]) / 2}:
        x = (box[0] + box[2] - (left + right) * radius) / 2
        y = (box[1] + box[3] - (top + bottom) * radius) / 2
        thing = Thing(shape=shape, colour="black", filled=filled)
        ideal = coverage(thing, Spot(x=x, y=y, radius=radius), ink.shape[1], ink.shape[0])
        best = max(best, float(np.minimum(ink, ideal).sum() / np.maximum(ink, ideal).sum()))
    return best


def hatched(picture: Pixels) -> bool:
    """Whether the largest thing in a (H, W, 3) uint8 picture is filled with lines that rise to the right.

    Along such lines the ink hardly changes, from line to line it comes and goes; a smooth fill does neither.
    """
    pixels = picture.astype(np.float32)
    apart = np.linalg.norm(pixels - background_colour(pixels), axis=2)
    strongest = float(np.percentile(apart, 99))
    if strongest < 45:
        return False
    ink = np.clip(apart / strongest, 0, 1)
    inside = _inside(ink > 0.4)
    rows, columns = np.nonzero(inside)
    if len(rows) < SMALLEST * inside.size:
        return False
    rising, falling = (_spread(ink[inside], rows + way * columns) for way in (1, -1))
    return rising > STRIPES and rising > 1.8 * falling


def geared(picture: Pixels) -> bool:
    """Whether the largest thing in a (H, W, 3) uint8 picture has teeth around a hole, as a gear does.

    Of the shapes that the recipe draws only outlined stars and crosses have both.
    """
    pixels = picture.astype(np.float32)
    apart = np.linalg.norm(pixels - background_colour(pixels), axis=2)
    labels, count = ndimage.label(
        apart > max(14.0, 0.4 * float(np.percentile(apart, 99.5))), structure=np.ones((3, 3))
    )
    if not count:
        return False
    thing = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    whole = ndimage.binary_fill_holes(thing)
    return float((whole & ~thing).sum() / whole.sum()) > HOLE and _teeth(whole) >= TEETH


def _teeth(whole: NDArray[np.bool_]) -> int:
    """How often the outline of a thing without holes comes and goes, seen from its middle."""
    y, x = np.nonzero(whole)
    down, right = y - y.mean(), x - x.mean()
    directions = ((np.arctan2(down, right) + np.pi) / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS
    outline = np.zeros(DIRECTIONS)
    np.maximum.at(outline, directions, np.hypot(down, right))
    outline = ndimage.gaussian_filter1d(outline, 1, mode="wrap")
    outline = np.roll(outline, -int(np.argmin(outline)))
    peaks, _ = find_peaks(np.append(outline, outline[0]), prominence=0.08 * outline.mean())
    return len(peaks)


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest thing without its rim; gaps between its lines belong to it."""
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(mask, 4))[4:-4, 4:-4])
    labels, count = ndimage.label(whole, structure=np.ones((3, 3)))
    if not count:
        return mask
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    thing: NDArray[np.bool_] = labels == 1 + int(np.argmax(areas))
    rim = max(2, round(RIM * float(np.sqrt(areas.max()))))
    inside: NDArray[np.bool_] = ndimage.binary_erosion(thing, iterations=rim)
    return inside


def _spread(ink: Floats, line: NDArray[np.signedinteger[Any]]) -> float:
    """How much the mean ink differs between lines, those of two pixels' width that are long enough."""
    number = (line - line.min()) // 2
    length = np.bincount(number)
    mean = np.bincount(number, weights=ink) / np.maximum(length, 1)
    long = length >= max(6, 0.3 * length.max())
    return float(mean[long].std()) if long.sum() >= 4 else 0.0


def ideal_box(shape: Shape) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a shape of radius one about its centre."""
    cover = coverage(Thing(shape=shape, colour="black"), Spot(x=64, y=64, radius=40), 128, 128) > 0.5
    rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return ((left - 64) / 40, (top - 64) / 40, (right - 64) / 40, (bottom - 64) / 40)
