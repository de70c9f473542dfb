"""Writing trained parts as folders that the plain pipelines load: fp16, written aside, then renamed."""

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
from engine.demo.tokenizer import MergeLoras
from engine.demo.unet import new_scheduler


def half(model: Any) -> Any:
    """A contiguous copy in float16, for the disk."""
    return copy.deepcopy(model).to(torch.float16, memory_format=torch.contiguous_format)


def put_folder(folder: Path, write: Callable[[Path], Any]) -> None:
    """Write a folder beside its place, then swap it in."""
    aside, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    for rest in (aside, old):
        shutil.rmtree(rest, ignore_errors=True)
    aside.mkdir(parents=True)
    write(aside)
    for tokenizer in aside.glob("tokenizer*/"):
        save_vocabulary(tokenizer)
    for file in aside.rglob("*.*"):
        settle(file)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def settle(file: Path) -> None:
    """Make a file readable to all, a text encoder's config ask for float32, the other parts' default, configs
    forget where their parts were loaded from, and a tokenizer how it was last used."""
    file.chmod(0o644)
    if file.name == "tokenizer.json":
        unused = json.loads(file.read_text()) | {"truncation": None, "padding": None}
        file.write_text(json.dumps(unused, ensure_ascii=False, indent=2))
    if file.name == "config.json":
        lines = file.read_text().replace('"dtype": "float16"', '"dtype": "float32"').splitlines(keepends=True)
        file.write_text("".join(line for line in lines if '"_name_or_path"' not in line))


def save_vocabulary(folder: Path) -> None:
    """Write vocab.json and merges.txt beside tokenizer.json, for readers that want those."""
    CLIPTokenizer.from_pretrained(folder).backend_tokenizer.model.save(str(folder))


def ship_base(folder: Path, vae: AutoencoderKL, text: TextEncoders, unet: UNet2DConditionModel) -> None:
    """The folder of StableDiffusionXLPipeline."""
    pipeline = StableDiffusionXLPipeline(
        vae=half(vae),
        text_encoder=half(text.first),
        text_encoder_2=half(text.second),
        tokenizer=text.tokenizers[0],
        tokenizer_2=text.tokenizers[1],
        unet=half(unet),
        scheduler=new_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    put_folder(folder, pipeline.save_pretrained)


def ship_vae(folder: Path, vae: AutoencoderKL) -> None:
    """The autoencoder's folder within a pipeline's."""
    put_folder(folder, half(vae).save_pretrained)


def shipped_base(folder: Path, merges: list[MergeLoras]) -> tuple[AutoencoderKL, Base]:
    """What `ship_base` wrote, in float32, as the recipe trains it."""
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
    """The folder of StableDiffusionXLImg2ImgPipeline, as a refiner: second encoder only, aesthetic score."""
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=half(vae),
        text_encoder=None,
        text_encoder_2=half(second),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=half(unet),
        scheduler=new_scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    put_folder(folder, pipeline.save_pretrained)


def ship_clip(folder: Path, clip: CLIPModel, tokenizer: CLIPTokenizer, images: CLIPImageProcessor) -> None:
    """The folder of CLIPModel, CLIPTokenizer and CLIPImageProcessor."""

    def write(aside: Path) -> None:
        half(clip).save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        images.save_pretrained(aside)
        save_vocabulary(aside)

    put_folder(folder, write)
