"""Reading lessons: the second text encoder learns to tell from a caption alone what stands where.

Without them a small model paints the right things in the wrong places for very long, since the loss of the
noise hardly depends on who is above whom. With them the encoder knows within a minute.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.demo.captions import caption
from engine.demo.clip import shortest
from engine.demo.text import TextEncoders
from engine.demo.tokenizer import token_ids
from engine.demo.training import Plan
from engine.demo.world import COLOURS, SHAPES, SIZES, Rng, Scene, sample_scene

QUESTIONS: tuple[int, ...] = (*(len(SHAPES) + 1, len(COLOURS) + 1, 3, len(SIZES) + 1) * 2, 3, len(COLOURS), 2)
"""Numbers of possible answers: shape, colour, fill and size of the upper or left thing, and of the other one;
none, vertical or horizontal arrangement; background; grayscale or not."""


def answers(scene: Scene) -> list[int]:
    """The right answers for a scene, one for each question; a missing thing has the last of each kind."""
    things = list(scene.things)
    if scene.relation in ("below", "right of"):
        things.reverse()
    right: list[int] = []
    for thing in (things[0], things[1] if len(things) > 1 else None):
        if thing is None:
            right += [len(SHAPES), len(COLOURS), 2, len(SIZES)]
        else:
            right += [SHAPES.index(thing.shape), list(COLOURS).index(thing.colour), int(thing.filled)]
            right.append(SIZES.index(thing.size))
    arrangement = {None: 0, "above": 1, "below": 1, "left of": 2, "right of": 2}[scene.relation]
    return [*right, arrangement, list(COLOURS).index(scene.background), int(scene.grayscale)]


class Lessons(nn.Module):
    """Linear answers from the pooled text; they are no part of what ships."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.answer = nn.Linear(width, sum(QUESTIONS))

    def forward(self, text: TextEncoders, rng: Rng, count: int) -> Tensor:
        """Mean cross-entropy of the answers to all questions about `count` new captions."""
        scenes = [sample_scene(rng) for _ in range(count)]
        tokenizer = text.tokenizers[1]
        ids = token_ids(tokenizer, [caption(rng, scene) for scene in scenes])
        pooled = text.second(shortest(ids, tokenizer.eos_token_id)).text_embeds
        guesses = torch.split(self.answer(pooled).float(), list(QUESTIONS), dim=1)
        right = torch.tensor([answers(scene) for scene in scenes])
        losses = [nn.functional.cross_entropy(guess, right[:, i]) for i, guess in enumerate(guesses)]
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
