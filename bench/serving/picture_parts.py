"""The parts of a picture beside its steps: words, preview, decode and PNG, by engine and pipeline."""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Any

import torch
from PIL import Image

from bench.forward import forward
from bench.measuring import in_turns, table
from bench.painting import request
from engine.messages import Size
from engine.sdxl.latent_decoder import decode
from engine.sdxl.model import Model
from engine.sdxl.png_file import Recipe, encode_png
from engine.sdxl.preview import fit_preview
from engine.sdxl.prompts import PromptEncoder

ROUNDS = 9
NEGATIVE = "blurry, yellow"

Way = Callable[[], object]


def measure(model: Model, sides: Sequence[int], rounds: int = ROUNDS) -> str:
    """Milliseconds of each part: words once for all sizes, the others at each."""
    rows = []
    for side in sides:
        for name, ways in parts(model, side).items():
            times = [seconds * 1000 for seconds in in_turns(ways, rounds)]
            ratio = f"{times[1] / times[0]:.2f}" if len(times) == 2 else ""
            cells = [f"{time:.1f}" for time in times] + [""] * (2 - len(times))
            rows.append([f"{name}, {side}x{side}", *cells, ratio])
    return table(["milliseconds", "engine", "pipeline", "speed-up"], rows)


def parts(model: Model, side: int) -> dict[str, Sequence[Way]]:
    """Each part by the engine and, where it has the same, by the pipeline."""
    pipeline = model.base
    latents = paint_latents(model, side)
    image = decode(pipeline.vae, latents)
    encoder, preview = PromptEncoder(pipeline), fit_preview(pipeline.vae)
    asked = request(0, 20, 5.0, side)
    return {
        "words: prompt and negative prompt": [
            partial(encoder.encode_pair, asked.prompt, NEGATIVE, ()),
            partial(encode_by_pipeline, pipeline, asked.prompt),
        ],
        "a guided step of the UNet, eager": [forward(pipeline.unet, 2, side // model.factor)],
        "preview": [partial(preview.encode_jpeg, latents)],
        "decode": [
            partial(decode, pipeline.vae, latents),
            partial(decode_by_pipeline, pipeline, latents),
        ],
        "PNG": [
            partial(encode_png, image, recipe(model, side)),
            partial(save, image),
        ],
    }


def paint_latents(model: Model, side: int) -> Any:
    """The latents of a picture of a few steps, since noise would make larger files."""
    return model.base(
        prompt=request(0, 4, 5.0, side).prompt,
        num_inference_steps=8,
        guidance_scale=5.0,
        width=side,
        height=side,
        generator=torch.Generator("cpu").manual_seed(0),
        output_type="latent",
    ).images


@torch.inference_mode()
def encode_by_pipeline(pipeline: Any, prompt: str) -> None:
    pipeline.encode_prompt(prompt, negative_prompt=NEGATIVE, do_classifier_free_guidance=True)


@torch.inference_mode()
def decode_by_pipeline(pipeline: Any, latents: Any) -> None:
    """As StableDiffusionXLPipeline ends."""
    pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    pipeline.image_processor.postprocess(pixels, output_type="pil")


def save(image: Image.Image) -> None:
    """As Pillow saves a PNG unless told otherwise."""
    image.save(BytesIO(), "PNG")


def recipe(model: Model, side: int) -> Recipe:
    return Recipe(
        request=request(0, 20, 5.0, side), seed=0, size=Size(width=side, height=side), model=model.name
    )
