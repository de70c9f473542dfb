"""One picture on its way: its latents, scheduler, random numbers and words, advanced one step at a time."""

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from engine.messages import AdapterUse, InvalidRequest, JobId, Paint, Picture, Size
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.prompts import Embedding, Reader
from engine.sdxl.samplers import Scheduler, noise_options, scheduler_for, start_at, steep

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5  # what SDXL's refiner is told of good and bad pictures
STRAIGHT = 0.01  # radians: between a noise and itself there is no arc, as far as float32 can tell


class Stage(Enum):
    """What a painting needs next."""

    WORDS = "words"
    BASE = "base"
    REFINE = "refine"
    DECODE = "decode"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What the UNet is told beside latents and timestep, a row each: the negative one first under CFG."""

    hidden: Tensor
    pooled: Tensor
    time_ids: Tensor


@dataclass
class Walk:
    """A stretch of denoising with one UNet: a scheduler of its own and the timesteps still to go."""

    scheduler: Scheduler
    timesteps: Tensor
    conditioning: Conditioning
    options: Mapping[str, Any]
    position: int = 0

    @property
    def ended(self) -> bool:
        return self.position >= len(self.timesteps)


class Painting:
    """One picture of a job.

    Its pixels depend on its request and seeds alone, never on what else is painted beside it, but for the
    last digits of its numbers.
    """

    def __init__(self, request: Paint, seed: int, variation_seed: int, size: Size, model: Model) -> None:
        self.request = request
        self.seed = seed
        self.variation_seed = variation_seed
        self.size = size
        self.alone = False  # set after a shared step failed, to find out whose fault it was
        self.picture: Future[Picture] | None = None
        self._model = model
        self._generator = torch.Generator("cpu").manual_seed(variation_seed if self._replaced else seed)
        self._base: Walk | None = None
        self._refine: Walk | None = None
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None
        self.latents = torch.empty(0)

    @property
    def _replaced(self) -> bool:
        """Whether nothing is left of the seed: the noise that samplers add is the other seed's then too."""
        return self.request.variation == 1

    @property
    def job(self) -> JobId:
        return self.request.job

    @property
    def mix(self) -> tuple[AdapterUse, ...]:
        """The adapters that the base UNet must apply, in an order of their own."""
        return tuple(sorted(self.request.adapters, key=lambda use: use.sha256))

    @property
    def applied(self) -> tuple[AdapterUse, ...]:
        """The adapters that the UNet of its stage must apply."""
        return self.mix if self.stage is Stage.BASE else ()

    @property
    def rows(self) -> int:
        """Rows in the UNet's batch."""
        return 2 if self.guided else 1

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance doubles its rows in the UNet's batch."""
        return self.request.guidance_scale > 1

    @property
    def stage(self) -> Stage:
        if self.picture is not None:
            return Stage.DONE
        if self._base is None:
            return Stage.WORDS
        if not self._base.ended:
            return Stage.BASE
        if self._refine is not None and not self._refine.ended:
            return Stage.REFINE
        return Stage.DECODE

    @property
    def key(self) -> Hashable:
        """Paintings with equal keys can share one UNet forward."""
        if self.stage in (Stage.WORDS, Stage.DECODE):
            return (self.stage, id(self))
        company = id(self) if steep(self.request.sampler, self.request.guidance_scale) else None
        return (self.stage, company, self.applied, self.latents.shape, self.walk.conditioning.hidden.shape[1])

    @property
    def kind(self) -> Hashable:
        """Forwards of equal kinds and as many rows take as long."""
        return (self.stage, len(self.applied), self.latents.shape, self.walk.conditioning.hidden.shape[1])

    @property
    def walk(self) -> Walk:
        """The stretch that is under way."""
        walk = self._base if self.stage is Stage.BASE else self._refine
        if walk is None:
            raise RuntimeError(f"a painting in stage {self.stage} has no walk")
        return walk

    @property
    def step(self) -> int:
        """UNet steps done, of `steps`."""
        return sum(walk.position for walk in (self._base, self._refine) if walk is not None)

    @property
    def steps(self) -> int:
        """UNet steps in all, as far as is known before the scheduler is made."""
        walks = [walk for walk in (self._base, self._refine) if walk is not None]
        return sum(len(walk.timesteps) for walk in walks) or self.request.steps

    def begin(
        self, reader: Reader, refiner_reader: Reader | None, tokens: Sequence[TokenVectors] = ()
    ) -> None:
        """Read the words, draw the noise and lay out the timesteps; the base's adapters are active.

        tokens: what the base's adapters teach it of new words; the refiner reads them as they are written.
        Raises InvalidRequest when the request wants a refiner and the model has none.
        """
        request = self.request
        scheduler = scheduler_for(request.sampler, self._model.base.scheduler.config, request.steps)
        timesteps = scheduler.timesteps
        if request.refiner:
            if refiner_reader is None:
                raise InvalidRequest("this model has no refiner: leave the refiner at 0.")
            timesteps = timesteps[timesteps >= cutoff_timestep(scheduler, request.refiner)]
            self._refine = self._refiner_walk(refiner_reader)
        start_at(scheduler, 0)
        wanted, unwanted = reader.read(request.prompt, request.negative_prompt, self.mix, tokens)
        ids = self._time_ids(())
        self.latents = self._noise(wanted.hidden.dtype) * scheduler.init_noise_sigma
        conditioning = self._conditioning(wanted, unwanted, ids, ids)
        self._base = Walk(scheduler, timesteps, conditioning, noise_options(scheduler, self._generator))

    def _refiner_walk(self, reader: Reader) -> Walk:
        """The last stretch, as StableDiffusionXLImg2ImgPipeline lays it out with denoising_start."""
        request, pipeline = self.request, self._model.refiner
        scheduler = scheduler_for(request.sampler, pipeline.scheduler.config, request.steps)
        left = int((scheduler.timesteps < cutoff_timestep(scheduler, request.refiner)).sum())
        if left and scheduler.order == 2 and left % 2 == 0:
            left += 1  # never begin between the two halves of a second-order step
        start = len(scheduler.timesteps) - left
        start_at(scheduler, start)
        wanted, unwanted = reader.read(request.prompt, request.negative_prompt, ())
        if pipeline.config.requires_aesthetics_score:
            ids, negative_ids = (
                self._time_ids((AESTHETIC_SCORE,)),
                self._time_ids((NEGATIVE_AESTHETIC_SCORE,)),
            )
        else:
            ids = negative_ids = self._time_ids(())
        conditioning = self._conditioning(wanted, unwanted, ids, negative_ids)
        options = noise_options(scheduler, self._generator)
        return Walk(scheduler, scheduler.timesteps[start:], conditioning, options)

    def _noise(self, dtype: torch.dtype) -> Tensor:
        """The noise to begin with, (1, 4, height / 8, width / 8): the seed's, or between two seeds'."""
        noise = self._drawn(self._generator, dtype)
        if not self.request.variation or self._replaced:
            return noise
        other = self._drawn(torch.Generator("cpu").manual_seed(self.variation_seed), dtype)
        return slerp(noise, other, self.request.variation)

    def _drawn(self, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Latents (1, 4, height / 8, width / 8) drawn on the CPU: a seed means the same everywhere."""
        factor = self._model.factor
        shape = (
            1,
            self._model.base.unet.config.in_channels,
            self.size.height // factor,
            self.size.width // factor,
        )
        noise: Tensor = randn_tensor(shape, generator=generator, device=self._model.device, dtype=dtype)
        return noise

    def _time_ids(self, score: Sequence[float]) -> Tensor:
        """SDXL's micro-conditioning (1, 6): original size, crop corner, target size; (1, 5) with a score."""
        size = (self.size.height, self.size.width)
        return torch.tensor([[*size, 0, 0, *(score or size)]], device=self._model.device)

    def _conditioning(
        self, wanted: Embedding, unwanted: Embedding, ids: Tensor, negative_ids: Tensor
    ) -> Conditioning:
        if not self.guided:
            return Conditioning(
                hidden=wanted.hidden, pooled=wanted.pooled, time_ids=ids.to(wanted.hidden.dtype)
            )
        return Conditioning(
            hidden=torch.cat([unwanted.hidden, wanted.hidden]),
            pooled=torch.cat([unwanted.pooled, wanted.pooled]),
            time_ids=torch.cat([negative_ids, ids]).to(wanted.hidden.dtype),
        )

    def question(self) -> tuple[Tensor, Tensor]:
        """The UNet's input (rows, 4, h, w), noise at its true scale, and timestep (rows,), float32."""
        walk = self.walk
        timestep = walk.timesteps[walk.position]
        scaled = walk.scheduler.scale_model_input(self.latents, timestep)
        return scaled.expand(self.rows, -1, -1, -1), timestep.float().expand(self.rows)

    @torch.inference_mode()
    def answer(self, asked: Tensor, predicted: Tensor) -> None:
        """Take the UNet's rows for this painting's question and finish the step with its own scheduler."""
        walk = self.walk
        timestep = walk.timesteps[walk.position]
        if self.guided:
            negative, positive = predicted.chunk(2)
            predicted = negative + self.request.guidance_scale * (positive - negative)
        self._seen = (asked[:1], predicted, timestep)
        self.latents = walk.scheduler.step(
            predicted, timestep, self.latents, **walk.options, return_dict=False
        )[0]
        walk.position += 1

    def glimpse(self) -> Tensor | None:
        """What the picture would be if the UNet's last answer were the whole truth: latents, or None so far.

        The UNet sees sqrt(a) x + sqrt(1 - a) noise with a = alphas_cumprod[t] whatever the sampler, so one
        formula serves all (Song et al. 2021, arXiv 2010.02502, eq. 9).
        """
        if self._seen is None:
            return None
        noisy, predicted, timestep = self._seen
        alphas: Tensor = self._model.base.scheduler.alphas_cumprod
        alpha = alphas[round(float(timestep))].to(noisy)
        if self._model.base.scheduler.config.prediction_type == "v_prediction":
            return alpha.sqrt() * noisy - (1 - alpha).sqrt() * predicted
        return (noisy - (1 - alpha).sqrt() * predicted) / alpha.sqrt()


def cutoff_timestep(scheduler: Scheduler, refiner: float) -> int:
    """The timestep under which the refiner works, rounded as diffusers' pipelines round it."""
    trained: int = scheduler.config.num_train_timesteps
    return round(trained - (1 - refiner) * trained)


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at this share, 0 to 1, of the arc between two latents (Shoemake 1985, section 3.3).

    On the straight line between two draws of noise the middle would be too weak to be noise.
    """
    one, other = start.float(), end.float()
    cosine = (one * other).sum() / (one.norm() * other.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < STRAIGHT:
        return start
    mixed = torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other
    return (mixed / torch.sin(angle)).to(start.dtype)


@torch.inference_mode()
def predict(unet: Any, paintings: Sequence[Painting]) -> list[tuple[Tensor, Tensor]]:
    """One UNet forward for paintings of one key, each at its own timestep.

    Returns each painting's own question (rows, 4, h, w) and the UNet's answer to it, of the same shape.
    """
    questions = [painting.question() for painting in paintings]
    told = [painting.walk.conditioning for painting in paintings]
    predicted = unet(
        torch.cat([sample for sample, _ in questions]),
        torch.cat([timestep for _, timestep in questions]).to(unet.device),
        encoder_hidden_states=torch.cat([one.hidden for one in told]),
        added_cond_kwargs={
            "text_embeds": torch.cat([one.pooled for one in told]),
            "time_ids": torch.cat([one.time_ids for one in told]),
        },
        return_dict=False,
    )[0]
    samples = [sample for sample, _ in questions]
    return list(zip(samples, predicted.split([len(sample) for sample in samples]), strict=True))
