"""How well a picture fits its words, as CLIP sees it: the one that ships, or the configured one."""

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from engine.messages import EngineSettings
from engine.sdxl.model import DEMO, CannotLoad, first_sentence, is_path


class Scorer:
    """CLIPScore (Hessel et al. 2021, arXiv 2104.08718) without its stretch: 100 times the cosine, at least 0.

    The one that ships is read when it is first needed; a configured one may have to be fetched, so at once.
    """

    def __init__(self, settings: EngineSettings, device: torch.device) -> None:
        """Raises CannotLoad with one sentence."""
        self._name = settings.clip or (str(DEMO / "clip") if settings.model == "demo" else "")
        self._device = device
        self._clip: tuple[Any, Any, Any] | None = None
        if settings.clip:
            self._clip = self._loaded()

    @torch.inference_mode()
    def scores(self, pictures: Sequence[bytes], words: str) -> list[float | None]:
        """One for each picture; None without a CLIP. CLIP reads the first 77 tokens of the words."""
        if not self._name:
            return [None] * len(pictures)
        cosines = torch.nn.functional.cosine_similarity(self.seen(pictures), self.read(words))
        return [round(100 * max(0.0, float(cosine)), 1) for cosine in cosines]

    @property
    def name(self) -> str:
        """Which CLIP it is, by its numbers; empty without one."""
        if not self._name:
            return ""
        weight = self._parts[0].visual_projection.weight
        return hashlib.sha256(weight.float().cpu().numpy().tobytes()).hexdigest()[:16]

    @torch.inference_mode()
    def seen(self, pictures: Sequence[bytes]) -> Tensor:
        """What CLIP makes of these pictures: (B, projection) float32."""
        clip, processor, _ = self._parts
        images = []
        for picture in pictures:
            with Image.open(io.BytesIO(picture)) as opened:
                images.append(opened.convert("RGB"))
        seen = processor(images=images, return_tensors="pt")["pixel_values"].to(self._device)
        looks: Tensor = clip.visual_projection(clip.vision_model(seen).pooler_output).float()
        return looks

    @torch.inference_mode()
    def read(self, words: str) -> Tensor:
        """What CLIP makes of these words: (1, projection) float32."""
        clip, _, tokenizer = self._parts
        said = tokenizer([words], truncation=True, max_length=77, return_tensors="pt").to(self._device)
        reads: Tensor = clip.text_projection(clip.text_model(**said).pooler_output).float()
        return reads

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        if self._clip is None:
            self._clip = self._loaded()
        return self._clip

    def _loaded(self) -> tuple[Any, Any, Any]:
        local = is_path(self._name)
        try:
            clip: Any = CLIPModel.from_pretrained(self._name, local_files_only=local, use_safetensors=True)
            processor = CLIPImageProcessor.from_pretrained(self._name, local_files_only=local)
            tokenizer = CLIPTokenizer.from_pretrained(self._name, local_files_only=local)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = first_sentence(error)
            raise CannotLoad(f"the CLIP {self._name!r} cannot be loaded: {reason}") from error
        return clip.to(self._device).requires_grad_(False).eval(), processor, tokenizer
