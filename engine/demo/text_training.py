"""Training of the text encoders: they learn to classify from a caption what is where in its picture.

Without it a small model paints the right things in the wrong places for very long, since the diffusion loss
hardly depends on which thing is above which. Each encoder learns to encode what is at the top, bottom, left,
right and in the middle in the last five of its 77 tokens, where attention finds it by position: each of the
five raises a channel of its own, so that its key differs from the others. The second encoder also encodes it
in its pooled embedding, which reaches the levels without attention. Then both are frozen, as SDXL's own were.
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
"""Numbers of classes of a thing: shape, colour, fill and size. The last of each means no thing."""
WHOLE = (len(COLOURS), 2)
"""Numbers of classes of the whole picture: background, grayscale or not."""


def thing_labels(thing: Thing | None) -> list[int]:
    """The labels of a thing, one of each of KINDS."""
    if thing is None:
        return [count - 1 for count in KINDS]
    colour, size = list(COLOURS).index(thing.colour), SIZES.index(thing.size)
    return [SHAPES.index(thing.shape), colour, int(thing.filled), size]


def things_at_places(scene: Scene) -> list[Thing | None]:
    """The thing at each of PLACES, or None."""
    if scene.relation is None:
        return [None, None, None, None, scene.things[0]]
    first, second = scene.things
    things: list[Thing | None] = [None] * 5
    place = {"above": 0, "below": 1, "left of": 2, "right of": 3}[scene.relation]
    things[place], things[place ^ 1] = first, second
    return things


@dataclass(frozen=True, kw_only=True)
class CaptionLogits:
    """Logits: `places` (B, 5, sum of KINDS) by each encoder and the pooled embedding, `whole` (B, sum of
    WHOLE), `own` (B, 5, 5) of which place each token is for.
    """

    places: list[Tensor]
    whole: Tensor
    own: list[Tensor]


class CaptionReader(nn.Module):
    """The encoders with linear classifiers, which do not ship."""

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

    def forward(self, captions: list[str]) -> CaptionLogits:
        """The logits of the encoded captions."""
        text = self.text(captions)
        ends = torch.split(text.hidden[:, -len(PLACES) :], self.widths, dim=2)
        places = [classify(end).float() for classify, end in zip(self.of_tokens, ends, strict=True)]
        places.append(self.of_pooled(text.pooled).float().unflatten(1, (len(PLACES), -1)))
        own = [end[:, :, : len(PLACES)].float() / 2 for end in ends]
        return CaptionLogits(places=places, whole=self.of_whole(text.pooled).float(), own=own)


def sample_captions(rng: Rng, count: int) -> tuple[list[str], Tensor, Tensor]:
    """`count` new captions with the labels of places (B, 5, 4) and of the whole (B, 2)."""
    scenes = [sample_scene(rng) for _ in range(count)]
    places = torch.tensor([[thing_labels(thing) for thing in things_at_places(scene)] for scene in scenes])
    whole = torch.tensor([[list(COLOURS).index(s.background), int(s.grayscale)] for s in scenes])
    return [caption(rng, scene) for scene in scenes], places, whole


def cross_entropies(logits: Tensor, kinds: Sequence[int], labels: Tensor) -> list[Tensor]:
    """The cross-entropy of each kind. logits: (N, sum of kinds). labels: (N, len(kinds)) int64."""
    parts = torch.split(logits, list(kinds), dim=1)
    return [nn.functional.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts)]


def caption_loss(reader: CaptionReader, plan: Plan) -> Callable[[int], Tensor]:
    """The loss by step: the mean cross-entropy of all logits for new captions."""

    def loss(step: int) -> Tensor:
        captions, places, whole = sample_captions(plan.rng(7, step), plan.batch)
        with bfloat16_where_fast():
            logits = reader(captions)
        losses = []
        for by_source in logits.places:
            losses += cross_entropies(by_source.flatten(0, 1), KINDS, places.flatten(0, 1))
        losses += cross_entropies(logits.whole, WHOLE, whole)
        which = torch.arange(len(PLACES)).repeat(len(captions), 1)
        losses += [nn.functional.cross_entropy(own.flatten(0, 1), which.flatten()) for own in logits.own]
        return torch.stack(losses).mean()

    return loss
