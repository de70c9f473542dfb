"""The denoising of one picture: its latents, schedulers and embeddings, and the UNet forward of several."""

from collections.abc import Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from enum import Enum
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from engine.messages import AdapterUse, InvalidRequest, JobId, Paint, Picture, Size
from engine.sdxl.denoising_pass import Conditioning, DenoisingPass, Hole, join_conditioning
from engine.sdxl.fast_steps import FastStep, plan_steps
from engine.sdxl.latent_decoder import Decoding
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.noise import draw_noises, move_together, slerp
from engine.sdxl.prompts import Embedding, PromptEncoder, concatenate_embeddings
from engine.sdxl.samplers import (
    Scheduler,
    amplifies_rounding,
    count_noises,
    cutoff_timestep,
    first_position,
    make_scheduler,
    set_start,
)
from engine.sdxl.source_picture import Canvas, StartingPicture

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5  # the defaults of SDXL's refiner


class Stage(Enum):
    """What the next step of a painting does."""

    LOAD = "load"  # its adapters, part by part
    SOURCE = "source"  # the picture that it starts from is read and encoded
    WORDS = "words"
    BASE = "base"
    REFINE = "refine"
    DECODE = "decode"
    READ = "read"  # its pixels come to the host
    FINISH = "finish"  # what follows the denoising, part by part
    DONE = "done"


WITHOUT_FORWARD = (Stage.LOAD, Stage.SOURCE, Stage.WORDS, Stage.DECODE, Stage.READ, Stage.FINISH)

Finishing = Generator[Sequence["Painting"], None, Image]
"""The steps that follow a picture's denoising. Each may leave paintings that must be done before the next."""


