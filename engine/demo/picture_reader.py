"""Training of the network with which the model that ships captions drawings of its world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.demo.clip import sample_drawing
from engine.demo.renderer import draw
from engine.demo.text_training import KINDS, WHOLE, cross_entropies, thing_labels, things_at_places
from engine.demo.training_loop import Plan
from engine.demo.vae import SIDE, to_tensor
from engine.demo.world import COLOURS, SHAPES, SIZES, Scene, sample_layout, sample_scene
from engine.vision.picture_reader import PictureReader, Seen, Words

WORDS = Words(
    shapes=SHAPES,
    colours=tuple(COLOURS),
    fills=("outlined", ""),
    sizes=tuple("" if size == "medium" else size for size in SIZES),
)
"""The words of a caption for the labels of `thing_labels`."""


def reader_loss(reader: PictureReader, plan: Plan) -> Callable[[int], Tensor]:
    """The loss by step: the cross-entropies of what is at each place, and of the whole picture."""

    def loss(step: int) -> Tensor:
        rng = plan.rng(8, step)
        scenes, images = zip(*(sample_drawing(rng) for _ in range(plan.batch)), strict=True)
        places, whole = reader(to_tensor(np.stack(images)))
        things = torch.tensor(
            [[thing_labels(thing) for thing in things_at_places(scene)] for scene in scenes]
        )
        wholes = torch.tensor([[list(COLOURS).index(s.background), int(s.grayscale)] for s in scenes])
        of_things = cross_entropies(places.flatten(0, 1), KINDS, things.flatten(0, 1))
        return torch.stack([*of_things, *cross_entropies(whole, WHOLE, wholes)]).sum()

    return loss


def is_right(seen: Seen, scene: Scene) -> bool:
    """Whether it names the scene's colours, shapes and relation."""
    things, relation = list(scene.things), scene.relation or ""
    if relation in ("below", "right of"):
        things = things[::-1]
    named = {"above": "above", "below": "above", "left of": "to the left of", "right of": "to the left of"}
    return (
        seen.background == scene.background
        and seen.relation == named.get(relation, "")
        and [(thing.shape, thing.colour) for thing in seen.things] == [(t.shape, t.colour) for t in things]
    )


@torch.no_grad()
def right_share(reader: PictureReader, drawings: int = 300, seed: int = 79) -> float:
    """The share of held-out drawings whose caption names colours, shapes and relation right."""
    rng, right = np.random.default_rng(seed), 0
    for _ in range(drawings):
        scene = sample_scene(rng, unseen=True)
        image = draw(scene, sample_layout(rng, scene, SIDE, SIDE))
        places, whole = reader(to_tensor(image[None]))
        right += is_right(reader.likeliest(places[0], whole[0]), scene)
    return right / drawings
