"""Judging a picture by its pixels: is this the scene that was asked for?

It knows the colours and the ideal shapes, and nothing of prompts, models or where things were meant to stand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine.demo.drawing import coverage
from engine.demo.world import COLOURS, SHAPES, Floats, Pixels, Relation, Scene, Shape, Spot, Thing, rgb

SMALLEST = 0.003
"""Share of the picture below which a spot is dirt rather than a thing."""
OVERLAP = 0.6
"""Least intersection over union with the ideal drawing for a shape to count as drawn at all."""
NEAR = 60.0
"""Farthest a colour may be from its ideal, in RGB distance."""


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
    """Compare a (H, W, 3) uint8 picture with a scene, whose shapes may be others than the recipe draws."""
    pixels = picture.astype(np.float32)
    ground = background_colour(pixels)
    wanted = scene.things
    found = parts(pixels, ground, tuple(dict.fromkeys((*SHAPES, *(thing.shape for thing in wanted)))))
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


def parts(pixels: Floats, ground: Floats, shapes: Collection[Shape] = SHAPES) -> list[Part]:
    """The things that stand out from the background, taken for one of the shapes; four at most."""
    apart = np.linalg.norm(pixels - ground, axis=2)
    threshold = max(14.0, 0.4 * float(np.percentile(apart, 99.5)))
    mask = ndimage.binary_closing(np.pad(apart > min(threshold, 45.0), 4))[4:-4, 4:-4]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = [i + 1 for i in np.argsort(-areas)[:4] if areas[i] >= SMALLEST * mask.size]
    return [_measured(pixels, ground, apart, labels == label, shapes) for label in large]


def _measured(
    pixels: Floats, ground: Floats, apart: Floats, mask: NDArray[np.bool_], shapes: Collection[Shape]
) -> Part:
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
    options = product(shapes, (True, False))
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


def ideal_box(shape: Shape) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a shape of radius one about its centre."""
    cover = coverage(Thing(shape=shape, colour="black"), Spot(x=64, y=64, radius=40), 128, 128) > 0.5
    rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return ((left - 64) / 40, (top - 64) / 40, (right - 64) / 40, (bottom - 64) / 40)
