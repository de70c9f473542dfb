"""The two text encoders, seen as the SDXL pipelines see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.demo.tokenizer import LENGTH, Merge, new_tokenizer, token_ids


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

    def __init__(self, merges: list[Merge], widths: tuple[int, int] = (64, 96)) -> None:
        super().__init__()
        self.tokenizers = (new_tokenizer(merges), new_tokenizer(merges, pad="!"))
        self.first = CLIPTextModel(text_config(self.tokenizers[0], widths[0], "quick_gelu"))
        self.second = CLIPTextModelWithProjection(text_config(self.tokenizers[1], widths[1], "gelu"))

    def forward(self, captions: Sequence[str | None]) -> Words:
        """What StableDiffusionXLPipeline makes of the captions; None, a missing prompt, becomes zeros."""
        texts = [caption or "" for caption in captions]
        first = self.first(token_ids(self.tokenizers[0], texts), output_hidden_states=True)
        second = self.alone(captions)
        said = torch.tensor([[[float(caption is not None)]] for caption in captions])
        return Words(
            hidden=torch.cat([first.hidden_states[-2] * said, second.hidden], -1), pooled=second.pooled
        )

    def alone(self, captions: Sequence[str | None]) -> Words:
        """The second encoder's words only, as the refiner reads them."""
        texts = [caption or "" for caption in captions]
        second = self.second(token_ids(self.tokenizers[1], texts), output_hidden_states=True)
        said = torch.tensor([[float(caption is not None)] for caption in captions])
        return Words(hidden=second.hidden_states[-2] * said[:, :, None], pooled=second.text_embeds * said)


@dataclass(frozen=True, kw_only=True)
class Words:
    """Encoded captions: hidden (B, 77, width or both widths), pooled (B, second width)."""

    hidden: Tensor
    pooled: Tensor
