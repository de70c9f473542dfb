"""Judges by its pixels whether a picture shows the scene that was asked for.

It knows the colours and the ideal shapes, and nothing of prompts, models or where things were meant to stand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine.demo.renderer import coverage, period, stroke
from engine.demo.world import COLOURS, SHAPES, Floats, Pixels, Relation, Scene, Shape, Spot, Thing, rgb

SMALLEST = 0.003
"""Share of the picture below which a spot is dirt rather than a thing."""
OVERLAP = 0.6
"""Least intersection over union with the ideal drawing for a shape to count as drawn at all."""
NEAR = 60.0
"""Farthest a colour may be from its ideal, in RGB distance."""
STROKES = 0.5
"""Least correlation with stripes for a thing to count as hatched; ideal drawings have 0.8 to 0.95."""
PERIODS = (0.85, 0.92, 1.0, 1.08, 1.17)
"""Of stripes, in shares of those that the recipe draws."""
FEWEST = 60
"""Pixels inside an outline in which stripes can be told."""


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
    return [_measured(pixels, ground, apart, mask, shapes) for mask in _spots(apart)]


def hatched(picture: Pixels, thing: Thing) -> bool:
    """Whether the largest thing in a (H, W, 3) uint8 picture is filled with the strokes that the recipe
    draws, rather than with none or with mirrored ones. Of the thing the shape counts alone."""
    pixels = picture.astype(np.float32)
    ground = background_colour(pixels)
    masks = _spots(np.linalg.norm(pixels - ground, axis=2))
    if not masks:
        return False
    part = _measured(pixels, ground, np.linalg.norm(pixels - ground, axis=2), masks[0], (thing.shape,))
    whole = ndimage.binary_fill_holes(masks[0])
    rows, columns = (np.flatnonzero(whole.any(axis=axis)) for axis in (1, 0))
    left, top, right, bottom = ideal_box(thing.shape)
    radius = ((columns[-1] + 1 - columns[0]) / (right - left) + (rows[-1] + 1 - rows[0]) / (bottom - top)) / 2
    inside = ndimage.binary_erosion(whole, iterations=int(np.ceil(stroke(radius))) + 1)
    if inside.sum() < FEWEST:
        return False
    line = part.colour - ground
    ink = np.clip((pixels - ground) @ line / max(float(line @ line), 1.0), 0, 1)
    right_way, mirrored = (_striped(ink, inside, period(radius), way) for way in (1, -1))
    return right_way >= STROKES and right_way > mirrored


def _striped(ink: Floats, inside: NDArray[np.bool_], period: float, way: int) -> float:
    """Correlation (0-1) of the ink inside with stripes across x + way * y, at the best phase and about this
    period in pixels."""
    y, x = np.nonzero(inside)
    values = ink[inside] - ink[inside].mean()
    best, total = 0.0, float(values @ values)
    for scale in PERIODS:
        angle = 2 * np.pi * (x + way * y) / np.sqrt(2) / (scale * period)
        waves = np.stack([np.cos(angle), np.sin(angle), np.ones_like(angle)], axis=1)
        weights = np.linalg.lstsq(waves, values, rcond=None)[0]
        left = values - waves @ weights
        best = max(best, 1 - float(left @ left) / max(total, 1e-6))
    return float(np.sqrt(max(best, 0.0)))


def _spots(apart: Floats) -> list[NDArray[np.bool_]]:
    """Where something is that is apart from the background, the largest first; four at most."""
    threshold = max(14.0, 0.4 * float(np.percentile(apart, 99.5)))
    mask = ndimage.binary_closing(np.pad(apart > min(threshold, 45.0), 4))[4:-4, 4:-4]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == i + 1 for i in np.argsort(-areas)[:4] if areas[i] >= SMALLEST * mask.size]


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
