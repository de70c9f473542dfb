"""What the base's UNet must be able to tell of each spot while it learns: which thing stands there.

A velocity's error is mostly colour; which of eight shapes a caption asks for hardly shows in it, so the
path from a word to a spot is learned late. Linear answers on the features between the levels, wrong at once
when that path is missing, are a second teacher (deep supervision: Lee et al. 2015, arXiv 1409.5185). They
are no part of what ships.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from engine.demo.text_training import KINDS, wrong

SHARE = 0.15
"""Weight of the answers' cross-entropy beside the velocity's error."""
NOBODY = -100
"""The answer where nothing stands, which cross_entropy passes over."""


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

    def loss(self, *right: Tensor) -> Tensor:
        """Mean cross-entropy of the answers where things stand, for the last batch the UNet saw.

        right: for each level (B, h, w, len(KINDS)) int64, `answers_at` its spots.
        """
        losses = []
        for answer, features, truth in zip(self.of_levels, self.seen, right, strict=True):
            told = answer(features.float()).permute(0, 2, 3, 1)
            losses += wrong(told.flatten(0, 2), KINDS, truth.flatten(0, 2))
        self.seen.clear()
        return torch.stack(losses).mean()


def answers_at(spots: Tensor, things: Tensor) -> Tensor:
    """The right answers at each spot: (B, h, w, len(KINDS)) int64, NOBODY where nothing stands.

    spots: (B, h, w) int8, the number of the thing there or -1; things: (B, 2, len(KINDS)) int8.
    """
    rows = torch.arange(len(spots), device=spots.device)[:, None, None]
    told = things[rows, spots.clamp(min=0).long()].long()
    return told.masked_fill((spots < 0)[..., None], NOBODY)
