"""What diffusers' own pipelines paint: the truth that the engine's pixels are held against."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UniPCMultistepScheduler,
)
from PIL.Image import Image

from engine.messages import Paint, Sampler, Size
from engine.sdxl.samplers import with_spacing

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
        parts = self.base.components
        self.whole, self.part = (
            kind(**parts) for kind in (StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline)
        )
        for pipeline in (self.base, self.refiner, self.whole, self.part):
            pipeline.set_progress_bar_config(disable=True)
        self._schedules = self.base.scheduler.config, self.refiner.scheduler.config

    def teach(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Load a LoRA under its name, inactive, through diffusers' own loader."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # there are two on purpose
            self.base.load_lora_weights(tensors, adapter_name=name)
        self.base.disable_lora()

    def paint(
        self,
        request: Paint,
        picture: Image | None = None,
        mask: Image | None = None,
        /,
        **embeds: torch.Tensor,
    ) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Pixels (height, width, 3) of the request's first picture; `embeds` replaces the words.

        It starts from `picture`, of which only what is white in `mask` is painted.
        """
        assert isinstance(request.size, Size)
        make = ORACLE_SCHEDULERS[request.sampler]
        for pipeline, schedule in zip((self.base, self.refiner), self._schedules, strict=True):
            pipeline.scheduler = make(with_spacing(schedule, request.steps))
        common: dict[str, Any] = embeds or {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt or None,
        }
        common |= {
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance_scale,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
        }
        size: dict[str, Any] = {"width": request.size.width, "height": request.size.height}
        base = self.base
        if request.source is not None:
            base, size = self.whole, {"image": picture, "strength": request.source.strength}
        if request.source is not None and mask is not None:
            base = self.part
            size |= {"mask_image": mask, "padding_mask_crop": request.source.padding}
            size |= {"width": request.size.width, "height": request.size.height}
        base.scheduler = self.base.scheduler
        with self._apply(request):
            if not request.refiner:
                return np.asarray(base(**common, **size).images[0])
            switch = 1 - request.refiner
            latents = base(**common, **size, denoising_end=switch, output_type="latent").images
        return np.asarray(self.refiner(**common, denoising_start=switch, image=latents).images[0])

    @contextmanager
    def _apply(self, request: Paint) -> Iterator[None]:
        """The request's LoRAs in force; the others' layers are there but silent."""
        if request.adapters:
            self.base.enable_lora()
            self.base.set_adapters(
                [use.name for use in request.adapters], [use.weight for use in request.adapters]
            )
        yield
        if request.adapters:
            self.base.disable_lora()
