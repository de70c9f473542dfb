"""A classifier on the UNet's features while it is trained: which thing is at each spot.

The error of the velocity is mostly colour and depends little on the shape that a caption asks for, so the
path from a word to a spot is learned late. Linear classifiers on the features between levels fail at once
where that path is missing (deep supervision: Lee et al. 2015, arXiv 1409.5185). They do not ship.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from engine.demo.text_training import KINDS, cross_entropies

SHARE = 0.15
"""Weight of the cross-entropy beside the loss of the velocity."""
NOTHING = -100
"""The label where there is no thing, which cross_entropy ignores."""


class SpotClassifier(nn.Module):
    """Linear classifiers of every spot on the features of two of the UNet's ascending levels."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        deepest, middle = unet.config.block_out_channels[::-1][:2]
        self.of_levels = nn.ModuleList(nn.Conv2d(width, sum(KINDS), 1) for width in (deepest, middle))
        self.features: list[Tensor] = []
        for block in unet.up_blocks[:2]:
            block.register_forward_hook(self._keep_features)

    def _keep_features(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self.features.append(output)

    def loss(self, *labels: Tensor) -> Tensor:
        """The mean cross-entropy where there are things, for the UNet's last batch.

        labels: of each level, (B, h, w, len(KINDS)) int64, from `labels_at`.
        """
        losses = []
        for classify, features, label in zip(self.of_levels, self.features, labels, strict=True):
            logits = classify(features.float()).permute(0, 2, 3, 1)
            losses += cross_entropies(logits.flatten(0, 2), KINDS, label.flatten(0, 2))
        self.features.clear()
        return torch.stack(losses).mean()


def labels_at(spots: Tensor, things: Tensor) -> Tensor:
    """The labels of each spot, (B, h, w, len(KINDS)) int64, NOTHING where there is no thing.

    spots: (B, h, w) int8, the number of the thing there or -1. things: (B, 2, len(KINDS)) int8.
    """
    rows = torch.arange(len(spots), device=spots.device)[:, None, None]
    labels = things[rows, spots.clamp(min=0).long()].long()
    return labels.masked_fill((spots < 0)[..., None], NOTHING)
