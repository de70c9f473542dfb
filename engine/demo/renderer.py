"""The renderer of scenes, with anti-aliased signed distance functions in numpy.

Shapes are in a unit frame: a thing of radius r pixels is about [-1, 1] after division by r, y down. Distances
are negative inside. After Inigo Quilez, "2D distance functions" (iquilezles.org).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.demo.world import GRAY, Floats, Layout, Pixels, Scene, Shape, Spot, Thing, rgb

Distance = Callable[[Floats, Floats], Floats]


def intersection(a: Floats, b: Floats) -> Floats:
    """The intersection of two shapes."""
    overlap: Floats = np.maximum(a, b)
    return overlap


def union(a: Floats, b: Floats) -> Floats:
    """The union of two shapes."""
    smaller: Floats = np.minimum(a, b)
    return smaller


def circle(x: Floats, y: Floats) -> Floats:
    """A disc."""
    return np.sqrt(x * x + y * y) - 0.92


def square(x: Floats, y: Floats) -> Floats:
    """An upright square."""
    return intersection(np.abs(x), np.abs(y)) - 0.8


def triangle(x: Floats, y: Floats) -> Floats:
    """An equilateral triangle that points up."""
    return intersection(np.abs(x) * 0.8660254 - (y - 0.2) * 0.5, y - 0.2) - 0.56


def diamond(x: Floats, y: Floats) -> Floats:
    """A rhombus, taller than wide."""
    return (np.abs(x) / 0.74 + np.abs(y) - 1.0) * 0.5949


def star(x: Floats, y: Floats) -> Floats:
    """A star of five points, one of them up."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + sector / 2) % sector - sector / 2)
    radius = np.hypot(x, y)
    tip, notch = (1.03, 0.0), (0.46 * np.cos(sector / 2), 0.46 * np.sin(sector / 2))
    return _line_distance(radius * np.cos(angle), radius * np.sin(angle), tip, notch)


def _line_distance(x: Floats, y: Floats, a: tuple[float, float], b: tuple[float, float]) -> Floats:
    """Signed distance to the line from a to b, negative on the origin's side."""
    normal = np.array([b[1] - a[1], a[0] - b[0]])
    normal = normal / np.hypot(*normal)
    offset = normal[0] * a[0] + normal[1] * a[1]
    sign = 1.0 if offset > 0 else -1.0
    return np.asarray(sign * (normal[0] * x + normal[1] * y - offset), dtype=x.dtype)


def heart(x: Floats, y: Floats) -> Floats:
    """A heart with its point down."""
    x, y = np.abs(x) / 1.6, (0.92 - y) / 1.6
    lobe = np.hypot(x - 0.25, y - 0.75) - 0.3535534
    along = 0.5 * np.maximum(x + y, 0)
    corner = np.minimum(np.hypot(x, y - 1), np.hypot(x - along, y - along))
    return np.where(x + y > 1, lobe, corner * np.sign(x - y)) * 1.6


def cross(x: Floats, y: Floats) -> Floats:
    """A plus sign."""
    x, y = np.abs(x), np.abs(y)
    return union(intersection(x - 0.92, y - 0.34), intersection(x - 0.34, y - 0.92))


def moon(x: Floats, y: Floats) -> Floats:
    """A crescent, open to the right."""
    x = x - 0.18
    return intersection(np.hypot(x, y) - 0.96, 0.74 - np.hypot(x - 0.5, y))


def gear(x: Floats, y: Floats) -> Floats:
    """A wheel with eight teeth and a hole."""
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    return intersection(radius - 0.8 - 0.14 * np.clip(3 * np.cos(8 * angle), -1, 1), 0.3 - radius)


def arrow(x: Floats, y: Floats) -> Floats:
    """An arrow that points to the right."""
    shaft = intersection(np.abs(y) - 0.26, np.abs(x + 0.42) - 0.53)
    head = intersection(-(x + 0.02), 0.77 * np.abs(y) - 0.63 * (0.95 - x))
    return union(shaft, head)


