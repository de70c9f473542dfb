"""Stable Diffusion XL at its full size with random weights, made from its configurations: for its speed.

`python -m bench.full_size FOLDER` writes it as a diffusers folder of 7 GB that config.toml can name.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.sdxl.model import DEMO

# Podell et al. 2023 (arXiv 2307.01952), as in the configuration files that Stability AI published.
UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER_UNET: dict[str, Any] = UNET | {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": False,  # as in madebyollin/sdxl-vae-fp16-fix
}
CLIP_L: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
BIG_G: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}

FULL = {"unet": UNET, "vae": VAE, "clip_l": CLIP_L, "big_g": BIG_G}
NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
# The same blocks in the same places, each a tenth as wide and as shallow as can be.
TINY: dict[str, dict[str, Any]] = {
    "unet": UNET
    | {
        "sample_size": 8,
        "block_out_channels": (32, 32, 64),
        "transformer_layers_per_block": 1,
        "attention_head_dim": (1, 1, 2),
        "cross_attention_dim": 64,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 80,
    },
    "vae": VAE | {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "sample_size": 64},
    "clip_l": CLIP_L | NARROW | {"projection_dim": 32},
    "big_g": BIG_G | NARROW | {"projection_dim": 32},
}


def text_config(values: dict[str, Any], tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """The text encoder's configuration, for the tokenizer of the model that ships."""
    return CLIPTextConfig(
        **values,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def random_module(kind: Any, config: Any, precision: torch.dtype, device: str) -> Any:
    """A module of this configuration with small random weights, made where it will live."""
    with torch.device("meta"):
        module = kind(config) if isinstance(config, CLIPTextConfig) else kind(**config)
    module = module.to(precision).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for parameter in module.parameters():
        scale = 0.02 if parameter.ndim > 1 else 0.0
        parameter.data.normal_(0.0, scale, generator=generator).add_(0.0 if parameter.ndim > 1 else 0.5)
    for name, buffer in module.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1], device=device).expand(buffer.shape))
    return module.eval().requires_grad_(requires_grad=False)


def full_size_pipelines(precision: torch.dtype, device: str) -> tuple[Any, Any]:
    """SDXL's base and refiner pipelines with random weights; they share VAE and second text encoder."""
    base = random_base(FULL, precision, device)
    refiner = StableDiffusionXLImg2ImgPipeline(
        vae=base.vae,
        text_encoder=None,
        text_encoder_2=base.text_encoder_2,
        tokenizer=None,
        tokenizer_2=base.tokenizer_2,
        unet=random_module(UNet2DConditionModel, REFINER_UNET, precision, device),
        scheduler=base.scheduler,
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    return base, refiner


def random_base(size: Mapping[str, Any], precision: torch.dtype, device: str) -> Any:
    """The base pipeline of these configurations with random weights."""
    first, second = (
        CLIPTokenizer.from_pretrained(DEMO / "base" / name) for name in ("tokenizer", "tokenizer_2")
    )
    clip_l, big_g = (
        text_config(size[name], tokenizer) for name, tokenizer in (("clip_l", first), ("big_g", second))
    )
    return StableDiffusionXLPipeline(
        vae=random_module(AutoencoderKL, size["vae"], precision, device),
        text_encoder=random_module(CLIPTextModel, clip_l, precision, device),
        text_encoder_2=random_module(CLIPTextModelWithProjection, big_g, precision, device),
        tokenizer=first,
        tokenizer_2=second,
        unet=random_module(UNet2DConditionModel, size["unet"], precision, device),
        scheduler=EulerDiscreteScheduler.from_pretrained(DEMO / "base", subfolder="scheduler"),
        add_watermarker=False,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, pipeline in zip(("base", "refiner"), full_size_pipelines(torch.float16, "cpu"), strict=True):
        pipeline.save_pretrained(folder / name)
        print(f"wrote {folder / name}")
