"""What rounding takes from a LoRA that is merged into weights in half precision."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from bench.full_size import random_module
from bench.measuring import table
from engine.lora.adapter_file import LowRank
from engine.lora.merged_weights import ServedFactors, add_changes
from engine.messages import EngineSettings
from engine.runners.runner import UnetInputs
from engine.sdxl.model import load_model

RANK = 16
LORAS = 3
SIZES = (0.01, 0.03, 0.1)  # of a LoRA's changes, relative to the weights
HALF = (torch.float16, torch.bfloat16)
# SDXL's structure at a fifth of its width.
NARROW: dict[str, Any] = {
    "sample_size": 32,
    "block_out_channels": (64, 128, 256),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 3),
    "attention_head_dim": (2, 4, 8),
    "cross_attention_dim": 256,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 448,
}

Rounding = Callable[[Tensor, ServedFactors, Tensor], None]


def measure() -> str:
    """How much of LoRAs' effects on the output of two UNets is lost, and their largest activations."""
    unets = {
        "random weights": random_module(UNet2DConditionModel, NARROW, torch.float32, "cpu"),
        "the model that ships": load_model(EngineSettings(model="demo", device="cpu")).base.unet,
    }
    rows = []
    for name, unet in unets.items():
        for dtype in HALF:
            for how, rounding in {"to nearest": to_nearest, "stochastic": stochastically}.items():
                lost = [mean_lost(unet, dtype, size, rounding) for size in SIZES]
                label = f"{name}, {str(dtype).removeprefix('torch.')}, {how}"
                rows.append([label, *(f"{share:.1%}" for share in lost)])
        rows.append([f"{name}: largest activation", f"{largest_activation(unet):,.0f}", "", ""])
    return table(["lost of a LoRA's effect, at |change| / |weight| of", *map("{:.0%}".format, SIZES)], rows)


def to_nearest(base: Tensor, change: ServedFactors, out: Tensor) -> None:
    """As the engine merges."""
    add_changes(base, [(change, 1.0)], out)


def stochastically(base: Tensor, change: ServedFactors, out: Tensor) -> None:
    """Up or down at random, so that the mean is exact."""
    exact = base.double() + change.scale * change.up.double() @ change.down.double()
    nearest = exact.to(base.dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, torch.inf))
    below = torch.nextafter(nearest, torch.full_like(nearest, -torch.inf))
    low = torch.where(nearest.double() <= exact, nearest, below).double()
    high = torch.where(nearest.double() <= exact, above, nearest).double()
    share = (exact - low) / (high - low)
    out.copy_(torch.where(torch.rand_like(exact) < share, high, low))


def mean_lost(unet: nn.Module, dtype: torch.dtype, size: float, rounding: Rounding) -> float:
    """The mean of `effect_lost` over a few LoRAs."""
    return statistics.mean(effect_lost(unet, dtype, size, rounding, seed) for seed in range(LORAS))


@torch.inference_mode()
def effect_lost(unet: nn.Module, dtype: torch.dtype, size: float, rounding: Rounding, seed: int = 0) -> float:
    """The error of a random LoRA's effect on the output, relative to the effect.

    Both are computed in float64: it is the rounding of the merged weights alone. The base's weights are those
    that this precision holds.
    """
    torch.manual_seed(seed)
    inputs = UnetInputs.examples(unet, 2, 8, 8)
    inputs = UnetInputs(
        sample=inputs.sample.double(),
        timestep=torch.tensor([700.0, 200.0]),
        hidden=inputs.hidden.double(),
        added={name: tensor.double() for name, tensor in inputs.added.items()},
    )
    exact: dict[str, Tensor] = {}
    rounded: dict[str, Tensor] = {}
    base = {name: parameter.to(dtype).double() for name, parameter in unet.named_parameters()}
    for name, module in unet.named_modules():
        if isinstance(module, nn.Linear) and ".attentions." in name:
            weight = module.weight.to(dtype)
            change = random_change(weight, size, dtype)
            exact[f"{name}.weight"] = (
                weight.double() + change.scale * change.up.double() @ change.down.double()
            )
            rounding(weight, change, out := torch.empty_like(weight))
            rounded[f"{name}.weight"] = out.double()

    def run(weights: dict[str, Tensor]) -> Tensor:
        with weights_set(unet, base | weights):
            return inputs.run(unet)[0]

    plain, wanted, got = run({}), run(exact), run(rounded)
    return float((got - wanted).norm() / (wanted - plain).norm())


def random_change(weight: Tensor, size: float, dtype: torch.dtype) -> ServedFactors:
    """A LoRA's change of this weight (out, in), whose norm relative to the weight's is this."""
    up, down = torch.randn(weight.shape[0], RANK), torch.randn(RANK, weight.shape[1])
    scale = size * weight.float().norm() / (up @ down).norm()
    change = LowRank(down=down * scale.sqrt(), up=up * scale.sqrt(), alpha=RANK)
    return ServedFactors.of(change, weight, dtype)


@contextmanager
def weights_set(unet: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """A context in which the UNet has these weights."""
    before = {name: parameter.data for name, parameter in unet.named_parameters()}
    for name, parameter in unet.named_parameters():
        parameter.data = weights[name]
    try:
        yield
    finally:
        for name, parameter in unet.named_parameters():
            parameter.data = before[name]


@torch.inference_mode()
def largest_activation(unet: nn.Module, timesteps: Sequence[float] = (999.0, 500.0, 1.0)) -> float:
    """The largest number that leaves any module, of 65,504 that float16 holds."""
    largest = [0.0]

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            largest.append(float(output.abs().max()))

    hooks = [module.register_forward_hook(note) for module in unet.modules()]
    for timestep in timesteps:
        inputs = UnetInputs.examples(unet, 2, 16, 16)
        inputs.timestep.fill_(timestep)
        inputs.run(unet)
    for hook in hooks:
        hook.remove()
    return max(largest)
