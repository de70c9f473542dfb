"""The picture that painting starts from: read from its file, fitted, encoded, and set in again at the end."""

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling
from torch import Tensor

from engine.messages import (
    Ingredient,
    InvalidRequest,
    Paint,
    Ratio,
    Sha256,
    Size,
    Source,
    stored_path,
)
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.masks import HALF, extend, fill_hole, make_mask
from engine.sdxl.model import Model
from engine.sdxl.noise import slerp
from engine.sdxl.prompts import PromptEncoder
from engine.sdxl.sizes import part_size, resolve_size
from engine.sdxl.word_masks import find_words

CACHE = 4  # encoded pictures: those of one job, and of the next that edits the same
UNDER_WAY = 64  # preparations: that of a job that was cancelled is given up in the end
GREY = 127.5  # in the middle of the VAE's range
GONE = "The picture that it starts from was deleted meanwhile."
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

    def blend(self, other: "Posterior", share: float) -> "Posterior":
        """This with a share, 0 to 1, of the other."""
        deviation = (1 - share) * self.deviation + share * other.deviation
        return Posterior(mean=slerp(self.mean, other.mean, share), deviation=deviation)


@dataclass(frozen=True, kw_only=True, eq=False)
class StartingPicture:
    """A picture to start from, ready to be noised.

    size: at which it is painted. latents: of the part that is painted. picture: the whole, to set it into.
    Where there is a mask, `mask` (1, 1, h, w) is 1 where the latents are painted anew, `remainder` are the
    latents of the picture with grey in their place, `paste` is the grey mask of the whole picture, and `box`
    the part to paint.
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


Describe = Callable[[Image.Image], Generator[None, None, str]]
Preparation = Generator[None, None, StartingPicture]


class SourcePictures:
    """Reads and encodes pictures to start from, in steps. Those used last stay on the device."""

    def __init__(
        self, folder: Path, model: Model, encoder: PromptEncoder, describe: Describe | None = None
    ) -> None:
        """describe: says what is in a picture, where there is something that can."""
        self._folder = folder
        self._model = model
        self._vae = model.base.vae
        self._encoder = encoder
        self._describe = describe
        self._cache: LRUCache[Hashable, StartingPicture] = LRUCache(CACHE)
        self._work: LRUCache[Hashable, Preparation] = LRUCache(UNDER_WAY)

    def step(self, request: Paint) -> StartingPicture | None:
        """Take the next step towards what the request starts from. Returns it once it is ready.

        A part that is painted alone has a ratio of its own where no pixels are said. Raises InvalidRequest.
        """
        source = None if request.source is None else replace(request.source, strength=0.0)
        key = (source, request.blend, request.size)
        if not all(map(self._exists, request.start_files)):
            self._cache.clear()  # what was deleted is not painted from, nor remembered
            raise InvalidRequest(GONE)
        if key not in self._cache:
            work = self._work.pop(key, None) or self._prepare(request)
            try:
                next(work)
            except StopIteration as end:
                self._cache[key] = end.value
            else:
                self._work[key] = work
        return self._cache.get(key)

    def _exists(self, sha256: Sha256) -> bool:
        return stored_path(self._folder, sha256).is_file()

    def encode(self, picture: Image.Image) -> StartingPicture:
        """A picture in RGB that is no file, for painting at its own size."""
        size = Size(width=picture.width, height=picture.height)
        return StartingPicture(size=size, latents=self._encode(np.asarray(picture)), picture=picture)

    def read(self, sha256: Sha256) -> Image.Image:
        """The whole picture as it is, in RGB. Raises InvalidRequest."""
        return self._read(sha256).convert("RGB")

    def _prepare(self, request: Paint) -> Preparation:
        source = request.source
        size = resolve_size(request.size, self._model.side)
        if source is None:
            return self._blend(request.blend, size)
        picture = self._read(source.sha256).convert("RGB")
        if source.is_extended:
            picture, mask = extend(picture, source)
            return self._prepare_part(source, request.size, picture, mask)
        if not source.is_partial:
            fitted = fill(picture, size)
            return StartingPicture(size=size, latents=self._encode(np.asarray(fitted)), picture=fitted)
        found = None
        if source.where:
            found = yield from self._find(picture, source)
        file = None if source.mask is None else self._read(source.mask)
        return self._prepare_part(source, request.size, picture, make_mask(source, picture, file, found))

    def _blend(self, ingredients: Sequence[Ingredient], size: Size) -> StartingPicture:
        """The pictures' latents mixed, on the sphere, so that they stay as large."""
        total, mixed = 0.0, None
        for ingredient in ingredients:
            if not ingredient.weight:
                continue
            picture = fill(self._read(ingredient.sha256).convert("RGB"), size)
            latents = self._encode(np.asarray(picture))
            total += ingredient.weight
            mixed = latents if mixed is None else mixed.blend(latents, ingredient.weight / total)
        assert mixed is not None, "a blend has a picture with a weight"
        return StartingPicture(size=size, latents=mixed, picture=picture)

    def _find(self, picture: Image.Image, source: Source) -> Generator[None, None, Image.Image]:
        """The mask of what the source's words name. Raises InvalidRequest."""
        caption = source.caption
        if not caption and self._describe is not None:
            caption = yield from self._describe(picture)
        return (yield from self.find(picture, caption, source.where))

    def find(self, picture: Image.Image, caption: str, words: str) -> Generator[None, None, Image.Image]:
        """The grey mask of what the words name in a picture in RGB that shows what the caption says.

        Raises NotInCaption.
        """
        size = part_size(*picture.size, self._model.side)
        fitted = picture.resize((size.width, size.height), Resampling.LANCZOS)
        latents = self._encode(np.asarray(fitted)).mean.to(self._model.base.unet.dtype)
        return (yield from find_words(self._model, self._encoder, picture, latents, caption, words))

    def _prepare_part(
        self, source: Source, wanted: Size | Ratio, picture: Image.Image, mask: Image.Image
    ) -> StartingPicture:
        """The picture of which only what is white in the mask is painted."""
        size = resolve_size(wanted, self._model.side)
        box = None
        if source.padding is not None:
            if isinstance(wanted, Ratio):
                size = part_size(*padded_size(mask, source.padding), self._model.side)
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


def padded_size(mask: Image.Image, padding: int) -> tuple[int, int]:
    """The (width, height) of the box around the mask with so many pixels more."""
    left, top, right, bottom = mask.getbbox() or (0, 0, mask.width, mask.height)
    width = min(right + padding, mask.width) - max(left - padding, 0)
    height = min(bottom + padding, mask.height) - max(top - padding, 0)
    return width, height


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
