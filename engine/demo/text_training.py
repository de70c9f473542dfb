"""Reading lessons: both text encoders learn to tell from a caption alone what stands where.

Without them a small model paints the right things in the wrong places for very long, since the loss of the
noise hardly depends on who is above whom. Each encoder learns to write what is at the top, the bottom, the
left, the right and in the middle into the last five of its 77 tokens, where attention finds it by place: each
of the five raises a channel of its own, so that its key is unlike the others'. The second encoder writes all
of it into its pooled text too, which reaches the levels without attention. Then both stay as they are, as
SDXL's own did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.demo.captions import caption
from engine.demo.text import TextEncoders
from engine.demo.training_loop import Plan, bfloat16_where_fast
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


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Logits: `places` (B, 5, sum of KINDS) of each reading, `whole` (B, sum of WHOLE), `own` (B, 5, 5)."""

    places: list[Tensor]
    whole: Tensor
    own: list[Tensor]


class Reader(nn.Module):
    """What the reading stage trains: the encoders, and linear answers that are no part of what ships."""

    def __init__(self, text: TextEncoders) -> None:
        super().__init__()
        self.text = text
        for encoder in (text.first, text.second):
            encoder.set_attn_implementation("eager")
        self.widths = [text.first.config.hidden_size, text.second.config.hidden_size]
        self.of_tokens = nn.ModuleList(nn.Linear(width, sum(KINDS)) for width in self.widths)
        pooled = text.second.config.projection_dim
        self.of_pooled = nn.Linear(pooled, len(PLACES) * sum(KINDS))
        self.of_whole = nn.Linear(pooled, sum(WHOLE))

    def forward(self, captions: list[str]) -> Answers:
        """What can be read off the encoded captions."""
        words = self.text(captions)
        ends = torch.split(words.hidden[:, -len(PLACES) :], self.widths, dim=2)
        told = [answer(end).float() for answer, end in zip(self.of_tokens, ends, strict=True)]
        told.append(self.of_pooled(words.pooled).float().unflatten(1, (len(PLACES), -1)))
        own = [end[:, :, : len(PLACES)].float() / 2 for end in ends]
        return Answers(places=told, whole=self.of_whole(words.pooled).float(), own=own)


def lesson(rng: Rng, count: int) -> tuple[list[str], Tensor, Tensor]:
    """`count` new captions with the right answers about places (B, 5, 4) and about the whole (B, 2)."""
    scenes = [sample_scene(rng) for _ in range(count)]
    places = torch.tensor([[answers(thing) for thing in placed(scene)] for scene in scenes])
    whole = torch.tensor([[list(COLOURS).index(s.background), int(s.grayscale)] for s in scenes])
    return [caption(rng, scene) for scene in scenes], places, whole


def wrong(answers: Tensor, kinds: Sequence[int], right: Tensor) -> list[Tensor]:
    """Cross-entropy for each kind of question: logits (N, sum of kinds), right answers (N, len(kinds))."""
    guesses = torch.split(answers, list(kinds), dim=1)
    return [nn.functional.cross_entropy(guess, right[:, i]) for i, guess in enumerate(guesses)]


def reading_loss(reader: Reader, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step: the mean cross-entropy of the answers to all questions about new captions."""

    def loss(step: int) -> Tensor:
        captions, places, whole = lesson(plan.rng(7, step), plan.batch)
        with bfloat16_where_fast():
            told = reader(captions)
        losses = []
        for answer in told.places:
            losses += wrong(answer.flatten(0, 1), KINDS, places.flatten(0, 1))
        losses += wrong(told.whole, WHOLE, whole)
        which = torch.arange(len(PLACES)).repeat(len(captions), 1)
        losses += [nn.functional.cross_entropy(own.flatten(0, 1), which.flatten()) for own in told.own]
        return torch.stack(losses).mean()

    return loss
