"""All the work in the engine process, advanced one small step at a time."""

import logging
import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import torch
from PIL.Image import Image

from engine.background import Workshop
from engine.batching import SHORT, Turns, short
from engine.deadline import Deadlines
from engine.forward_cost import Forwards
from engine.job import Job
from engine.lora.adapters import Adapters
from engine.lora.short_hashes import ModelHash, lora_hash
from engine.messages import (
    Cancel,
    Cancelled,
    EngineSettings,
    Event,
    Failed,
    FlaggedPolicy,
    Idle,
    InvalidRequest,
    JobId,
    JobRequest,
    Paint,
    Painted,
    Picture,
    Sha256,
    StepStarted,
    StopTraining,
    TaskRequest,
    picture_seeds,
)
from engine.sdxl.latent_decoder import BrokenPicture, decode
from engine.sdxl.model import Model, uncompiled
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.png_file import Recipe, png
from engine.sdxl.preview import fitted_preview
from engine.sdxl.prompts import Memory, Reader
from engine.sdxl.sizes import pixels
from engine.tasks.comparison import compared, each, ways
from engine.time_share import Sharing
from engine.vision.clip_score import Scorer
from engine.vision.safety import checks, safety_of

FILES = 2  # PNG files written at once beside the steps
FILE_SECONDS = 0.01  # small files are there in this time, and their people need not wait for a step
REMEMBERED = 64 * 2**20  # bytes of embeddings: rerolls and pictures of one job ask for the same ones again
ANNOUNCE_SECONDS = 0.25  # while the same jobs step on, so often is enough for the watchdog

log = logging.getLogger(__name__)


