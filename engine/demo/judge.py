"""The judge of pictures: whether the pixels show a scene.

It knows the colours and ideal shapes, and nothing about prompts, models or the places that things should
have.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine.demo.renderer import coverage, outline_width, stroke_period
from engine.demo.world import COLOURS, SHAPES, Floats, Pixels, Relation, Scene, Shape, Spot, Thing, rgb

SMALLEST = 0.003
"""The share of the picture below which a spot is noise and no thing."""
OVERLAP = 0.6
"""The least intersection over union with the ideal drawing for which a shape counts."""
NEAR = 60.0
"""The largest RGB distance of a colour from its ideal."""
STROKES = 0.5
"""The least correlation with stripes for which a thing is hatched. Ideal drawings have 0.8 to 0.95."""
PERIODS = (0.85, 0.92, 1.0, 1.08, 1.17)
"""Periods of stripes that are tried, relative to the ideal one."""
FEWEST = 60
"""The fewest pixels inside an outline in which stripes can be detected."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is right about a picture. `overlap`: the mean IoU, 0 to 1, of things with ideal drawings."""

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
    """One connected thing in a picture: its median colour, centre in pixels, and best ideal drawing."""

    colour: Floats
    x: float
    y: float
    shape: Shape
    filled: bool
    overlap: float


def judge(picture: Pixels, scene: Scene) -> Verdict:
    """Compare a picture (H, W, 3) uint8 with a scene of any shapes."""
    pixels = picture.astype(np.float32)
    ground = background_colour(pixels)
    things = scene.things
    parts = find_parts(pixels, ground, tuple(dict.fromkeys((*SHAPES, *(thing.shape for thing in things)))))
    background = is_colour(ground, scene.background, scene.grayscale)
    if len(parts) < len(things):
        return Verdict(
            background=background,
            colours=False,
            parts=False,
            relation=scene.relation is None and bool(parts),
            shapes=False,
            fills=False,
            overlap=0.0,
        )
    order = max(permutations(parts, len(things)), key=lambda order: _match_score(order, scene))
    pairs = list(zip(order, things, strict=True))
    return Verdict(
        background=background,
        colours=all(is_colour(part.colour, thing.colour, scene.grayscale) for part, thing in pairs),
        parts=len(parts) == len(things),
        relation=scene.relation is None or has_relation(order[0], order[1], scene.relation),
        shapes=all(part.shape == thing.shape and part.overlap >= OVERLAP for part, thing in pairs),
        fills=all(part.filled == thing.filled for part, thing in pairs),
        overlap=float(np.mean([part.overlap for part in order])),
    )


def _match_score(order: tuple[Part, ...], scene: Scene) -> float:
    """How well parts in this order match the scene's things. Their relation breaks ties only."""
    score = 0.0
    for part, thing in zip(order, scene.things, strict=True):
        score += 2 * is_colour(part.colour, thing.colour, scene.grayscale) + 2 * (part.shape == thing.shape)
        score += (part.filled == thing.filled) + part.overlap
    if scene.relation is not None:
        score += 0.1 * has_relation(order[0], order[1], scene.relation)
    return score


def background_colour(pixels: Floats) -> Floats:
    """The median colour (3,) of a frame three pixels wide."""
    frame = np.ones(pixels.shape[:2], bool)
    frame[3:-3, 3:-3] = False
    return np.median(pixels[frame], axis=0).astype(np.float32)


def is_colour(colour: Floats, name: str, grayscale: bool) -> bool:
    """Whether a colour (3,) is near to that of this name and nearest to it; in grayscale, near its gray."""
    if grayscale:
        return bool(np.ptp(colour) < 24 and abs(float(colour.mean()) - float(rgb(name, True)[0])) < 28)
    distances = {other: float(np.linalg.norm(colour - rgb(other))) for other in COLOURS}
    return min(distances, key=distances.__getitem__) == name and distances[name] < NEAR


