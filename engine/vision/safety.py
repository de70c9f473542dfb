"""The safety check, off unless configured, which flags pictures that not everybody should see.

Stable Diffusion's own comes from a folder or a Hugging Face id: a CLIP that compares a picture with concepts,
each with a threshold (Rombach et al. 2022; diffusers' StableDiffusionSafetyChecker).
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

COARSE = 8  # pixels of the longer side of a preview before the picture is checked
FlagCheck = Callable[[Image.Image], bool]
GREY = (96, 92, 88)


class Safety(Protocol):
    """A safety check of pictures."""

    @property
    def enabled(self) -> bool:
        """Whether it checks anything at all."""

    def check(self, pictures: Sequence[Image.Image]) -> list[bool]:
        """Whether each of these pictures is flagged."""


class NoSafety:
    """No check: it flags nothing."""

    enabled = False

    def check(self, pictures: Sequence[Image.Image]) -> list[bool]:
        return [False] * len(pictures)


class StableDiffusionSafety:
    """diffusers' safety checker, in float32 on the CPU or the GPU."""

    enabled = True

    def __init__(self, name: str, device: torch.device) -> None:
        """Raises CannotLoad."""
        local = is_path(name)
        try:
            checker: Any = StableDiffusionSafetyChecker.from_pretrained(
                name, local_files_only=local, use_safetensors=True
            )
            self._processor: Any = CLIPImageProcessor.from_pretrained(name, local_files_only=local)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise CannotLoad(
                f"The safety check {name!r} cannot be loaded. {first_sentence(error)}"
            ) from error
        self._checker = checker.to(device).requires_grad_(False).eval()
        self._device = device

    def check(self, pictures: Sequence[Image.Image]) -> list[bool]:
        if not pictures:
            return []
        pixels = self._processor(images=list(pictures), return_tensors="pt")["pixel_values"]
        dummies = [np.zeros((1, 1, 3)) for _ in pictures]  # it blackens the images that it gets
        _, flagged = self._checker(clip_input=pixels.to(self._device), images=dummies)
        return [bool(flag) for flag in flagged]


def load_safety(settings: EngineSettings, device: torch.device) -> Safety:
    """The safety check that the settings name. Raises CannotLoad."""
    return StableDiffusionSafety(settings.safety, device) if settings.safety else NoSafety()


def is_checked(safety: Safety, request: Paint | Train) -> bool:
    """Whether the pictures of this request are checked."""
    return safety.enabled and request.flagged is not FlaggedPolicy.SHOW


def flag_check(safety: Safety, request: Paint | Train) -> FlagCheck | None:
    """A function that says whether a picture is flagged, or None where this request has no check."""
    return (lambda picture: safety.check([picture])[0]) if is_checked(safety, request) else None


def grey_out_flagged(safety: Safety, png: bytes) -> bytes:
    """The PNG, or a grey one of its size where it is flagged, for pictures that any person may see."""
    if not safety.enabled:
        return png
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if not safety.check([picture])[0]:
        return png
    file = io.BytesIO()
    Image.new("RGB", picture.size, GREY).save(file, "PNG")
    return file.getvalue()


def coarsen_preview(jpeg: bytes) -> bytes:
    """The preview in so few pixels that only colours can be seen."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((COARSE, COARSE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
