"""The gain of a DoRA: weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv 2402.09353, eq. 5).

The module's weight becomes magnitude * (W + s B A) / norm(W + s B A), one magnitude and norm per output, or
per input as in OneTrainer and some of LyCORIS. The gain is magnitude / norm. Only what the adapter itself
adds to the weight is multiplied by its weight in a mix. So mixes add up as those of plain LoRAs do, and
weight 0 is the plain module.
"""

import torch
from torch import Tensor

from engine.lora.adapter_file import Change
from engine.lora.lycoris_change import float64_device


def dora_gain(weight: Tensor, change: Change) -> Tensor:
    """magnitude / norm of each output or input, float64. weight: (out, in, ...) of the module.

    It is computed on the weight's device, where that has float64.
    """
    if change.magnitude is None:
        raise ValueError("only a DoRA has a gain")
    changed = weight_matrix(weight) + change.delta(weight)
    if change.by_input:
        changed = changed.view(weight.shape[0], weight.shape[1], -1).transpose(0, 1).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(changed, dim=1)
    return change.magnitude.to(norms.device, torch.float64, non_blocking=True) / norms


def weight_change(weight: Tensor, change: Change) -> Tensor:
    """All that a change adds to a module's weight (out, in, ...) at weight 1: float64, on the CPU."""
    delta = change.delta(weight)
    if change.magnitude is not None:
        gain = dora_gain(weight, change)
        gain = gain.repeat_interleave(weight[0, 0].numel())[None] if change.by_input else gain[:, None]
        delta = (gain - 1) * weight_matrix(weight) + gain * delta
    return delta.reshape(weight.shape).cpu()


def weight_matrix(weight: Tensor) -> Tensor:
    """A module's weight as a float64 matrix, (out, in * height * width)."""
    return weight.detach().to(float64_device(weight), torch.float64).flatten(1)
