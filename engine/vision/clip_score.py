"""CLIP scores of pictures and words, by the small CLIP that ships or the configured one."""

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


class ClipScorer:
    """CLIPScore (Hessel et al. 2021, arXiv 2104.08718) without its factor: 100 times the cosine, at least 0.

    The CLIP that ships is loaded when it is first needed, a configured one at once, since it may be
    downloaded.
    """

    def __init__(self, settings: EngineSettings, device: torch.device) -> None:
        """Raises CannotLoad."""
        self._name = settings.clip or (str(DEMO / "clip") if settings.model == "demo" else "")
        self._device = device
        self._clip: tuple[Any, Any, Any] | None = None
        if settings.clip:
            self._clip = self._load()

    @torch.inference_mode()
    def score(self, pictures: Sequence[bytes], words: str) -> list[float | None]:
        """A score from 0 to 100 of each picture (file bytes), None without a CLIP. CLIP reads 77 tokens."""
        if not self._name:
            return [None] * len(pictures)
        cosines = torch.nn.functional.cosine_similarity(self.embed_images(pictures), self.embed_text(words))
        return [round(100 * max(0.0, float(cosine)), 1) for cosine in cosines]

    @property
    def name(self) -> str:
        """A hash of the CLIP's weights, which names it; empty without one."""
        if not self._name:
            return ""
        weight = self._parts[0].visual_projection.weight
        return hashlib.sha256(weight.float().cpu().numpy().tobytes()).hexdigest()[:16]

    @torch.inference_mode()
    def embed_images(self, pictures: Sequence[bytes]) -> Tensor:
        """CLIP's embeddings (B, projection) of these pictures (file bytes), float32."""
        clip, processor, _ = self._parts
        images = []
        for picture in pictures:
            with Image.open(io.BytesIO(picture)) as opened:
                images.append(opened.convert("RGB"))
        pixels = processor(images=images, return_tensors="pt")["pixel_values"].to(self._device)
        embeddings: Tensor = clip.visual_projection(clip.vision_model(pixels).pooler_output).float()
        return embeddings

    @torch.inference_mode()
    def embed_text(self, words: str) -> Tensor:
        """CLIP's embedding (1, projection) of these words, float32."""
        clip, _, tokenizer = self._parts
        tokens = tokenizer([words], truncation=True, max_length=77, return_tensors="pt").to(self._device)
        embedding: Tensor = clip.text_projection(clip.text_model(**tokens).pooler_output).float()
        return embedding

    @property
    def _parts(self) -> tuple[Any, Any, Any]:
        if self._clip is None:
            self._clip = self._load()
        return self._clip

    def _load(self) -> tuple[Any, Any, Any]:
        local = is_path(self._name)
        try:
            clip: Any = CLIPModel.from_pretrained(self._name, local_files_only=local, use_safetensors=True)
            processor = CLIPImageProcessor.from_pretrained(self._name, local_files_only=local)
            tokenizer = CLIPTokenizer.from_pretrained(self._name, local_files_only=local)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = first_sentence(error)
            raise CannotLoad(f"The CLIP {self._name!r} cannot be loaded. {reason}") from error
        return clip.to(self._device).requires_grad_(False).eval(), processor, tokenizer
