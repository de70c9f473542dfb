"""Reading lessons: the second text encoder learns to tell from a caption alone what stands where.

Without them a small model paints the right things in the wrong places for very long, since the loss of the
noise hardly depends on who is above whom. The encoder learns to write what is at the top, the bottom, the
left, the right and in the middle into the last five of its 77 tokens, where attention finds it by place.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.demo.captions import caption
from engine.demo.text import TextEncoders
from engine.demo.training import Plan
from engine.demo.world import COLOURS, SHAPES, SIZES, Rng, Scene, Thing, sample_scene

PLACES = ("top", "bottom", "left", "right", "middle")
KINDS = (len(SHAPES) + 1, len(COLOURS) + 1, 3, len(SIZES) + 1)
"""Numbers of answers about a thing: shape, colour, fill and size; the last of each: there is none."""
WHOLE = (len(COLOURS), 2)
"""Numbers of answers about the whole picture: background, grayscale or not."""


def answers(thing: Thing | None) -> list[int]:
    """The right answers about a thing, one of each kind."""
    if thing is None:
        return [count - 1 for count in KINDS]
    colour, size = list(COLOURS).index(thing.colour), SIZES.index(thing.size)
    return [SHAPES.index(thing.shape), colour, int(thing.filled), size]


def placed(scene: Scene) -> list[Thing | None]:
    """What is at each of the five places."""
    if scene.relation is None:
        return [None, None, None, None, scene.things[0]]
    first, second = scene.things
    where: list[Thing | None] = [None] * 5
    one = {"above": 0, "below": 1, "left of": 2, "right of": 3}[scene.relation]
    where[one], where[one ^ 1] = first, second
    return where


class Lessons(nn.Module):
    """Linear answers from the last tokens and from the pooled text; they are no part of what ships."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_place = nn.Linear(width, sum(KINDS))
        self.of_whole = nn.Linear(width, sum(WHOLE))

    def forward(self, text: TextEncoders, rng: Rng, count: int) -> Tensor:
        """Mean cross-entropy of the answers to all questions about `count` new captions."""
        scenes = [sample_scene(rng) for _ in range(count)]
        words = text.alone([caption(rng, scene) for scene in scenes])
        at_places = self.of_place(words.hidden[:, -len(PLACES) :]).float().flatten(0, 1)
        guesses = torch.split(at_places, list(KINDS), dim=1)
        right = torch.tensor([answers(thing) for scene in scenes for thing in placed(scene)])
        losses = [nn.functional.cross_entropy(guess, right[:, i]) for i, guess in enumerate(guesses)]
        wholes = torch.split(self.of_whole(words.pooled).float(), list(WHOLE), dim=1)
        truth = torch.tensor([[list(COLOURS).index(s.background), int(s.grayscale)] for s in scenes])
        losses += [nn.functional.cross_entropy(guess, truth[:, i]) for i, guess in enumerate(wholes)]
        return torch.stack(losses).mean()


class Reader(nn.Module):
    """What the reading stage trains: the text encoders and the answers."""

    def __init__(self, text: TextEncoders, lessons: Lessons) -> None:
        super().__init__()
        self.text, self.lessons = text, lessons


def reading_loss(reader: Reader, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step of lessons alone."""

    def loss(step: int) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            wrong: Tensor = reader.lessons(reader.text, plan.rng(7, step), plan.batch)
        return wrong

    return loss
