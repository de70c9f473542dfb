"""What each sampler paints in few steps: the share of held-out prompts that come out right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline

from bench.demo_model import MODEL, quiet, unseen_scenes
from bench.measuring import table
from engine.demo.captions import plain
from engine.demo.judge import judge
from engine.demo.world import Scene
from engine.messages import Sampler
from engine.sdxl.samplers import SCHEDULERS

STEPS = (1, 2, 3, 4, 8, 20)
PROMPTS, SEEDS = 24, 3
GUIDANCE = 5.0


def measure() -> str:
    """A row for each sampler, in each cell its share with leading and with trailing timesteps."""
    pipeline = quiet(StableDiffusionXLPipeline.from_pretrained(MODEL / "base"))
    config = pipeline.scheduler.config
    scenes = unseen_scenes(PROMPTS)
    rows = []
    for sampler in Sampler:
        kind, options = SCHEDULERS[sampler]
        cells = []
        for steps in STEPS:
            shares = []
            for spacing in ("leading", "trailing"):
                pipeline.scheduler = kind.from_config({**config, "timestep_spacing": spacing}, **options)
                shares.append(f"{share_right(pipeline, scenes, steps):.0f}%")
            cells.append(" / ".join(dict.fromkeys(shares)))
        rows.append([sampler.value, *cells])
    return table(["everything right, leading / trailing", *(f"{steps} steps" for steps in STEPS)], rows)


def share_right(pipeline: Any, scenes: Sequence[Scene], steps: int) -> float:
    """The share in percent of pictures of these scenes, several seeds each, that are all right."""
    right = []
    for seed in range(SEEDS):
        images = pipeline(
            prompt=[plain(scene) for scene in scenes],
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(1000 * seed + nth) for nth in range(len(scenes))],
            output_type="np",
        ).images
        pictures = (images * 255).round().astype(np.uint8)
        right += [judge(picture, scene).right for picture, scene in zip(pictures, scenes, strict=True)]
    return 100 * float(np.mean(right))
