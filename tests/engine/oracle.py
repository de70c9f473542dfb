"""What diffusers' own pipelines paint: the truth that the engine's pixels are held against."""

from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UniPCMultistepScheduler,
)

from engine.messages import Paint, Sampler, Size

# Written out here a second time on purpose: a slip in the engine's table must not be repeated by its judge.
ORACLE_SCHEDULERS: dict[Sampler, Any] = {
    Sampler.EULER: lambda c: EulerDiscreteScheduler.from_config(c),
    Sampler.EULER_ANCESTRAL: lambda c: EulerAncestralDiscreteScheduler.from_config(c),
    Sampler.DPM_2M: lambda c: DPMSolverMultistepScheduler.from_config(c),
    Sampler.DPM_2M_KARRAS: lambda c: DPMSolverMultistepScheduler.from_config(c, use_karras_sigmas=True),
    Sampler.DPM_SDE: lambda c: DPMSolverSinglestepScheduler.from_config(c, algorithm_type="sde-dpmsolver++"),
    Sampler.DDIM: lambda c: DDIMScheduler.from_config(c, clip_sample=False),
    Sampler.UNIPC: lambda c: UniPCMultistepScheduler.from_config(c),
    Sampler.HEUN: lambda c: HeunDiscreteScheduler.from_config(c),
    Sampler.LCM: lambda c: LCMScheduler.from_config(c),
}


class Oracle:
    """diffusers' base and refiner pipelines on weights of their own, loaded from the same folders."""

    def __init__(self, base: str, refiner: str) -> None:
        self.base = StableDiffusionXLPipeline.from_pretrained(base, dtype=torch.float32)
        self.refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(
            refiner, dtype=torch.float32, vae=self.base.vae
        )
        for pipeline in (self.base, self.refiner):
            pipeline.set_progress_bar_config(disable=True)
        self._schedules = self.base.scheduler.config, self.refiner.scheduler.config

    def paint(self, request: Paint, **embeds: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Pixels (height, width, 3) of the request's first picture; `embeds` replaces the words."""
        assert isinstance(request.size, Size)
        words: dict[str, Any] = embeds or {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
        }
        generator = torch.Generator("cpu").manual_seed(request.seed)
        make = ORACLE_SCHEDULERS[request.sampler]
        self.base.scheduler = make(self._schedules[0])
        common = {
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance_scale,
            "generator": generator,
        }
        size = {"width": request.size.width, "height": request.size.height}
        if not request.refiner:
            image = self.base(**words, **common, **size).images[0]
            return np.asarray(image)
        self.refiner.scheduler = make(self._schedules[1])
        switch = 1 - request.refiner
        latents = self.base(**words, **common, **size, denoising_end=switch, output_type="latent").images
        image = self.refiner(**words, **common, denoising_start=switch, image=latents).images[0]
        return np.asarray(image)
