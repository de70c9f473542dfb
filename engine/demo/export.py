"""Export of trained models in fp16 to the folders that diffusers' pipelines load."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.demo.base import Base
from engine.demo.text import TextEncoders
from engine.demo.tokenizer import Merge
from engine.demo.unet import new_scheduler


def to_half(model: Any) -> Any:
    """A contiguous copy in float16."""
    return copy.deepcopy(model).to(torch.float16, memory_format=torch.contiguous_format)


def write_folder(folder: Path, write: Callable[[Path], Any]) -> None:
    """Write a temporary folder, then rename it into place."""
    temporary, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    for tokenizer in temporary.glob("tokenizer*/"):
        save_vocabulary(tokenizer)
    for file in temporary.rglob("*.*"):
        normalize_file(file)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def normalize_file(file: Path) -> None:
    """Normalize a file: readable for all, float32 in configs, without the paths that parts were loaded from,
    and without a tokenizer's last truncation and padding.
    """
    file.chmod(0o644)
    if file.name == "tokenizer.json":
        fields = json.loads(file.read_text()) | {"truncation": None, "padding": None}
        file.write_text(json.dumps(fields, ensure_ascii=False, indent=2))
    if file.name == "config.json":
        lines = file.read_text().replace('"dtype": "float16"', '"dtype": "float32"').splitlines(keepends=True)
        file.write_text("".join(line for line in lines if '"_name_or_path"' not in line))


def save_vocabulary(folder: Path) -> None:
    """Write vocab.json and merges.txt beside tokenizer.json, for programs that need those."""
    CLIPTokenizer.from_pretrained(folder).backend_tokenizer.model.save(str(folder))


def ship_base(folder: Path, vae: AutoencoderKL, text: TextEncoders, unet: UNet2DConditionModel) -> None:
    """Write the folder of StableDiffusionXLPipeline."""
    pipeline = StableDiffusionXLPipeline(
        vae=to_half(vae),
        text_encoder=to_half(text.first),
        text_encoder_2=to_half(text.second),
        tokenizer=text.tokenizers[0],
        tokenizer_2=text.tokenizers[1],
        unet=to_half(unet),
        scheduler=new_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    write_folder(folder, pipeline.save_pretrained)


def ship_vae(folder: Path, vae: AutoencoderKL) -> None:
    """Write the autoencoder's folder in a pipeline's."""
    write_folder(folder, to_half(vae).save_pretrained)


def load_shipped_base(folder: Path, merges: list[Merge]) -> tuple[AutoencoderKL, Base]:
    """Load what `ship_base` wrote, in float32, for more training."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)
    text = TextEncoders(merges)
    text.first.load_state_dict(pipeline.text_encoder.state_dict())
    text.second.load_state_dict(pipeline.text_encoder_2.state_dict())
    base = Base(text)
    base.unet.load_state_dict(pipeline.unet.state_dict())
    return pipeline.vae.eval(), base


def ship_refiner(
    folder: Path,
    vae: AutoencoderKL,
    second: CLIPTextModelWithProjection,
    tokenizer: Any,
    unet: UNet2DConditionModel,
) -> None:
    """Write the folder of StableDiffusionXLImg2ImgPipeline as a refiner: second encoder, aesthetic score."""
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=to_half(vae),
        text_encoder=None,
        text_encoder_2=to_half(second),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=to_half(unet),
        scheduler=new_scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    write_folder(folder, pipeline.save_pretrained)


def ship_clip(folder: Path, clip: CLIPModel, tokenizer: CLIPTokenizer, images: CLIPImageProcessor) -> None:
    """Write the folder of CLIPModel, CLIPTokenizer and CLIPImageProcessor."""

    def write(temporary: Path) -> None:
        to_half(clip).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        images.save_pretrained(temporary)
        save_vocabulary(temporary)

    write_folder(folder, write)