class Painting:
    """One picture of a job.

    Its pixels depend on its request and seeds alone, and not on the pictures that share its forwards, but for
    rounding errors.
    """

    def __init__(
        self,
        request: Paint,
        seed: int,
        variation_seed: int,
        size: Size,
        model: Model,
        canvas: Canvas | None = None,
    ) -> None:
        """`canvas`: what it starts from where it is a part of another's finish."""
        self.request = request
        self.canvas = canvas
        self.seed = seed
        self.variation_seed = variation_seed
        self.size = size
        self.alone = False  # set after a shared step failed, to find the painting that fails
        self.loading: Iterator[None] | None = None  # steps that load its adapters, where they are not loaded
        self.decoding: Decoding | None = None
        self.start: StartingPicture | None = None  # where its request has a source
        self.image: Image | None = None  # once it is decoded, before it is finished
        self.finishing: Finishing | None = None
        self.parts: Sequence[Painting] = ()  # that its finish waits for
        self.details: int | None = None  # that were painted again, where some were looked for
        self.finish_steps, self.finish_step = 0, 0
        self.picture: Future[Picture] | None = None
        self._model = model
        self._generator = torch.Generator("cpu").manual_seed(variation_seed if self._replaces_seed else seed)
        self._base: DenoisingPass | None = None
        self._refine: DenoisingPass | None = None
        self._hole: Hole | None = None
        self._last_step: tuple[Tensor, Tensor, Tensor] | None = None
        self.latents = torch.empty(0)

    @property
    def _replaces_seed(self) -> bool:
        """Whether the variation seed replaces the seed, also for the noise that samplers add."""
        return self.request.variation == 1

    @property
    def job(self) -> JobId:
        return self.request.job

    @property
    def adapter_mix(self) -> tuple[AdapterUse, ...]:
        """The adapters that the base UNet needs, ordered by hash."""
        return tuple(sorted(self.request.adapters, key=lambda use: use.sha256))

    @property
    def active_adapters(self) -> tuple[AdapterUse, ...]:
        """The adapters that the UNet of the current stage needs."""
        return self.adapter_mix if self.stage is Stage.BASE else ()

    @property
    def rows(self) -> int:
        """Its rows in the UNet's batch: 2 with classifier-free guidance, else 1."""
        return 2 if self.guided else 1

    @property
    def guided(self) -> bool:
        """Whether its next step uses classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598)."""
        return self._has_guidance and (self.fast_step is None or self.fast_step.guided)

    @property
    def _has_guidance(self) -> bool:
        return self.request.guidance_scale > 1

    @property
    def fast_step(self) -> FastStep | None:
        """What its next step leaves out; None where it is exact, as all of the refiner's are."""
        return self._base.fast_step if self._base is not None else None

    @property
    def reuses_features(self) -> bool:
        """Whether its next step reuses deep features. Only steps that are alike in that share a forward."""
        return self.fast_step is not None and self.fast_step.reuses

    @property
    def stage(self) -> Stage:
        if self.picture is not None or (self.canvas is not None and self.image is not None):
            return Stage.DONE
        if self.finishing is not None:
            return Stage.FINISH
        if self._base is None:
            return self._first_stage
        if not self._base.is_done:
            return Stage.BASE
        if self._refine is not None and not self._refine.is_done:
            return Stage.REFINE
        return Stage.READ if self.decoding is not None and self.decoding.started else Stage.DECODE

    @property
    def _first_stage(self) -> Stage:
        """What it does before its denoising."""
        if self.loading is not None:
            return Stage.LOAD
        return Stage.SOURCE if self.request.strength is not None and self.start is None else Stage.WORDS

    @property
    def waits_for_device(self) -> bool:
        """Whether its next step is to read pixels that are not there yet."""
        return self.stage is Stage.READ and self.decoding is not None and not self.decoding.ready

    @property
    def waits_for_parts(self) -> bool:
        """Whether its finish goes on once its parts are painted."""
        return any(part.stage is not Stage.DONE for part in self.parts)

    @property
    def finished_image(self) -> Image:
        """The picture of a part that is done."""
        if self.image is None:
            raise RuntimeError("the part is not painted yet")
        return self.image

    def take_finish_step(self) -> Image | None:
        """Take the next step of its finish. Returns the finished picture after the last."""
        if self.finishing is None:
            raise RuntimeError("the painting has not begun to finish")
        self.finish_step += 1 if not self.parts else sum(part.step for part in self.parts)
        self.parts = ()
        try:
            self.parts = next(self.finishing)
        except StopIteration as end:
            image: Image = end.value
            return image
        return None

    @property
    def batch_key(self) -> Hashable:
        """Paintings with equal keys can share a UNet forward."""
        if self.stage in WITHOUT_FORWARD:
            return (self.stage, id(self))
        own = id(self) if amplifies_rounding(self.request.sampler, self.request.guidance_scale) else None
        return (
            self.stage,
            own,
            self.active_adapters,
            self.fast_step is not None,
            self.latents.shape,
            self.current_pass.conditioning.hidden.shape[1],
        )

    @property
    def cost_kind(self) -> Hashable:
        """Forwards of equal cost kinds with equally many rows take equally long."""
        if self.stage in WITHOUT_FORWARD:
            return self.stage
        return (
            self.stage,
            self.fast_step is not None,
            self.reuses_features,
            self.latents.shape,
            self.current_pass.conditioning.hidden.shape[1],
        )

    @property
    def current_pass(self) -> DenoisingPass:
        """The denoising pass of the current stage."""
        current = self._base if self.stage is Stage.BASE else self._refine
        if current is None:
            raise RuntimeError(f"a painting in stage {self.stage} has no denoising pass")
        return current

    @property
    def step(self) -> int:
        """UNet steps done, and steps of its finish, of `steps`."""
        denoised = sum(current.position for current in (self._base, self._refine) if current is not None)
        finished = min(self.finish_step + sum(part.step for part in self.parts), self.finish_steps)
        return denoised + finished

    @property
    def steps(self) -> int:
        """UNet steps in all, an estimate until the schedulers are made, and those of its finish."""
        passes = [current for current in (self._base, self._refine) if current is not None]
        denoised = sum(len(current.timesteps) for current in passes) or self.request.steps
        return (denoised if self.request.denoises else 0) + self.finish_steps

    @property
    def steps_left(self) -> int:
        """UNet steps that are still to do."""
        return self.steps - self.step

    def begin(
        self,
        encoder: PromptEncoder,
        refiner_encoder: PromptEncoder | None,
        tokens: Sequence[TokenVectors] = (),
        text_mix: Hashable = None,
    ) -> None:
        """Encode the prompts, draw the noise and make the schedulers. Its adapters must be active.

        tokens: new tokens of its adapters, which the refiner does not know. text_mix: stands for what of its
        adapters changes how prompts are encoded; None for all of them. Raises InvalidRequest where a
        prompt is too long, or where the request needs a refiner and the model has none.
        """
        request = self.request
        scheduler = make_scheduler(request.sampler, self._model.base.scheduler.config, request.steps)
        first = first_position(scheduler, request)
        timesteps = scheduler.timesteps[first:]
        if request.refiner:
            if refiner_encoder is None:
                raise InvalidRequest("This model has no refiner. Leave --refiner at 0.")
            timesteps = timesteps[timesteps >= cutoff_timestep(scheduler, request.refiner)]
        set_start(scheduler, first)
        positive, negative = encoder.encode_pair(
            request.prompt,
            request.negative_prompt,
            self.adapter_mix if text_mix is None else text_mix,
            tokens,
        )
        self.latents = self._initial_latents(scheduler, timesteps, positive.hidden.dtype)
        if self._sees_hole and self._hole is None:
            raise InvalidRequest("This model paints parts of pictures alone. Use /edit or /extend.")
        conditioning = self._conditioning(encoder, (negative, positive), self._time_ids((), ()))
        base = self._make_pass(scheduler, timesteps, conditioning)
        if refiner_encoder is not None and request.refiner:
            self._refine = self._refiner_pass(refiner_encoder)
        if request.fast:
            base.fast_steps = plan_steps(len(timesteps), guidance=self._has_guidance)
        self._base = base

    def _refiner_pass(self, encoder: PromptEncoder) -> DenoisingPass:
        """The last part of the denoising, as in StableDiffusionXLImg2ImgPipeline with denoising_start."""
        request, pipeline = self.request, self._model.refiner
        scheduler = make_scheduler(request.sampler, pipeline.scheduler.config, request.steps)
        remaining = int((scheduler.timesteps < cutoff_timestep(scheduler, request.refiner)).sum())
        if remaining and scheduler.order == 2 and remaining % 2 == 0:
            remaining += 1  # never start between the two halves of a second-order step
        start = len(scheduler.timesteps) - remaining
        set_start(scheduler, start)
        positive, negative = encoder.encode_pair(request.prompt, request.negative_prompt, ())
        scored = pipeline.config.requires_aesthetics_score
        ids = (
            self._time_ids((NEGATIVE_AESTHETIC_SCORE,), (AESTHETIC_SCORE,))
            if scored
            else self._time_ids((), ())
        )
        conditioning = self._conditioning(encoder, (negative, positive), ids)
        return self._make_pass(scheduler, scheduler.timesteps[start:], conditioning)

    def _make_pass(
        self, scheduler: Scheduler, timesteps: Tensor, conditioning: Conditioning
    ) -> DenoisingPass:
        """A pass over these timesteps of the scheduler, with all that its steps need already on the device.

        Passes must be made in the order in which they are used, since each draws its noise.
        """
        to_the_end = bool(timesteps[-1] == scheduler.timesteps[-1]) if len(timesteps) else False
        count = count_noises(self.request.sampler, len(timesteps), to_the_end=to_the_end)
        noises = self._draw_noises(self._generator, count, conditioning.hidden.dtype)
        return DenoisingPass(
            scheduler=scheduler,
            timesteps=timesteps,
            device_timesteps=timesteps.to(self._model.device, torch.float32, non_blocking=True),
            conditioning=conditioning,
            noises=move_together(noises, self._model.device),
        )

    @property
    def _sees_hole(self) -> bool:
        """Whether the base's UNet is one for parts, which sees what is around them beside the latents."""
        channels: int = self._model.base.unet.config.in_channels
        latents: int = self._model.base.vae.config.latent_channels
        return channels > latents

    def _initial_latents(self, scheduler: Scheduler, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        """The latents (1, 4, h, w) to denoise: noise, or the picture that it starts from with noise."""
        start = self.start
        if start is None:
            return self._initial_noise(dtype) * scheduler.init_noise_sigma
        picture = start.latents.draw(self._generator, dtype)
        noise = self._initial_noise(dtype)
        if start.mask is not None and start.remainder is not None:
            remainder = start.remainder.draw(self._generator, dtype)
            self._hole = Hole(mask=start.mask.to(dtype), picture=picture, noise=noise, remainder=remainder)
            if self.request.strength == 1:
                return noise * scheduler.init_noise_sigma
        return scheduler.add_noise(picture, noise, timesteps[:1]) if len(timesteps) else picture

    def _initial_noise(self, dtype: torch.dtype) -> Tensor:
        """The initial noise (1, 4, height / 8, width / 8): of the seed, or between those of two seeds."""
        (noise,) = self._draw_noises(self._generator, 1, dtype)
        if self.request.variation and not self._replaces_seed:
            (other,) = self._draw_noises(torch.Generator("cpu").manual_seed(self.variation_seed), 1, dtype)
            noise = slerp(noise, other, self.request.variation)
        return noise.to(self._model.device, non_blocking=True)

    def _draw_noises(self, generator: torch.Generator, count: int, dtype: torch.dtype) -> list[Tensor]:
        factor, channels = self._model.factor, self._model.base.vae.config.latent_channels
        shape = (1, channels, self.size.height // factor, self.size.width // factor)
        return draw_noises(generator, count, shape, dtype)

    def _time_ids(self, *scores: Sequence[float]) -> Tensor:
        """SDXL's micro-conditioning (rows, 6): original size, crop corner, target size; or (rows, 5) with
        these scores in place of the last.
        """
        size = original = (self.size.height, self.size.width)
        corner = (0, 0)
        if self.canvas is not None:
            original, corner = self.canvas.whole[::-1], (self.canvas.top, self.canvas.left)
        ids = torch.tensor([[*original, *corner, *(score or size)] for score in scores])
        return ids.to(self._model.device, non_blocking=True)

    def _conditioning(self, encoder: PromptEncoder, texts: Sequence[Embedding], ids: Tensor) -> Conditioning:
        """The conditioning by both prompts, the negative one first, or by the last without guidance."""
        rows = concatenate_embeddings(texts if self._has_guidance else texts[-1:])
        hidden = encoder.project(rows.hidden)
        time_ids = ids[-len(rows.hidden) :].to(rows.hidden.dtype)
        return Conditioning(hidden=hidden, pooled=rows.pooled, time_ids=time_ids)

    def model_input(self) -> tuple[Tensor, Tensor]:
        """The UNet's input (rows, 4, h, w), scaled for the timestep, and the timestep (rows,) in float32."""
        current = self.current_pass
        scaled = current.scheduler.scale_model_input(self.latents, current.timestep)
        if self._hole is not None and current is self._base and self._sees_hole:
            scaled = torch.cat([scaled, self._hole.mask, self._hole.remainder], dim=1)
        timestep = current.device_timesteps[current.position]
        return scaled.expand(self.rows, -1, -1, -1), timestep.expand(self.rows)

    def deep_features(self) -> Tensor:
        """The UNet's deep features (rows, channels, h, w) that its next step reuses."""
        deep = self.current_pass.deep
        if deep is None:
            raise RuntimeError("no step before this one has computed deep features")
        return deep[-self.rows :]

    @torch.inference_mode()
    def apply_prediction(self, model_input: Tensor, predicted: Tensor) -> None:
        """Take the UNet's prediction (rows, 4, h, w) for this model input, and step the scheduler with it."""
        current = self.current_pass
        if self.guided:
            negative, positive = predicted.chunk(2)
            predicted = negative + self.request.guidance_scale * (positive - negative)
        self._last_step = (model_input[:1, : self.latents.shape[1]], predicted, current.timestep)
        self.latents = current.step(predicted, self.latents)
        if self._hole is not None and current is self._base and not self._sees_hole:
            self.latents = self._hole.restore(self.latents, current)

    def predict_x0(self) -> Tensor | None:
        """The latents (1, 4, h, w) without noise, as the UNet predicted them last; None before its first
        step.

        The UNet's input is sqrt(a) x0 + sqrt(1 - a) noise with a = alphas_cumprod[t] for all samplers, so one
        formula serves all (Song et al. 2021, arXiv 2010.02502, eq. 9).
        """
        if self._last_step is None:
            return None
        noisy, predicted, timestep = self._last_step
        alphas: Tensor = self._model.base.scheduler.alphas_cumprod
        alpha = alphas[round(float(timestep))]  # both on the CPU, so that nothing waits for a device
        if self._model.base.scheduler.config.prediction_type == "v_prediction":
            return alpha.sqrt() * noisy - (1 - alpha).sqrt() * predicted
        return (noisy - (1 - alpha).sqrt() * predicted) / alpha.sqrt()


@torch.inference_mode()
def predict(unet: Any, paintings: Sequence[Painting]) -> list[tuple[Tensor, Tensor]]:
    """One UNet forward for paintings of one batch key, each at its own timestep.

    Returns the model input (rows, 4, h, w) of each painting, and the UNet's prediction of the same shape.
    """
    inputs = [painting.model_input() for painting in paintings]
    conditioning = join_conditioning(
        *(painting.current_pass.conditioning.last(painting.rows) for painting in paintings)
    )
    added = {"text_embeds": conditioning.pooled, "time_ids": conditioning.time_ids}
    if paintings[0].reuses_features:
        added["deep"] = torch.cat([painting.deep_features() for painting in paintings])
    predicted, *deep = unet(
        torch.cat([sample for sample, _ in inputs]),
        torch.cat([timestep for _, timestep in inputs]),
        encoder_hidden_states=conditioning.hidden,
        added_cond_kwargs=added,
        return_dict=False,
    )
    samples = [sample for sample, _ in inputs]
    counts = [len(sample) for sample in samples]
    for features in deep:
        for painting, rows in zip(paintings, features.split(counts), strict=True):
            painting.current_pass.deep = rows.clone()  # a graph's outputs are overwritten at its next use
    return list(zip(samples, predicted.split(counts), strict=True))
