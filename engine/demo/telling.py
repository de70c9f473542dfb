"""What the base's UNet must be able to tell of each spot while it learns: which thing stands there.

A velocity's error is mostly colour; which of eight shapes a caption asks for hardly shows in it, so the
path from a word to a spot is learned late. Linear answers on the features between the levels, wrong at once
when that path is missing, are a second teacher (deep supervision: Lee et al. 2015, arXiv 1409.5185). They
are no part of what ships.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from engine.demo.latents import View
from engine.demo.reading import KINDS, answers, wrong

SHARE = 0.15
"""Weight of the answers' cross-entropy beside the velocity's error."""


class Teller(nn.Module):
    """Linear answers about every spot of what two of the UNet's ascending levels put out."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        deepest, middle = unet.config.block_out_channels[::-1][:2]
        self.of_levels = nn.ModuleList(nn.Conv2d(width, sum(KINDS), 1) for width in (deepest, middle))
        self.seen: list[Tensor] = []
        for block in unet.up_blocks[:2]:
            block.register_forward_hook(self._see)

    def _see(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self.seen.append(output)

    def loss(self, views: list[View]) -> Tensor:
        """Mean cross-entropy of the answers where things stand, for the last batch the UNet saw."""
        losses = []
        for answer, features in zip(self.of_levels, self.seen, strict=True):
            where, right = standing(views, features.shape[2], features.shape[3])
            told = answer(features.float()).permute(0, 2, 3, 1)[where]
            losses += wrong(told, KINDS, right)
        self.seen.clear()
        return torch.stack(losses).mean()


def standing(views: list[View], rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """The spots of a grid over each picture where a thing stands: (B, rows, columns) bool, and the answers
    about those, (how many, len(KINDS)) int64, in the same order."""
    here = np.full((len(views), rows, columns), -1)
    right = np.zeros((len(views), 2, len(KINDS)), np.int64)
    for number, view in enumerate(views):
        y = (np.arange(rows)[:, None] + 0.5) * view.height / rows + view.top
        x = (np.arange(columns)[None, :] + 0.5) * view.width / columns + view.left
        for which, (thing, spot) in enumerate(zip(view.scene.things, view.layout.spots, strict=True)):
            here[number][np.hypot(x - spot.x, y - spot.y) < spot.radius] = which
            right[number, which] = answers(thing)
    pictures, where = np.nonzero(here >= 0)[0], here >= 0
    return torch.from_numpy(where), torch.from_numpy(right[pictures, here[where]])
