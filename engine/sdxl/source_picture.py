"""The picture that painting starts from: read from its file, fitted, encoded, and set in again at the end."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling
from torch import Tensor

from engine.messages import InvalidRequest, Ratio, Sha256, Size, Source, stored_path
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.masks import HALF, extend, fill_hole, make_mask
from engine.sdxl.sizes import resolve_size

CACHE = 4  # encoded pictures: those of one job, and of the next that edits the same
GREY = 127.5  # in the middle of the VAE's range
GONE = "The picture that it starts from was deleted meanwhile."
WIDEST, FINEST = Fraction(2), 16  # of a part: models paint narrower ones badly
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """A picture's latents from the VAE's encoder: mean and deviation, (1, 4, h, w) float32, scaled."""

    mean: Tensor
    deviation: Tensor

    def draw(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Latents (1, 4, h, w), with noise that the generator draws on the CPU."""
        noise = torch.randn(self.mean.shape, generator=generator)
        return (self.mean + self.deviation * noise.to(self.mean.device)).to(dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class StartingPicture:
    """A picture to start from, ready to be noised.

    size: at which it is painted. latents: of the part that is painted. picture: the whole, to set it into,
    where there is a mask. Then
    `mask` (1, 1, h, w) is 1 where the latents are painted anew, `remainder` are the latents of the picture
    with grey in their place, `paste` is the grey mask of the whole picture, and `box` the part to paint.
    """

    size: Size
    latents: Posterior
    picture: Image.Image
    mask: Tensor | None = None
    remainder: Posterior | None = None
    paste: Image.Image | None = None
    box: Box | None = None

    def set_in(self, painted: Image.Image) -> Image.Image:
        """The picture with what was painted in its masked part: black in the mask stays to the byte."""
        if self.paste is None:
            return painted
        whole = painted
        if self.box is not None:
            left, top, right, bottom = self.box
            whole = self.picture.copy()
            whole.paste(painted.resize((right - left, bottom - top), Resampling.LANCZOS), (left, top))
        return Image.composite(whole, self.picture, self.paste)


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvas:
    """A picture in RGB that is no file, to paint on from: where it lies in the whole, whose size this is."""

    picture: Image.Image
    left: int
    top: int
    whole: tuple[int, int]


class SourcePictures:
    """Reads and encodes pictures to start from. Those used last stay on the device."""

    def __init__(self, folder: Path, vae: Any, side: int) -> None:
        self._folder = folder
        self._side = side
        self._vae = vae
        self._cache: LRUCache[Hashable, StartingPicture] = LRUCache(CACHE)

    def get(self, source: Source, size: Size | Ratio) -> StartingPicture:
        """The picture, for painting at this size; a part that is painted alone has a ratio of its own where
        no pixels are said. Raises InvalidRequest.
        """
        key = (replace(source, strength=0.0), size)
        if not all(map(self._exists, filter(None, (source.sha256, source.mask)))):
            self._cache.clear()  # what was deleted is not painted from, nor remembered
            raise InvalidRequest(GONE)
        if key not in self._cache:
            self._cache[key] = self._prepare(source, size)
        return self._cache[key]

    def _exists(self, sha256: Sha256) -> bool:
        return stored_path(self._folder, sha256).is_file()

    def encode(self, picture: Image.Image) -> StartingPicture:
        """A picture in RGB that is no file, for painting at its own size."""
        size = Size(width=picture.width, height=picture.height)
        return StartingPicture(size=size, latents=self._encode(np.asarray(picture)), picture=picture)

    def read(self, sha256: Sha256) -> Image.Image:
        """The whole picture as it is, in RGB. Raises InvalidRequest."""
        return self._read(sha256).convert("RGB")

    def _prepare(self, source: Source, wanted: Size | Ratio) -> StartingPicture:
        size = resolve_size(wanted, self._side)
        picture = self._read(source.sha256).convert("RGB")
        if source.is_extended:
            picture, mask = extend(picture, source)
            return self._prepare_part(source, wanted, picture, mask)
        if not source.is_partial:
            fitted = fill(picture, size)
            return StartingPicture(size=size, latents=self._encode(np.asarray(fitted)), picture=fitted)
        file = None if source.mask is None else self._read(source.mask)
        return self._prepare_part(source, wanted, picture, make_mask(source, picture, file))

    def _prepare_part(
        self, source: Source, wanted: Size | Ratio, picture: Image.Image, mask: Image.Image
    ) -> StartingPicture:
        """The picture of which only what is white in the mask is painted."""
        size = resolve_size(wanted, self._side)
        box = None
        if source.padding is not None:
            if isinstance(wanted, Ratio):
                size = resolve_size(part_ratio(mask, source.padding), self._side)
            box = crop_region(mask, size, source.padding)
        else:
            picture, mask = fill(picture, size), fill(mask, size)
        part, hole = (image.crop(box) if box else image for image in (picture, mask))
        part, hole = (image.resize((size.width, size.height), Resampling.LANCZOS) for image in (part, hole))
        binary = np.asarray(hole) >= HALF
        pixels = np.asarray(part)
        without = np.where(binary[..., None], np.float32(GREY), pixels.astype(np.float32))
        if source.fill:
            pixels = fill_hole(pixels, binary)
        return StartingPicture(
            size=size,
            latents=self._encode(pixels),
            picture=picture,
            mask=self._shrink(binary),
            remainder=self._encode(without),
            paste=mask,
            box=box,
        )

    def _read(self, sha256: Sha256) -> Image.Image:
        try:
            with Image.open(stored_path(self._folder, sha256)) as image:
                image.load()
                return image
        except FileNotFoundError as error:
            raise InvalidRequest(GONE) from error

    def _encode(self, pixels: NDArray[Any]) -> Posterior:
        mean, deviation = encode_picture(self._vae, pixels)
        return Posterior(mean=mean[None], deviation=deviation[None])

    def _shrink(self, binary: NDArray[np.bool_]) -> Tensor:
        """The mask at the size of the latents, (1, 1, h, w): the upper left pixel of each speaks for it."""
        factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        shrunk = np.ascontiguousarray(binary[::factor, ::factor])
        return torch.from_numpy(shrunk)[None, None].to(self._vae.device, torch.float32)


def fill(picture: Image.Image, size: Size) -> Image.Image:
    """The picture at this size: what is too much at two of its sides is cut off."""
    if picture.size == (size.width, size.height):
        return picture
    return ImageOps.fit(picture, (size.width, size.height), Resampling.LANCZOS)


def part_ratio(mask: Image.Image, padding: int) -> Ratio:
    """About the ratio of the box around the mask with so many pixels more."""
    left, top, right, bottom = mask.getbbox() or (0, 0, mask.width, mask.height)
    width = min(right + padding, mask.width) - max(left - padding, 0)
    height = min(bottom + padding, mask.height) - max(top - padding, 0)
    ratio = min(max(Fraction(width, height), 1 / WIDEST), WIDEST).limit_denominator(FINEST)
    return Ratio(across=ratio.numerator, down=ratio.denominator)


def crop_region(mask: Image.Image, size: Size, padding: int) -> Box:
    """The part of a picture to paint: the box around the mask with so many pixels more, at the size's ratio.

    It stays within the picture, at another ratio where it must. As StableDiffusionXLInpaintPipeline has it.
    """
    left, top, right, bottom = mask.getbbox() or (0, 0, mask.width, mask.height)
    left, top = max(left - padding, 0), max(top - padding, 0)
    right, bottom = min(right + padding, mask.width), min(bottom + padding, mask.height)
    ratio = size.width / size.height
    if (right - left) / (bottom - top) > ratio:
        top, bottom = _widen(top, bottom, int((right - left) / ratio - (bottom - top)), mask.height)
    else:
        left, right = _widen(left, right, int((bottom - top) * ratio - (right - left)), mask.width)
    return left, top, right, bottom


def _widen(low: int, high: int, more: int, most: int) -> tuple[int, int]:
    """The range with so much more on both sides together, moved to lie within 0 and `most`."""
    low, high = low - more // 2, high + more - more // 2
    if high >= most:
        low, high = low - (high - most), most
    if low < 0:
        low, high = 0, high - low
    return low, min(high, most)
