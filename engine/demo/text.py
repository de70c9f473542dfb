"""The two text encoders of the demo model, encoding as the SDXL pipelines do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.demo.tokenizer import LENGTH, Merge, new_tokenizer, token_ids


def text_config(tokenizer: CLIPTokenizer, width: int, act: str) -> CLIPTextConfig:
    """The config of three layers of `width` channels, of which the pipelines use the last but one."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=3,
        num_attention_heads=width // 32,
        max_position_embeddings=LENGTH,
        projection_dim=width,
        hidden_act=act,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


class TextEncoders(nn.Module):
    """Both tokenizers and both text encoders."""

    def __init__(self, merges: list[Merge], widths: tuple[int, int] = (64, 96)) -> None:
        super().__init__()
        self.tokenizers = (new_tokenizer(merges), new_tokenizer(merges, pad="!"))
        self.first = CLIPTextModel(text_config(self.tokenizers[0], widths[0], "quick_gelu"))
        self.second = CLIPTextModelWithProjection(text_config(self.tokenizers[1], widths[1], "gelu"))

    def forward(self, captions: Sequence[str | None]) -> EncodedText:
        """Encode captions as StableDiffusionXLPipeline does. None, a missing prompt, becomes zeros."""
        ids = token_ids(self.tokenizers[0], [caption or "" for caption in captions])
        return self.encode(ids, torch.tensor([caption is not None for caption in captions]))

    def encode(self, ids: Tensor, has_prompt: Tensor) -> EncodedText:
        """Encode tokens (B, 77) int64, padded as by the first tokenizer. has_prompt: (B,) bool."""
        first = self.first(ids, output_hidden_states=True).hidden_states[-2]
        second = self.encode_second(ids)
        mask = has_prompt[:, None, None].to(first.dtype)
        return EncodedText(
            hidden=torch.cat([first, second.hidden], -1) * mask, pooled=second.pooled * mask[:, 0]
        )

    def encode_second(self, ids: Tensor) -> EncodedText:
        """Encode tokens (B, 77) with the second encoder only, as the refiner does."""
        behind_end = (ids == self.tokenizers[0].eos_token_id).cumsum(dim=1) > 1
        padded = ids.masked_fill(behind_end, self.tokenizers[1].pad_token_id)
        second = self.second(padded, output_hidden_states=True)
        return EncodedText(hidden=second.hidden_states[-2], pooled=second.text_embeds)


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """Encoded captions: hidden (B, 77, width or both widths), pooled (B, second width)."""

    hidden: Tensor
    pooled: Tensor
