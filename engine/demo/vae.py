"""The autoencoder: pictures to latents of an eighth of the side and 4 channels, and back.

The autoencoder decides the colours. Thin channels, one norm group (so that no channel loses its level), L1
beside the squared error, and the posterior's mean instead of a sample make it learn in minutes on two cores.
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
"""Side of the square pictures, in pixels."""
LOG_VARIANCE = -12.0
"""Of the latents' posterior."""


def new_vae(channels: tuple[int, ...] = (8, 16, 48, 96)) -> AutoencoderKL:
    """An untrained autoencoder: factor 2 per level but the last, 4 latent channels, one norm group.

    Only the mean of its posterior is trained. The standard deviation is fixed at 0.0025, nearly a point, so
    that trainers that draw from the posterior see pictures and not noise.
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
    """A picture for the autoencoder alone: any scene, sometimes hatched, with a gear, in nameless colours."""
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


def pictures(plan: Plan, step: int, side: int) -> Tensor:
    """The step's training pictures: (batch, 3, side, side) in -1..1, cut at random from whole ones."""
    rng = np.random.default_rng([plan.seed, 1, step])
    cuts = []
    for _ in range(plan.batch):
        top, left = rng.integers(0, SIDE - side + 1, 2)
        cuts.append(odd_picture(rng)[top : top + side, left : left + side])
    return to_tensor(np.stack(cuts))


def to_tensor(pixels: Pixels) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in -1..1, channels last in memory."""
    return (torch.from_numpy(pixels).float() / 127.5 - 1).permute(0, 3, 1, 2)


def to_pixels(images: Tensor) -> Pixels:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) uint8."""
    rounded = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    pixels: Pixels = rounded.byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def vae_loss(vae: AutoencoderKL, plan: Plan, cut: Callable[[int], int]) -> Callable[[int], Tensor]:
    """Loss by step: absolute and squared error, a light pull of the latents to zero, a little noise on them.

    cut: side in pixels of the training pictures by step; small cuts first make a far faster start.
    """

    def loss(step: int) -> Tensor:
        images = pictures(plan, step, cut(step))
        with bfloat16_where_fast():
            mean = vae.encode(images).latent_dist.mean
            noise = torch.randn(mean.shape, generator=plan.noise(step)) * mean.detach().float().std() * 0.03
            output = vae.decode(mean + noise.to(mean.dtype)).sample
        wrong: Tensor = output.float() - images
        pull: Tensor = 1e-4 * mean.float().square().mean()
        return wrong.abs().mean() + wrong.square().mean() + pull

    return loss


def fine_pictures(plan: Plan, step: int) -> Tensor:
    """The step's pictures for the decoder, (batch, 3, SIDE, SIDE): a third any, the others mostly fine."""
    rng = np.random.default_rng([plan.seed, 8, step])
    chosen = []
    for number in range(plan.batch):
        if number % 3 == 0:
            chosen.append(odd_picture(rng))
            continue
        scene = min((sample_scene(rng) for _ in range(3)), key=finest)
        chosen.append(draw(scene, sample_layout(rng, scene, SIDE, SIDE)))
    return to_tensor(np.stack(chosen))


def finest(scene: Scene) -> float:
    """About the width of the finest thing of a scene: outlined, small and one of two is finest."""
    widths = [RADII[thing.size] * (1.0 if thing.filled else 0.25) for thing in scene.things]
    return min(widths) * (1.0 if len(widths) == 1 else 0.77)


def decoder_loss(vae: AutoencoderKL, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step of the decoder alone, on whole pictures: the latents stay what the UNets know.

    Absolute and squared error, in which all things of a picture together count as much as its background:
    a thin outline is few pixels, and yet what people asked for.
    """

    def loss(step: int) -> Tensor:
        images = fine_pictures(plan, step)
        with bfloat16_where_fast():
            with torch.no_grad():
                mean = vae.encode(images).latent_dist.mean
                noise = torch.randn(mean.shape, generator=plan.noise(step)) * mean.float().std() * 0.04
            output = vae.decode(mean + noise.to(mean.dtype)).sample
        wrong: Tensor = output.float() - images
        return ((wrong.abs() + wrong.square()) * emphasis(images)).mean()

    return loss


def emphasis(images: Tensor) -> Tensor:
    """Weights (B, 1, H, W) of mean 1: half of each lies on the pixels near the colour of its corner,
    its background, and half on all else; at most 12 on any."""
    apart = (images - images[:, :, :1, :1]).abs().amax(dim=1, keepdim=True) > 0.05
    things = nn.functional.max_pool2d(apart.float(), 3, stride=1, padding=1)
    share = things.mean(dim=(2, 3), keepdim=True).clamp(min=0.01, max=0.99)
    weights = (things * 0.5 / share + (1 - things) * 0.5 / (1 - share)).clamp(max=12)
    normal: Tensor = weights / weights.mean(dim=(2, 3), keepdim=True)
    return normal


@torch.no_grad()
def fidelity(vae: AutoencoderKL, pixels: Pixels) -> float:
    """Mean peak signal-to-noise ratio in dB of the round trip of (B, H, W, 3) uint8 pictures."""
    ratios = []
    for few in np.array_split(pixels, max(1, len(pixels) // 25)):
        back = to_pixels(vae.decode(vae.encode(to_tensor(few)).latent_dist.mean).sample)
        error = np.square(back.astype(np.float32) - few).mean(axis=(1, 2, 3))
        ratios.append(10 * np.log10(255**2 / np.maximum(error, 1e-3)))
    return float(np.concatenate(ratios).mean())


def unseen_pictures(count: int, seed: int = 77) -> Pixels:
    """Drawings of held-out scenes: (count, 128, 128, 3) uint8."""
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, unseen=True) for _ in range(count)]
    return np.stack([draw(scene, sample_layout(rng, scene, SIDE, SIDE)) for scene in scenes])
