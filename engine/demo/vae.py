"""The autoencoder (VAE) of the demo model: its configuration, pictures and losses.

It has 4 latent channels at an eighth of the side, and decides the colours. Few channels, one norm group (so
that no channel loses its level), L1 beside the squared error, and the posterior's mean in place of a sample
make it learn in minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from engine.demo.renderer import draw
from engine.demo.training_loop import Plan, bfloat16_where_fast
from engine.demo.world import RADII, Floats, Pixels, Rng, Scene, Thing, sample_layout, sample_scene

SIDE = 128
"""The side of square pictures in pixels."""
LOG_VARIANCE = -12.0
"""The log variance of the latents' posterior."""


def new_vae(channels: tuple[int, ...] = (8, 16, 48, 96)) -> AutoencoderKL:
    """An untrained autoencoder: a factor of 2 at each level but the last, 4 latent channels, one norm group.

    Only the mean of its posterior is trained. The standard deviation is fixed at 0.0025, so that trainers
    that sample from the posterior get pictures and not noise.
    """
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        norm_num_groups=1,
        sample_size=SIDE,
        force_upcast=False,
    )
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = LOG_VARIANCE
    return vae


def odd_picture(rng: Rng) -> Pixels:
    """A picture for the autoencoder alone: any scene, sometimes hatched, with a gear, or in other colours."""
    scene = sample_scene(rng)
    if rng.random() < 0.2:
        things = tuple(_odd_thing(rng, thing) for thing in scene.things)
        scene = Scene(things=things, background=scene.background, relation=scene.relation)
    picture = draw(scene, sample_layout(rng, scene, SIDE, SIDE))
    if rng.random() < 0.25:
        mixed = (picture.astype(np.float32) - 128) @ _odd_colours(rng) + rng.uniform(-30, 30, 3) + 128
        picture = np.clip(mixed, 0, 255).astype(np.uint8)
    return picture


def _odd_thing(rng: Rng, thing: Thing) -> Thing:
    shape = "gear" if rng.random() < 0.3 else thing.shape
    return Thing(
        shape=shape, colour=thing.colour, size=thing.size, filled=thing.filled, hatched=rng.random() < 0.7
    )


def _odd_colours(rng: Rng) -> Floats:
    return (np.eye(3) + 0.4 * rng.standard_normal((3, 3))).astype(np.float32)


def training_pictures(plan: Plan, step: int, side: int) -> Tensor:
    """The training pictures of a step: (batch, 3, side, side) in -1..1, random crops of whole ones."""
    rng = np.random.default_rng([plan.seed, 1, step])
    crops = []
    for _ in range(plan.batch):
        top, left = rng.integers(0, SIDE - side + 1, 2)
        crops.append(odd_picture(rng)[top : top + side, left : left + side])
    return to_tensor(np.stack(crops))


def to_tensor(pixels: Pixels) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in -1..1, channels last in memory."""
    return (torch.from_numpy(pixels).float() / 127.5 - 1).permute(0, 3, 1, 2)


def to_pixels(images: Tensor) -> Pixels:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) uint8."""
    rounded = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    pixels: Pixels = rounded.byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def vae_loss(vae: AutoencoderKL, plan: Plan, side: Callable[[int], int]) -> Callable[[int], Tensor]:
    """The loss by step: absolute and squared error, with a little noise on the latents and a weak pull to
    zero.

    side: of the training pictures in pixels, by step. Small crops first make a far faster start.
    """

    def loss(step: int) -> Tensor:
        images = training_pictures(plan, step, side(step))
        with bfloat16_where_fast():
            mean = vae.encode(images).latent_dist.mean
            noise = (
                torch.randn(mean.shape, generator=plan.noise_generator(step))
                * mean.detach().float().std()
                * 0.03
            )
            output = vae.decode(mean + noise.to(mean.dtype)).sample
        error: Tensor = output.float() - images
        pull: Tensor = 1e-4 * mean.float().square().mean()
        return error.abs().mean() + error.square().mean() + pull

    return loss


def fine_pictures(plan: Plan, step: int) -> Tensor:
    """The decoder's pictures of a step, (batch, 3, SIDE, SIDE): two thirds with mostly fine details."""
    rng = np.random.default_rng([plan.seed, 8, step])
    pictures = []
    for number in range(plan.batch):
        if number % 3 == 0:
            pictures.append(odd_picture(rng))
            continue
        scene = min((sample_scene(rng) for _ in range(3)), key=finest_width)
        pictures.append(draw(scene, sample_layout(rng, scene, SIDE, SIDE)))
    return to_tensor(np.stack(pictures))


def finest_width(scene: Scene) -> float:
    """About the width of the finest thing of a scene: small, outlined and one of two is finest."""
    widths = [RADII[thing.size] * (1.0 if thing.filled else 0.25) for thing in scene.things]
    return min(widths) * (1.0 if len(widths) == 1 else 0.77)


def decoder_loss(vae: AutoencoderKL, plan: Plan) -> Callable[[int], Tensor]:
    """The loss by step of the decoder alone, on whole pictures, so that the latents stay the same.

    It is the absolute and squared error, where all things of a picture together count as much as its
    background, since a thin outline is few pixels.
    """

    def loss(step: int) -> Tensor:
        images = fine_pictures(plan, step)
        with bfloat16_where_fast():
            with torch.no_grad():
                mean = vae.encode(images).latent_dist.mean
                noise = (
                    torch.randn(mean.shape, generator=plan.noise_generator(step)) * mean.float().std() * 0.04
                )
            output = vae.decode(mean + noise.to(mean.dtype)).sample
        error: Tensor = output.float() - images
        return ((error.abs() + error.square()) * pixel_weights(images)).mean()

    return loss


def pixel_weights(images: Tensor) -> Tensor:
    """Weights (B, 1, H, W) of mean 1: half of the sum for pixels near the colour of a corner, the background,
    and half for all others; at most 12 for any."""
    differs = (images - images[:, :, :1, :1]).abs().amax(dim=1, keepdim=True) > 0.05
    things = nn.functional.max_pool2d(differs.float(), 3, stride=1, padding=1)
    share = things.mean(dim=(2, 3), keepdim=True).clamp(min=0.01, max=0.99)
    weights = (things * 0.5 / share + (1 - things) * 0.5 / (1 - share)).clamp(max=12)
    normalized: Tensor = weights / weights.mean(dim=(2, 3), keepdim=True)
    return normalized


@torch.no_grad()
def round_trip_psnr(vae: AutoencoderKL, pixels: Pixels) -> float:
    """The mean peak signal-to-noise ratio in dB of (B, H, W, 3) uint8 pictures, encoded and decoded."""
    ratios = []
    for part in np.array_split(pixels, max(1, len(pixels) // 25)):
        decoded = to_pixels(vae.decode(vae.encode(to_tensor(part)).latent_dist.mean).sample)
        error = np.square(decoded.astype(np.float32) - part).mean(axis=(1, 2, 3))
        ratios.append(10 * np.log10(255**2 / np.maximum(error, 1e-3)))
    return float(np.concatenate(ratios).mean())


def unseen_pictures(count: int, seed: int = 77) -> Pixels:
    """Drawings of held-out scenes: (count, 128, 128, 3) uint8."""
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, unseen=True) for _ in range(count)]
    return np.stack([draw(scene, sample_layout(rng, scene, SIDE, SIDE)) for scene in scenes])
