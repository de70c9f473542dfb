"""Masks of what words name in a picture, found by what the UNet predicts with and without these words.

As DiffEdit does (Couairon et al. 2022, arXiv 2210.11427): the picture is noised, and where the predictions
for its own description with and without the words differ, there is what they name. What is found so is
coarse, and takes its edge from parts of one colour in the picture. Cross-attention maps, which larger models
are read by, name nothing in the small model (docs/measurements.md).
"""

import re
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from engine.messages import InvalidRequest
from engine.sdxl.model import Model
from engine.sdxl.prompts import PromptEncoder

TIMESTEPS = (0.3, 0.5, 0.7)  # shares of the training timesteps at which predictions are compared
NOISES = 2  # draws of noise at each
SIDE = 160  # pixels of the longer side at which parts of one colour are found
COLOURS = 10  # of which the picture is made up there
SMALLEST_PART = 0.002  # of the picture: a smaller one takes no part
SHARE = 0.5  # of the way from the usual difference to the largest: a part above it belongs to the mask
LEADING = re.compile(r"^(?:the|a|an|this|that|all|my)\s+", re.IGNORECASE)


class NotInCaption(InvalidRequest):
    """What a picture shows does not have the words."""


def without_words(caption: str, words: str) -> str:
    """The caption without these words, as far as it has them. Raises NotInCaption where it has none.

    Of words that do not stand there one after another the last one counts: "the big star" names the star.
    """
    named = LEADING.sub("", " ".join(words.split()))
    for phrase in (named, named.rpartition(" ")[2]):
        pattern = re.compile(rf"\b{re.escape(phrase)}(?:s|es)?\b", re.IGNORECASE)
        if phrase and pattern.search(caption):
            return " ".join(pattern.sub("", caption).split())
    raise NotInCaption(
        f"Nothing like {named or 'that'} was found in the picture, which shows: "
        f"{caption or 'nothing known'}. Draw the place, or say one, such as left half."
    )


def find_words(
    model: Model, encoder: PromptEncoder, picture: Image.Image, latents: Tensor, caption: str, words: str
) -> Generator[None, None, Image.Image]:
    """The mask of what the words name in this picture, grey, of its size; a step at a time.

    latents: the picture's, (1, 4, h, w), at the UNet's scale. caption: what the picture shows, with the
    words in it. Raises NotInCaption where it does not have them.
    """
    pair = encoder.encode_pair(caption, without_words(caption, words), ())
    rows = [encoder.project(each.hidden) for each in pair]
    pooled = torch.cat([each.pooled for each in pair])
    height, width = (model.factor * side for side in latents.shape[-2:])
    ids = torch.tensor([[height, width, 0, 0, height, width]] * 2, device=model.device).to(pooled.dtype)
    added = {"text_embeds": pooled, "time_ids": ids}
    generator = torch.Generator("cpu").manual_seed(0)
    difference = torch.zeros(latents.shape[-2:])
    for share in TIMESTEPS:
        for _ in range(NOISES):
            yield
            noisy, timestep = _noise(model, latents, share, generator)
            difference += _compare(model.base.unet, noisy, timestep, torch.cat(rows), added)
    yield
    return outline(difference.numpy(), picture)


def _noise(model: Model, latents: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The latents with noise, twice, and the timestep."""
    alphas = model.base.scheduler.alphas_cumprod
    place = round(share * (len(alphas) - 1))
    alpha = float(alphas[place])
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noisy = alpha**0.5 * latents + (1 - alpha) ** 0.5 * noise
    return noisy.repeat(2, 1, 1, 1), torch.full((2,), float(place), device=latents.device)


@torch.inference_mode()
def _compare(unet: Any, noisy: Tensor, timestep: Tensor, hidden: Tensor, added: dict[str, Tensor]) -> Tensor:
    """The squared difference of both predictions (h, w) on the CPU."""
    predicted = unet(
        noisy, timestep, encoder_hidden_states=hidden, added_cond_kwargs=added, return_dict=False
    )[0]
    first, second = predicted.float().chunk(2)
    difference: Tensor = ((first - second) ** 2).mean((0, 1)).cpu()
    return difference


def outline(difference: NDArray[Any], picture: Image.Image) -> Image.Image:
    """The mask of the parts of one colour in which the difference (h, w) is large."""
    scale = min(1.0, SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BOX)
    heat = np.asarray(Image.fromarray(difference.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    colours = small.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    parts = connected_parts(np.asarray(colours.filter(ImageFilter.ModeFilter(3))))
    areas = np.bincount(parts.ravel())
    means = np.bincount(parts.ravel(), heat.ravel()) / np.maximum(areas, 1)
    means[areas < SMALLEST_PART * parts.size] = 0
    usual = float(np.median(heat))
    mask = (means > usual + SHARE * (float(means.max()) - usual))[parts]
    whole = Image.fromarray((fill_enclosed(mask) * 255).astype(np.uint8))
    smooth = whole.filter(ImageFilter.MaxFilter(3))
    return smooth.resize(picture.size, Image.Resampling.BICUBIC)


def connected_parts(values: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each pixel (h, w): equal where pixels of an equal value are neighbours."""
    parts = np.arange(1, values.size + 1).reshape(values.shape)
    down, right = values[1:] == values[:-1], values[:, 1:] == values[:, :-1]
    while True:
        before = parts.copy()
        for near, far, same in (
            (parts[1:], parts[:-1], down),
            (parts[:, 1:], parts[:, :-1], right),
        ):
            largest = np.where(same, np.maximum(near, far), 0)
            np.maximum(near, largest, out=near)
            np.maximum(far, largest, out=far)
        if (before == parts).all():
            return np.unique(parts, return_inverse=True)[1].reshape(values.shape)


def fill_enclosed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask (h, w) with what it encloses."""
    parts = connected_parts(np.pad(mask, 1))
    inside: NDArray[np.bool_] = parts != parts[0, 0]
    return inside[1:-1, 1:-1]
