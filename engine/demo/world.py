"""The scenes that the demo model can paint, their random sampling, and which of them are held out.

It needs numpy only. Positions and radii are in pixels, x to the right and y down. Pictures are uint8 RGB.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Rng = np.random.Generator

Shape = Literal[
    "circle", "square", "triangle", "diamond", "star", "heart", "cross", "moon",
    "gear", "arrow", "house", "bolt", "tee", "hourglass", "crown", "fish", "chevron", "key",
]  # fmt: skip
Size = Literal["small", "medium", "big"]
Relation = Literal["above", "below", "left of", "right of"]

SHAPES: tuple[Shape, ...] = get_args(Shape)[:8]
"""The shapes in the training data."""
TAUGHT: tuple[Shape, ...] = get_args(Shape)[8:]
"""Shapes that are not in the training data, for LoRAs to teach."""
SIZES: tuple[Size, ...] = get_args(Size)
RELATIONS: tuple[Relation, ...] = get_args(Relation)
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 38, 38),
    "orange": (245, 135, 30),
    "yellow": (250, 220, 50),
    "green": (38, 160, 70),
    "blue": (40, 90, 215),
    "purple": (135, 50, 175),
    "white": (248, 248, 248),
    "black": (18, 18, 18),
}
RADII: dict[Size, float] = {"small": 0.145, "medium": 0.215, "big": 0.29}
"""The radius of a single thing, relative to the square root of the picture's area."""
GRAY = np.array([0.299, 0.587, 0.114], np.float32)
"""Luma weights of ITU-R BT.601."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object. Hatched things are not in the training data, for LoRAs to teach."""

    shape: Shape
    colour: str
    size: Size = "medium"
    filled: bool = True
    hatched: bool = False


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One thing, or two in a relation, on a coloured background. The first is `relation` the second."""

    things: tuple[Thing, ...]
    background: str
    relation: Relation | None = None
    grayscale: bool = False

    def __post_init__(self) -> None:
        if len(self.things) != (1 if self.relation is None else 2):
            raise ValueError("a scene has one thing, or two things and a relation")


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The centre and radius of a thing in pixels."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The canvas in pixels and one spot for each thing of a scene."""

    width: int
    height: int
    spots: tuple[Spot, ...]


def is_held_out(scene: Scene) -> bool:
    """Whether this scene is held out from the training data: about 1/8 of (shape, colour, background)."""
    return any(
        _is_combination_held_out(thing.shape, thing.colour, scene.background) for thing in scene.things
    )


def _is_combination_held_out(shape: str, colour: str, background: str) -> bool:
    return zlib.crc32(f"{shape} {colour} {background}".encode()) % 8 == 3


def rgb(colour: str, grayscale: bool = False) -> Floats:
    """The colour as (3,) float32 in 0-255, or its luma three times."""
    value = np.array(COLOURS[colour], np.float32)
    return np.full(3, value @ GRAY, np.float32) if grayscale else value


# ---------------------------------------------------------------- sampling


def sample_scene(rng: Rng, *, unseen: bool = False) -> Scene:
    """A random scene of the training data, or a held-out one with `unseen`."""
    while True:
        scene = _any_scene(rng)
        if is_held_out(scene) == unseen:
            return scene


def _any_scene(rng: Rng) -> Scene:
    grayscale = bool(rng.random() < 0.08)
    relation = RELATIONS[rng.integers(4)] if rng.random() < 0.6 else None
    background = _pick(rng, list(COLOURS))
    gray_distance = 40.0 if grayscale else 0.0
    colours = [
        colour
        for colour in COLOURS
        if colour != background and abs(rgb(colour, True)[0] - rgb(background, True)[0]) >= gray_distance
    ]
    things = tuple(_any_thing(rng, colours) for _ in range(1 if relation is None else 2))
    return Scene(things=things, background=background, relation=relation, grayscale=grayscale)


def _any_thing(rng: Rng, colours: list[str]) -> Thing:
    size: Size = ("small", "medium", "medium", "big")[rng.integers(4)]
    filled = bool(rng.random() < 0.75)
    return Thing(
        shape=SHAPES[rng.integers(len(SHAPES))], colour=_pick(rng, colours), size=size, filled=filled
    )


def _pick(rng: Rng, options: list[str]) -> str:
    return options[int(rng.integers(len(options)))]


def sample_layout(rng: Rng, scene: Scene, width: int, height: int) -> Layout:
    """Random places of the scene's things on a canvas of width x height pixels, without touching."""
    side = float(np.sqrt(width * height))
    scale = side if len(scene.things) == 1 else 0.77 * side
    radii = [RADII[thing.size] * scale * rng.uniform(0.94, 1.06) for thing in scene.things]
    if len(radii) == 1:
        radius = min(radii[0], 0.46 * min(width, height))
        return Layout(width=width, height=height, spots=(_lone_spot(rng, radius, width, height),))
    across = scene.relation in ("left of", "right of")
    length, breadth = (width, height) if across else (height, width)
    margin, gap = 0.03 * length, 0.05 * side
    room = length - 2 * margin - gap
    shrink = min(1.0, room / (2 * sum(radii)), 0.46 * breadth / max(radii))
    radii = [radius * shrink for radius in radii]
    order = (0, 1) if scene.relation in ("above", "left of") else (1, 0)
    slack = room - 2 * sum(radii)
    cuts = np.sort(rng.beta(2, 2, 2)) * slack
    near, far = radii[order[0]], radii[order[1]]
    along = {order[0]: margin + cuts[0] + near, order[1]: margin + gap + cuts[1] + 2 * near + far}
    sideways = [
        breadth / 2 + rng.uniform(-1, 1) * min(0.1 * side, max(breadth / 2 - r - 2, 0)) for r in radii
    ]
    spots = tuple(
        Spot(x=float(along[i]), y=float(sideways[i]), radius=radii[i])
        if across
        else Spot(x=float(sideways[i]), y=float(along[i]), radius=radii[i])
        for i in (0, 1)
    )
    return Layout(width=width, height=height, spots=spots)


def _lone_spot(rng: Rng, radius: float, width: int, height: int) -> Spot:
    reach_x = min(0.12 * width, max(width / 2 - radius - 3, 0))
    reach_y = min(0.12 * height, max(height / 2 - radius - 3, 0))
    x = width / 2 + rng.uniform(-1, 1) * reach_x
    y = height / 2 + rng.uniform(-1, 1) * reach_y
    return Spot(x=float(x), y=float(y), radius=float(radius))