def polygon(*corners: tuple[float, float]) -> Distance:
    """The distance function of a closed polygon with these corners (Quilez, "Polygon - exact")."""

    def distance(x: Floats, y: Floats) -> Floats:
        nearest = np.full(x.shape, np.inf, np.float32)
        inside = np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
            along = np.clip(along, 0, 1)
            nearest = np.minimum(nearest, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
            if ay != by:
                left_of_edge = x < ax + (y - ay) / (by - ay) * (bx - ax)
                inside ^= ((ay > y) != (by > y)) & left_of_edge
        return np.where(inside, -nearest, nearest)

    return distance


def fish(x: Floats, y: Floats) -> Floats:
    """A fish that swims to the left: a body of two arcs and a tail."""
    body = intersection(np.hypot(x + 0.2, y - 0.55) - 0.98, np.hypot(x + 0.2, y + 0.55) - 0.98)
    return union(body, polygon((0.35, 0.0), (0.95, -0.6), (0.8, 0.0), (0.95, 0.6))(x, y))


def key(x: Floats, y: Floats) -> Floats:
    """A key: a ring on the left, a shaft with two teeth below."""
    ring = intersection(np.hypot(x + 0.55, y) - 0.42, 0.18 - np.hypot(x + 0.55, y))
    shaft = intersection(np.abs(y) - 0.14, np.abs(x - 0.4) - 0.55)
    teeth = intersection(np.abs(y - 0.25) - 0.25, union(np.abs(x - 0.8) - 0.13, np.abs(x - 0.35) - 0.13))
    return union(ring, union(shaft, teeth))


HOUSE = polygon((-0.7, 0.9), (-0.7, 0), (-0.95, 0), (0, -0.9), (0.95, 0), (0.7, 0), (0.7, 0.9))
BOLT = polygon((0.3, -0.95), (-0.6, 0.2), (-0.08, 0.2), (-0.3, 0.95), (0.6, -0.25), (0.08, -0.25))
TEE = polygon(
    (-0.85, -0.85),
    (0.85, -0.85),
    (0.85, -0.3),
    (0.3, -0.3),
    (0.3, 0.9),
    (-0.3, 0.9),
    (-0.3, -0.3),
    (-0.85, -0.3),
)
HOURGLASS = polygon((-0.75, -0.9), (0.75, -0.9), (0.12, 0), (0.75, 0.9), (-0.75, 0.9), (-0.12, 0))
CROWN = polygon((-0.9, 0.7), (-0.9, -0.6), (-0.4, 0.05), (0, -0.8), (0.4, 0.05), (0.9, -0.6), (0.9, 0.7))
CHEVRON = polygon((-0.8, -0.85), (-0.1, -0.85), (0.85, 0), (-0.1, 0.85), (-0.8, 0.85), (0.1, 0))

DISTANCES: dict[Shape, Distance] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "diamond": diamond,
    "star": star,
    "heart": heart,
    "cross": cross,
    "moon": moon,
    "gear": gear,
    "arrow": arrow,
    "house": HOUSE,
    "bolt": BOLT,
    "tee": TEE,
    "hourglass": HOURGLASS,
    "crown": CROWN,
    "fish": fish,
    "chevron": CHEVRON,
    "key": key,
}


def outline_width(radius: float) -> float:
    """The width in pixels of the outline of a thing of this radius in pixels."""
    return max(3.0, 0.2 * radius)


def stroke_period(radius: float) -> float:
    """The distance in pixels between strokes in a hatched thing of this radius in pixels."""
    return max(7.0, 0.35 * radius)


def coverage(thing: Thing, spot: Spot, width: int, height: int, scale: int = 1) -> Floats:
    """The part of each pixel that the thing covers: (height, width) float32 from 0 to 1.

    scale: how many times as large as the spot says all is drawn. Width and height are of what is drawn.
    """
    cover = np.zeros((height, width), np.float32)
    radius = spot.radius * scale
    reach = 1.25 * radius + 2
    left, right = (int(np.clip(spot.x * scale + side * reach, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(spot.y * scale + side * reach, 0, height)) for side in (-1, 1))
    if left >= right or top >= bottom:
        return cover
    x = (np.arange(left, right, dtype=np.float32) + 0.5 - spot.x * scale) / radius
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5 - spot.y * scale) / radius
    distance = DISTANCES[thing.shape](*np.broadcast_arrays(x[None, :], y[:, None])) * radius
    cover[top:bottom, left:right] = _ink(thing, spot, distance, x, y, scale)
    return cover


def _ink(thing: Thing, spot: Spot, distance: Floats, x: Floats, y: Floats, scale: int) -> Floats:
    whole: Floats = np.clip(0.5 - distance, 0, 1)
    if thing.filled and not thing.hatched:
        return whole
    hollow: Floats = np.clip(0.5 - distance - outline_width(spot.radius) * scale, 0, 1)
    if not thing.hatched:
        return whole - hollow
    across = (x[None, :] + y[:, None]) * spot.radius * scale / np.sqrt(2)
    period = stroke_period(spot.radius) * scale
    lines = np.clip(0.5 + period / 4 - np.abs((across + period / 2) % period - period / 2), 0, 1)
    inside: Floats = np.minimum(whole, np.maximum(whole - hollow, lines))
    return inside


def draw(scene: Scene, layout: Layout, scale: int = 1) -> Pixels:
    """Draw a scene, so many times as large as the layout says: (height, width, 3) uint8."""
    width, height = layout.width * scale, layout.height * scale
    picture = np.broadcast_to(rgb(scene.background), (height, width, 3)).astype(np.float32)
    for thing, spot in zip(scene.things, layout.spots, strict=True):
        cover = coverage(thing, spot, width, height, scale)[..., None]
        picture += cover * (rgb(thing.colour) - picture)
    if scene.grayscale:
        picture = np.repeat((picture @ GRAY)[..., None], 3, axis=2)
    return np.round(picture).astype(np.uint8)