def has_relation(first: Part, second: Part, relation: Relation) -> bool:
    """Whether the first clearly has this relation to the second: its direction is the longer one."""
    right, down = first.x - second.x, first.y - second.y
    along, across = {
        "above": (-down, right),
        "below": (down, right),
        "left of": (-right, down),
        "right of": (right, down),
    }[relation]
    return along > abs(across)


def find_parts(pixels: Floats, ground: Floats, shapes: Collection[Shape] = SHAPES) -> list[Part]:
    """The things that differ from the background, each as the best of these shapes; four at most."""
    distance = np.linalg.norm(pixels - ground, axis=2)
    return [_fit_part(pixels, ground, distance, mask, shapes) for mask in _spots(distance)]


def is_hatched(picture: Pixels, thing: Thing) -> bool:
    """Whether the largest thing in a picture (H, W, 3) uint8 has strokes as if hatched, and not mirrored.

    Only the shape of `thing` counts.
    """
    pixels = picture.astype(np.float32)
    ground = background_colour(pixels)
    distance = np.linalg.norm(pixels - ground, axis=2)
    masks = _spots(distance)
    if not masks:
        return False
    part = _fit_part(pixels, ground, distance, masks[0], (thing.shape,))
    whole = ndimage.binary_fill_holes(masks[0])
    rows, columns = (np.flatnonzero(whole.any(axis=axis)) for axis in (1, 0))
    left, top, right, bottom = ideal_box(thing.shape)
    radius = ((columns[-1] + 1 - columns[0]) / (right - left) + (rows[-1] + 1 - rows[0]) / (bottom - top)) / 2
    inside = ndimage.binary_erosion(whole, iterations=int(np.ceil(outline_width(radius))) + 1)
    if inside.sum() < FEWEST:
        return False
    line = part.colour - ground
    ink = np.clip((pixels - ground) @ line / max(float(line @ line), 1.0), 0, 1)
    straight, mirrored = (
        _stripe_correlation(ink, inside, stroke_period(radius), direction) for direction in (1, -1)
    )
    return straight >= STROKES and straight > mirrored


def _stripe_correlation(ink: Floats, inside: NDArray[np.bool_], period: float, direction: int) -> float:
    """The correlation, 0 to 1, of the ink inside with stripes across x + direction * y, at the best phase and
    about this period in pixels."""
    y, x = np.nonzero(inside)
    values = ink[inside] - ink[inside].mean()
    best, total = 0.0, float(values @ values)
    for scale in PERIODS:
        angle = 2 * np.pi * (x + direction * y) / np.sqrt(2) / (scale * period)
        waves = np.stack([np.cos(angle), np.sin(angle), np.ones_like(angle)], axis=1)
        weights = np.linalg.lstsq(waves, values, rcond=None)[0]
        residual = values - waves @ weights
        best = max(best, 1 - float(residual @ residual) / max(total, 1e-6))
    return float(np.sqrt(max(best, 0.0)))


def _spots(distance: Floats) -> list[NDArray[np.bool_]]:
    """Masks of connected pixels that differ from the background, the largest first; four at most."""
    threshold = max(14.0, 0.4 * float(np.percentile(distance, 99.5)))
    mask = ndimage.binary_closing(np.pad(distance > min(threshold, 45.0), 4))[4:-4, 4:-4]
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == i + 1 for i in np.argsort(-areas)[:4] if areas[i] >= SMALLEST * mask.size]


def _fit_part(
    pixels: Floats, ground: Floats, distance: Floats, mask: NDArray[np.bool_], shapes: Collection[Shape]
) -> Part:
    strong: NDArray[np.bool_] = mask & (distance >= np.percentile(distance[mask], 50))
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
    """The best IoU of the ink with an ideal drawing in its bounding box, over a few scales."""
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
    """Left, top, right and bottom of a shape of radius 1 around its centre."""
    cover = coverage(Thing(shape=shape, colour="black"), Spot(x=64, y=64, radius=40), 128, 128) > 0.5
    rows, columns = (np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    return ((left - 64) / 40, (top - 64) / 40, (right - 64) / 40, (bottom - 64) / 40)
