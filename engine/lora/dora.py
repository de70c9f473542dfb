"""The gain of a DoRA: weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv 2402.09353, eq. 5).

The module's weight becomes magnitude * (W + s B A) / norm(W + s B A), one magnitude and norm per output, or
per input as in OneTrainer and some of LyCORIS. The gain is magnitude / norm. Only what the adapter itself
adds to the weight is multiplied by its weight in a mix. So mixes add up as those of plain LoRAs do, and
weight 0 is the plain module.
"""

import torch
from torch import Tensor

from engine.lora.adapter_file import LowRank


def dora_gain(weight: Tensor, change: LowRank) -> Tensor:
    """magnitude / norm of each output or input, float64 on the CPU. weight: (out, in, ...) of the module."""
    if change.magnitude is None:
        raise ValueError("only a DoRA has a gain")
    changed = weight_matrix(weight) + change.delta()
    if change.by_input:
        changed = changed.view(weight.shape[0], weight.shape[1], -1).transpose(0, 1).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(changed, dim=1)
    return change.magnitude.to(torch.float64) / norms


def weight_matrix(weight: Tensor) -> Tensor:
    """A module's weight as a float64 matrix on the CPU, (out, in * height * width)."""
    return weight.detach().to("cpu", torch.float64).flatten(1)