class Studio:
    """The jobs under way and the model that they share.

    `accept` takes a request at once, `step` advances whoever's turn it is: pictures, and beside them what
    goes on in the workshop, each with its share of the time while both have something to do. A fault in one
    job ends that job with its reason and the others go on; only a poisoned device (torch.AcceleratorError)
    gets out.
    """

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        self._model = model
        self._folder = folder = Path(settings.files)
        self._model_hash = ModelHash(settings.model)
        self._adapters = Adapters(model.base, folder, settings.adapter_cache_mb * 2**20)
        self._scorer = Scorer(settings, model.device)
        self._safety = safety_of(settings, model.device)
        self._workshop = Workshop(model, self._adapters, folder, self._scorer, self._safety)
        self._sharing = Sharing(settings.training_share)
        memory = Memory(REMEMBERED)
        self._reader = Reader(model.base, memory)
        self._refiner_reader = Reader(model.refiner, memory) if model.refiner is not None else None
        self._preview = fitted_preview(model.base.vae)
        self._forwards = Forwards(model.device)
        self._turns = Turns(settings.largest_batch, self._forwards)
        self._compiled = settings.compile
        self._deadlines = Deadlines(settings.deadline_floor_seconds, compiled=settings.compile)
        self._jobs: dict[JobId, Job] = {}
        # A PNG of 1024x1024 takes as long as several steps on a large GPU, which must not wait for it.
        self._files = ThreadPoolExecutor(max_workers=FILES, thread_name_prefix="png")
        self._filed: dict[JobId, Job] = {}
        self._announced: tuple[Hashable, float] = (None, 0.0)

    @property
    def idle(self) -> bool:
        return not self._jobs and not self._filed and self._workshop.idle

    def accept(self, request: JobRequest | TaskRequest | StopTraining | Cancel) -> Iterator[Event]:
        """Take on a job, or let one go."""
        match request:
            case Cancel():
                known = self._jobs.pop(request.job, None) or self._filed.pop(request.job, None)
                left = () if known is not None else self._workshop.cancel(request.job)
                if left is not None:
                    yield Cancelled(job=request.job, left=left)
                    yield from self._rest()
            case Paint():
                yield from self._accept_picture(request)
            case _:
                yield from self._workshop.accept(request)

    def _accept_picture(self, request: Paint) -> Iterator[Event]:
        try:
            size = pixels(request.size, self._model.side)
        except InvalidRequest as refusal:
            yield Failed(job=request.job, reason=str(refusal), expected=True)
            return
        if request.variants:
            asked = each(request, ways(request, refiner=self._model.refiner is not None))
            paintings = [Painting(one, *picture_seeds(one, 1), size, self._model) for one in asked]
        else:
            places = range(1, request.count + 1)
            paintings = [
                Painting(request, *picture_seeds(request, place), size, self._model) for place in places
            ]
        self._jobs[request.job] = Job(request, paintings, blotted=checks(self._safety, request))

    def step(self) -> Iterator[Event]:
        """Advance whoever's turn it is; Working comes before the step, what became of it after."""
        if not self._workshop.idle and (not self._jobs or self._training_is_next):
            yield from self._work_beside()
        elif self._jobs:
            yield from self._paint()
        if not self._jobs or self._workshop.idle:
            self._sharing.settle()
        if self._filed:
            yield from self._hand_out()

    @property
    def _training_is_next(self) -> bool:
        """Whether it has a claim, and no picture waits only to be read or handed out."""
        return self._sharing.training_is_next and short(self._unfinished) is None

    @property
    def _unfinished(self) -> list[Painting]:
        return [one for job in self._jobs.values() for one in job.unfinished]

    def _paint(self) -> Iterator[Event]:
        """One step of the paintings whose turn it is."""
        chosen = self._turns.choose(self._unfinished)
        kind = (chosen[0].stage, len(chosen), chosen[0].size, chosen[0].mix)
        yield from self._announce(tuple(dict.fromkeys(painting.job for painting in chosen)), kind)
        started = time.monotonic()
        failed = self._advance(chosen)
        seconds = time.monotonic() - started
        self._deadlines.took(kind, seconds)
        self._sharing.painted(seconds)
        if kind[0] not in SHORT:
            self._turns.took(seconds)
        self._charge(chosen, seconds)
        yield from self._report(chosen, failed)

    def _work_beside(self) -> Iterator[Event]:
        """One step of a training, or of a look at its pictures."""
        kind = self._workshop.kind
        yield from self._announce((self._workshop.job,), kind)
        started = time.monotonic()
        with self._uncompiled():
            events = self._workshop.step()
        seconds = time.monotonic() - started
        self._deadlines.took(kind, seconds)
        self._sharing.trained(seconds)
        yield from events
        yield from self._rest()

    def _announce(self, jobs: tuple[JobId, ...], kind: Hashable) -> Iterator[StepStarted]:
        """Say who is in the step: whenever that or its kind changes, and now and then."""
        known, at = self._announced
        if (jobs, kind) != known or time.monotonic() - at > ANNOUNCE_SECONDS:
            self._announced = ((jobs, kind), time.monotonic())
            yield StepStarted(jobs=jobs, deadline=self._deadlines.of(kind))

    def _advance(self, chosen: Sequence[Painting]) -> Failed | None:
        """One step for these paintings. An error of several is nobody's yet: each then steps alone."""
        first = chosen[0]
        try:
            self._take_step(chosen)
        except (InvalidRequest, BrokenPicture) as refusal:
            return Failed(job=first.job, reason=str(refusal), expected=True)
        except torch.OutOfMemoryError:
            if self._save_memory(chosen):
                return None
            reason = f"{first.size.width}x{first.size.height} does not fit in the memory here: paint smaller."
            return Failed(job=first.job, reason=reason, expected=True)
        except torch.AcceleratorError:
            raise
        except Exception:
            log.exception("a step of jobs %s failed", [painting.job for painting in chosen])
            if len(chosen) > 1:
                for painting in chosen:
                    painting.alone = True
                return None
            reason = f"something went wrong in the engine while painting job {first.job}; it is in the log."
            return Failed(job=first.job, reason=reason, expected=False)
        for painting in chosen:
            painting.alone = False
        return None

    def _save_memory(self, chosen: Sequence[Painting]) -> bool:
        """After a step ran out of memory: whether it can be tried again in a way that needs less."""
        torch.cuda.empty_cache()
        vae = self._model.base.vae
        if len(chosen) > 1:
            self._turns.shrink(len(chosen))
            return True
        if chosen[0].stage is Stage.DECODE and not vae.use_tiling:
            vae.enable_tiling()
            return True
        return False

    def _take_step(self, chosen: Sequence[Painting]) -> None:
        first = chosen[0]
        match first.stage:
            case Stage.WORDS:
                self._adapters.apply(first.mix)
                first.begin(self._reader, self._refiner_reader, self._adapters.tokens(first.mix))
            case Stage.DECODE:
                image = decode(self._model.base.vae, first.latents)
                flagged = checks(self._safety, first.request) and self._safety.flags([image])[0]
                first.picture = self._files.submit(self._finished, first, image, flagged)
            case stage:
                if stage is Stage.BASE:
                    self._adapters.apply(first.mix)
                unet = self._model.base.unet if stage is Stage.BASE else self._model.refiner.unet
                rows = sum(painting.rows for painting in chosen)
                way = self._uncompiled() if first.applied else nullcontext()
                with self._forwards.timed(first.kind, rows), way:
                    answers = predict(unet, chosen)
                for painting, (asked, predicted) in zip(chosen, answers, strict=True):
                    painting.answer(asked, predicted)

    def _uncompiled(self) -> AbstractContextManager[object]:
        """Within, forwards are not compiled, if any are."""
        return uncompiled() if self._compiled else nullcontext()

    def _finished(self, painting: Painting, image: Image, flagged: bool) -> Picture:
        """The file of a picture, without any bytes if it must not be seen; made beside the steps."""
        request = painting.request
        recipe = Recipe(
            request=request,
            seed=painting.seed,
            variation_seed=painting.variation_seed,
            size=painting.size,
            model=self._model.name,
            model_hash=self._model_hash.get(),
            lora_hashes=self._lora_hashes(request),
        )
        content = b"" if flagged and request.flagged is FlaggedPolicy.REFUSE else png(image, recipe)
        return Picture(
            png=content, seed=painting.seed, width=image.width, height=image.height, flagged=flagged
        )

    def _lora_hashes(self, request: Paint) -> dict[Sha256, str]:
        """Of the LoRAs whose files are still there."""
        hashes = {}
        for use in request.adapters:
            with suppress(OSError):
                hashes[use.sha256] = lora_hash(self._folder, use.sha256)
        return hashes

    def _charge(self, chosen: Sequence[Painting], seconds: float) -> None:
        """Engine time is shared by rows of the batch: guided pictures have two."""
        rows = sum(painting.rows for painting in chosen)
        for painting in chosen:
            self._jobs[painting.job].seconds += seconds * painting.rows / rows

    def _report(self, chosen: Sequence[Painting], failed: Failed | None) -> Iterator[Event]:
        """What the step changed: a failure, finished jobs, or how far the others are."""
        if failed is not None:
            del self._jobs[failed.job]
            yield failed
        for job in [self._jobs[id] for id in dict.fromkeys(one.job for one in chosen) if id in self._jobs]:
            if not job.unfinished:
                self._filed[job.id] = self._jobs.pop(job.id)
            elif progress := job.progress(self._preview):
                yield progress
        yield from self._rest()

    def _hand_out(self) -> Iterator[Event]:
        """What became of the jobs whose files are written; waits for one if nothing else is to do."""
        nothing_else = not self._jobs and self._workshop.idle
        if not any(job.written for job in self._filed.values()):
            unwritten = [file for job in self._filed.values() for file in job.files if not file.done()]
            wait(unwritten, None if nothing_else else FILE_SECONDS, FIRST_COMPLETED)
        for job in [job for job in self._filed.values() if job.written]:
            del self._filed[job.id]
            yield self._result(job)
        yield from self._rest()

    def _result(self, job: Job) -> Painted | Failed:
        """What was painted; of a comparison the sheet."""
        try:
            painted = job.result()
            return self._compared(job.request, painted) if job.request.variants else painted
        except torch.AcceleratorError:
            raise
        except Exception:
            log.exception("the pictures of job %s could not be finished", job.id)
            reason = f"the pictures of job {job.id} could not be finished; it is in the log."
            return Failed(job=job.id, reason=reason, expected=False)

    def _compared(self, request: Paint, painted: Painted) -> Painted:
        """The sheet of what was painted; nothing can be seen on it when one of them must not be seen."""
        flagged = any(one.flagged for one in painted.pictures)
        if not all(one.png for one in painted.pictures):
            return replace(painted, pictures=(replace(painted.pictures[0], png=b"", flagged=True),))
        variants = ways(request, refiner=self._model.refiner is not None)
        picture, scores = compared(request, variants, painted.pictures, self._scorer)
        return replace(painted, pictures=(replace(picture, flagged=flagged),), scores=scores)

    def _rest(self) -> Iterator[Idle]:
        """Say so when nothing is left to do."""
        if self.idle:
            self._announced = (None, 0.0)
            yield Idle()
