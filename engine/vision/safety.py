"""Whether a picture should not be shown to everybody, as a safety check sees it: off unless one is named.

Stable Diffusion's own is read from a folder or a hub's id: a CLIP that compares a picture with concepts, each
with its threshold (Rombach et al. 2022; diffusers' StableDiffusionSafetyChecker).
"""

import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPImageProcessor

from engine.messages import EngineSettings, FlaggedPolicy, Paint, Train
from engine.sdxl.model import CannotLoad, first_sentence, is_path

COARSE = 8  # pixels of the longer side of a glimpse at what is yet to be checked
Flags = Callable[[Image.Image], bool]
GREY = (96, 92, 88)


class Safety(Protocol):
    """A check of pictures."""

    @property
    def on(self) -> bool:
        """Whether it looks at anything at all."""

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        """Whether each of them should not be shown to everybody."""


class Unchecked:
    """No check: every picture is fine."""

    on = False

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        return [False] * len(pictures)


class StableDiffusionSafety:
    """diffusers' safety checker, in float32 on the CPU or the GPU."""

    on = True

    def __init__(self, name: str, device: torch.device) -> None:
        """Raises CannotLoad with one sentence."""
        local = is_path(name)
        try:
            checker: Any = StableDiffusionSafetyChecker.from_pretrained(
                name, local_files_only=local, use_safetensors=True
            )
            self._processor: Any = CLIPImageProcessor.from_pretrained(name, local_files_only=local)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise CannotLoad(
                f"the safety check {name!r} cannot be loaded: {first_sentence(error)}"
            ) from error
        self._checker = checker.to(device).requires_grad_(False).eval()
        self._device = device

    def flags(self, pictures: Sequence[Image.Image]) -> list[bool]:
        if not pictures:
            return []
        seen = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        nothing = [np.zeros((1, 1, 3)) for _ in pictures]  # it blackens what it is given
        _, flagged = self._checker(clip_input=seen, images=nothing)
        return [bool(one) for one in flagged]


def safety_of(settings: EngineSettings, device: torch.device) -> Safety:
    """The check that the settings name. Raises CannotLoad."""
    return StableDiffusionSafety(settings.safety, device) if settings.safety else Unchecked()


def checks(safety: Safety, request: Paint | Train) -> bool:
    """Whether what this request is about is looked at."""
    return safety.on and request.flagged is not FlaggedPolicy.SHOW


def flags_of(safety: Safety, request: Paint | Train) -> Flags | None:
    """What tells of one picture whether it is flagged; None where nobody asks."""
    return (lambda picture: safety.flags([picture])[0]) if checks(safety, request) else None


def screened(safety: Safety, png: bytes) -> bytes:
    """The picture, or a grey one of its size where it is flagged: of what is shown to many, without a say."""
    if not safety.on:
        return png
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if not safety.flags([picture])[0]:
        return png
    file = io.BytesIO()
    Image.new("RGB", picture.size, GREY).save(file, "PNG")
    return file.getvalue()


def blotted(jpeg: bytes) -> bytes:
    """A glimpse in so few pixels that nothing but its colours can be seen."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((COARSE, COARSE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
