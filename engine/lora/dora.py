"""DoRA in pictures: weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv 2402.09353, eq. 5).

The module's weight becomes magnitude * (W + s B A) / norm(W + s B A), one magnitude and norm per output, or
per input as in OneTrainer and some of LyCORIS, where the input is scaled. PEFT computes the norms at every
step, as it must in training, and scales what other adapters add as well. Here the gain, magnitude / norm, is
computed once, and only what the adapter itself adds to the module is scaled by its weight. So mixes add up as
those of plain LoRAs do, and weight 0 is the plain module.
"""

from typing import Any

import torch
from torch import Tensor, nn

from engine.lora.adapter_file import LowRank


class Gain(nn.Module):
    """gain - 1 of each output (out,) or input (in,), since low precision is finer near 0 than near 1."""

    def __init__(self, above_one: Tensor, *, by_input: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(above_one, requires_grad=False)
        self.by_input = by_input


class ServedDora:
    """The variant, as PEFT calls it, that its layers use in place of adding up @ down."""

    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **_: object) -> Tensor:
        """The layer's result plus what this adapter adds for its input x: (..., in) or (B, in, h, w)."""
        gain = module.lora_magnitude_vector[active_adapter]
        above_one: Tensor = gain.weight
        if isinstance(module.get_base_layer(), nn.Conv2d):
            above_one = above_one.view(-1, 1, 1)
        scaling: float = module.scaling[active_adapter]  # the adapter's weight times alpha / rank
        weight: float = scaling * module.r[active_adapter] / module.lora_alpha[active_adapter]
        down, up = module.lora_A[active_adapter], module.lora_B[active_adapter]
        if gain.by_input:
            added = above_one * x
            low_rank: Tensor = up(down(x + added))
            return result + weight * apply_without_bias(module.get_base_layer(), added) + scaling * low_rank
        low_rank = up(down(x))
        scaled = weight * above_one * apply_without_bias(module.get_base_layer(), x)
        return result + scaled + (1 + above_one) * scaling * low_rank


def apply_without_bias(module: Any, x: Tensor) -> Tensor:
    """The module's output for x without its bias."""
    if isinstance(module, nn.Conv2d):  # padded with zeros everywhere in SDXL
        return nn.functional.conv2d(
            x, module.weight, None, module.stride, module.padding, module.dilation, module.groups
        )
    return nn.functional.linear(x, module.weight)


def attach_dora(layer: Any, name: str, change: LowRank) -> None:
    """Make this adapter of the layer a DoRA. Its factors must be there already."""
    gain = dora_gain(layer.get_base_layer().weight, change)
    above_one = (gain - 1).to(layer.weight.device, layer.weight.dtype)
    layer.lora_variant[name] = ServedDora()
    layer.lora_magnitude_vector[name] = Gain(above_one, by_input=change.by_input)


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
