"""Training of the network with which the model that ships enlarges its pictures four times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from PIL.Image import Resampling
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.demo.renderer import draw
from engine.demo.training_loop import Plan
from engine.demo.vae import SIDE, to_pixels, to_tensor
from engine.demo.world import Pixels, Rng, sample_layout, sample_scene
from engine.vision.spandrel_library import import_spandrel

FACTOR = 4
CROP = 40  # pixels of a side of what is enlarged in training
CROPS = 4  # of each drawing, since drawing costs more than learning from it
CANDIDATES = 4  # crops, of which the one with the most in it is learned from
CHANNELS, LAYERS = 32, 10


def new_network() -> nn.Module:
    """An untrained network of Real-ESRGAN's compact kind (SRVGGNetCompact), 400 kB in float32."""
    import_spandrel()
    from spandrel.architectures.Compact import Compact

    network: nn.Module = Compact(num_feat=CHANNELS, num_conv=LAYERS, upscale=FACTOR)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:  # torch's usual weights let nothing through a dozen layers
        nn.init.kaiming_normal_(layer.weight, a=0.25)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(layers[-1].weight)  # it begins with what repeats each pixel
    return network


def draw_pair(rng: Rng, *, unseen: bool = False) -> tuple[Pixels, Pixels]:
    """A drawing of SIDE pixels, and the same drawn FACTOR times as large."""
    scene = sample_scene(rng, unseen=unseen)
    layout = sample_layout(rng, scene, SIDE, SIDE)
    return draw(scene, layout), draw(scene, layout, FACTOR)


def fullest_crop(rng: Rng, picture: Pixels) -> tuple[int, int]:
    """The top and left of the crop of the picture in which most varies, of some."""
    corners = [(int(top), int(left)) for top, left in rng.integers(0, SIDE - CROP + 1, (CANDIDATES, 2))]
    return max(
        corners, key=lambda at: picture[at[0] : at[0] + CROP, at[1] : at[1] + CROP].std(axis=(0, 1)).sum()
    )


def super_resolution_loss(network: nn.Module, vae: AutoencoderKL, plan: Plan) -> Callable[[int], Tensor]:
    """The loss by step: the squared error of enlarged crops, times 100.

    One drawing in four comes as the model's autoencoder decodes it, since that is how painted pictures come.
    The aim is the drawing itself for all. By the absolute error it would learn nothing: most pixels lie in
    flat colour, where what repeats each pixel is right already.
    """

    def loss(step: int) -> Tensor:
        rng = plan.rng(9, step)
        pairs = [draw_pair(rng) for _ in range(plan.batch // CROPS)]
        small = to_tensor(np.stack([pair[0] for pair in pairs]))
        if few := len(pairs) // 4:
            with torch.no_grad():
                small[:few] = vae.decode(vae.encode(small[:few]).latent_dist.mean).sample.clamp(-1, 1)
        inputs, aims = [], []
        for number, (picture, large) in enumerate(pairs):
            for _ in range(CROPS):
                top, left = fullest_crop(rng, picture)
                inputs.append(small[number, :, top : top + CROP, left : left + CROP])
                rows = slice(FACTOR * top, FACTOR * (top + CROP))
                columns = slice(FACTOR * left, FACTOR * (left + CROP))
                aims.append(to_tensor(large[None, rows, columns])[0])
        enlarged = network(torch.stack(inputs) / 2 + 0.5)
        error: Tensor = 100 * (enlarged - (torch.stack(aims) / 2 + 0.5)).square().mean()
        return error

    return loss


def ship_network(path: Path, network: nn.Module) -> None:
    """Write its weights as spandrel reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


@torch.no_grad()
def gain_over_lanczos(enlarge: Callable[[Pixels], Pixels], drawings: int = 30, seed: int = 83) -> float:
    """How many dB of PSNR `enlarge` is better than Lanczos on held-out drawings, on average.

    enlarge: (height, width, 3) uint8 to FACTOR times as much.
    """
    rng, gains = np.random.default_rng(seed), []
    for _ in range(drawings):
        small, large = draw_pair(rng, unseen=True)
        size = (FACTOR * SIDE, FACTOR * SIDE)
        lanczos = np.asarray(Image.fromarray(small).resize(size, Resampling.LANCZOS))
        gains.append(psnr(enlarge(small), large) - psnr(lanczos, large))
    return float(np.mean(gains))


def enlarge_by(network: nn.Module) -> Callable[[Pixels], Pixels]:
    """What enlarges a picture by the whole network at once."""

    def enlarge(picture: Pixels) -> Pixels:
        enlarged: Any = network(to_tensor(picture[None]) / 2 + 0.5)
        pixels: Pixels = to_pixels(enlarged * 2 - 1)[0]
        return pixels

    return enlarge


def psnr(picture: Pixels, aim: Pixels) -> float:
    """The peak signal-to-noise ratio in dB."""
    error = np.square(picture.astype(np.float32) - aim).mean()
    return float(10 * np.log10(255**2 / max(float(error), 1e-3)))
