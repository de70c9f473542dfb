"""The two text encoders, seen as the SDXL pipelines see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.demo.tokenizer import LENGTH, MergeLoras, new_tokenizer, token_ids


def text_config(tokenizer: CLIPTokenizer, width: int, act: str) -> CLIPTextConfig:
    """Three layers of `width` channels; the pipelines read the last but one."""
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
    """Both tokenizers and both encoders; the module's weights are trained with the UNet."""

    def __init__(self, merges: list[MergeLoras], widths: tuple[int, int] = (64, 96)) -> None:
        super().__init__()
        self.tokenizers = (new_tokenizer(merges), new_tokenizer(merges, pad="!"))
        self.first = CLIPTextModel(text_config(self.tokenizers[0], widths[0], "quick_gelu"))
        self.second = CLIPTextModelWithProjection(text_config(self.tokenizers[1], widths[1], "gelu"))

    def forward(self, captions: Sequence[str | None]) -> Words:
        """What StableDiffusionXLPipeline makes of the captions; None, a missing prompt, becomes zeros."""
        ids = token_ids(self.tokenizers[0], [caption or "" for caption in captions])
        return self.read(ids, torch.tensor([caption is not None for caption in captions]))

    def read(self, ids: Tensor, said: Tensor) -> Words:
        """The same of tokens (B, 77) int64, padded as by the first tokenizer; said: (B,) bool."""
        first = self.first(ids, output_hidden_states=True).hidden_states[-2]
        second = self.alone(ids)
        here = said[:, None, None].to(first.dtype)
        return Words(hidden=torch.cat([first, second.hidden], -1) * here, pooled=second.pooled * here[:, 0])

    def alone(self, ids: Tensor) -> Words:
        """The second encoder's words only, as the refiner reads them."""
        ended = (ids == self.tokenizers[0].eos_token_id).cumsum(dim=1) > 1
        padded = ids.masked_fill(ended, self.tokenizers[1].pad_token_id)
        second = self.second(padded, output_hidden_states=True)
        return Words(hidden=second.hidden_states[-2], pooled=second.text_embeds)


@dataclass(frozen=True, kw_only=True)
class Words:
    """Encoded captions: hidden (B, 77, width or both widths), pooled (B, second width)."""

    hidden: Tensor
    pooled: Tensor
