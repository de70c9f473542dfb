"""The studio: all jobs under way in the engine, advanced one small step at a time."""

import logging
from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from engine.background import BackgroundWork
from engine.batching import Batcher, short_step
from engine.deadline import Deadlines
from engine.finish import Finisher
from engine.forward_cost import ForwardCost
from engine.job import Job
from engine.lora.adapters import Adapters
from engine.messages import (
    Cancel,
    Cancelled,
    EngineSettings,
    Event,
    Failed,
    Idle,
    InvalidRequest,
    JobId,
    JobRequest,
    Paint,
    StopTraining,
    TaskRequest,
    picture_seeds,
)
from engine.picture_files import PictureFiles
from engine.runners.choice import make_runners
from engine.sdxl.cross_attention import make_projection
from engine.sdxl.fast_steps import ReusingUnet
from engine.sdxl.latent_decoder import BrokenPicture, Decoding
from engine.sdxl.model import Model
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.preview import fit_preview
from engine.sdxl.prompts import EmbeddingCache, PromptEncoder
from engine.sdxl.source_picture import SourcePictures
from engine.step_clock import make_clock
from engine.step_queue import Step, StepQueue
from engine.tasks.comparison import paintable_variants, variant_requests
from engine.time_share import TimeShare
from engine.vision.captioner import load_captioner
from engine.vision.clip_score import ClipScorer
from engine.vision.safety import is_checked, load_safety

EMBEDDING_CACHE = 64 * 2**20  # bytes: rerolls and pictures of one job have the same prompts
END = object()  # of steps

log = logging.getLogger(__name__)


class Studio:
    """The jobs under way and the model that they share.

    `accept` takes a request at once. `step` advances pictures or background work, each with its share of the
    time while both have something to do. An error in one job ends that job with its reason, and the others go
    on. Only an error that breaks the device is raised: torch.AcceleratorError.
    """

    def __init__(self, model: Model, settings: EngineSettings) -> None:
        self._model = model
        folder = Path(settings.files)
        self._adapters = Adapters(model.base, folder, settings.adapter_cache_mb * 2**20)
        self._scorer = ClipScorer(settings, model.device)
        self._safety = load_safety(settings, model.device)
        captioner = load_captioner(settings, model.device)
        self._background = BackgroundWork(
            model, self._adapters, folder, settings.shards_folder, self._scorer, self._safety, captioner
        )
        self._time_share = TimeShare(settings.training_share)
        cache = EmbeddingCache(EMBEDDING_CACHE)
        # Blocks are compiled for a text's states, so that a projection would have them compiled again.
        encoders = [
            PromptEncoder(pipeline, cache, None if settings.compile else make_projection(pipeline.unet))
            for pipeline in (model.base, model.refiner)
            if pipeline is not None
        ]
        self._prompt_encoder = encoders[0]
        self._refiner_encoder = encoders[1] if len(encoders) > 1 else None
        self._runners = make_runners(model, ReusingUnet(model.base.unet), settings)
        self._preview = fit_preview(model.base.vae)
        self._forward_cost = ForwardCost(make_clock(model.device))
        self._batcher = Batcher(settings.largest_batch, self._forward_cost)
        self._jobs: dict[JobId, Job] = {}
        self._files = PictureFiles(model, settings, self._scorer)
        sources = SourcePictures(folder, model, encoders[0], None if captioner is None else captioner.caption)
        self._finisher = Finisher(model, settings, self._safety, self._files, sources)
        self._steps = StepQueue(make_clock(model.device), Deadlines(settings.deadline_floor_seconds))

    @property
    def idle(self) -> bool:
        return not self._jobs and self._files.idle and self._background.idle

    @property
    def can_prepare(self) -> bool:
        """Whether there is something to prepare while nobody waits."""
        return any(runner.can_prepare for runner in self._runners)

    def prepare_next(self) -> None:
        """Prepare forwards of one kind, in part of a second or in the background. Then they are faster."""
        for runner in self._runners:
            if runner.can_prepare:
                runner.prepare_next()
                return

    @property
    def is_preparing(self) -> bool:
        """Whether something is being prepared in the background."""
        return any(runner.is_preparing for runner in self._runners)

    def join(self) -> None:
        """Wait until nothing is being prepared in the background."""
        for runner in self._runners:
            runner.join()

    def accept(self, request: JobRequest | TaskRequest | StopTraining | Cancel) -> Iterator[Event]:
        """Start a job or a task, or stop one."""
        match request:
            case Cancel():
                job = self._jobs.pop(request.job, None) or self._files.cancel(request.job)
                unreported = () if job is not None else self._background.cancel(request.job)
                if unreported is not None:
                    yield Cancelled(job=request.job, left=unreported)
                    yield from self._report_idle()
            case Paint():
                yield from self._accept_picture(request)
            case _:
                yield from self._background.accept(request)

    def _accept_picture(self, request: Paint) -> Iterator[Event]:
        """Start a job of pictures, or fail it: an error in one request never ends the engine."""
        try:
            self._begin_pictures(request)
        except InvalidRequest as refusal:
            yield Failed(job=request.job, reason=str(refusal), expected=True)
        except torch.AcceleratorError:
            raise
        except Exception:
            log.exception("Job %s could not be started", request.job)
            reason = f"Something went wrong in the engine with job {request.job}. The log has the error."
            yield Failed(job=request.job, reason=reason, expected=False)

    def _begin_pictures(self, request: Paint) -> None:
        """Plan the paintings of a request. Raises InvalidRequest."""
        size = self._finisher.resolve_size(request)
        if request.variants:
            requests = variant_requests(
                request, paintable_variants(request, refiner=self._model.refiner is not None)
            )
            paintings = [
                Painting(variant, *picture_seeds(variant, 1), size, self._model) for variant in requests
            ]
        else:
            places = range(1, request.count + 1)
            paintings = [
                Painting(request, *picture_seeds(request, place), size, self._model) for place in places
            ]
        for painting in paintings:
            if request.denoises:
                self._begin_loading(painting)
                painting.finish_steps = self._finisher.count_steps(request, size.width, size.height)
        self._jobs[request.job] = Job(request, paintings, coarse=is_checked(self._safety, request))

    def _begin_loading(self, painting: Painting) -> None:
        """Have its adapters loaded, where they are not."""
        if not self._adapters.is_loaded(painting.adapter_mix):
            painting.loading = self._adapters.load_in_steps(painting.adapter_mix)

    def step(self) -> Iterator[Event]:
        """Take the next step. StepStarted comes before it, the events of the step after it."""
        self._steps.collect()
        paintings = self._paintings
        if not self._background.idle and (not paintings or self._training_is_next(paintings)):
            yield from self._step_background()
        elif paintings:
            yield from self._step_pictures(paintings)
        elif self._jobs:
            self._wait_for_pixels()
        if not self._jobs or self._background.idle:
            self._time_share.reset()
        if not self._files.idle:
            yield from self._report_finished()

    def _training_is_next(self, paintings: Sequence[Painting]) -> bool:
        """Whether background work is due, and no picture waits for a short step."""
        return self._time_share.training_is_next and short_step(paintings) is None

    @property
    def _paintings(self) -> list[Painting]:
        """Those that can take a step."""
        unfinished = [painting for job in self._jobs.values() for painting in job.unfinished]
        return [
            painting
            for painting in unfinished
            if not painting.waits_for_device and not painting.waits_for_parts
        ]

    def _wait_for_pixels(self) -> None:
        """Wait until the device has decoded a picture, since there is nothing else to do."""
        for job in self._jobs.values():
            for painting in job.unfinished:
                if painting.waits_for_device and painting.decoding is not None:
                    painting.decoding.wait()
                    return

    def _step_pictures(self, paintings: Sequence[Painting]) -> Iterator[Event]:
        """Take one step of those of the paintings that the batcher chooses."""
        chosen = self._batcher.choose(paintings)
        kind = (chosen[0].stage, len(chosen), chosen[0].size, chosen[0].adapter_mix)
        step = Step(jobs=tuple(dict.fromkeys(painting.job for painting in chosen)), kind=kind)
        yield from self._steps.announce(step)
        with self._steps.measure(step, partial(self._charge, self._shares(chosen), self._batcher.turn)):
            failed = self._advance(chosen)
        yield from self._report(chosen, failed)

    def _step_background(self) -> Iterator[Event]:
        """Take one step of a training or a task."""
        step = Step(jobs=(self._background.job,), kind=self._background.kind)
        yield from self._steps.announce(step)
        with self._steps.measure(step, self._time_share.record_training):
            events = self._background.step()
        yield from events
        yield from self._report_idle()

    def _shares(self, chosen: Sequence[Painting]) -> list[tuple[Job, float]]:
        """The share of each painting's job in a step of these, in proportion to their rows."""
        rows = sum(painting.rows for painting in chosen)
        return [(self._jobs[painting.job], painting.rows / rows) for painting in chosen]

    def _charge(self, shares: Sequence[tuple[Job, float]], turn: Hashable, seconds: float) -> None:
        """Charge a step of pictures to their jobs, to this turn of the batcher, and to pictures in all."""
        self._time_share.record_painting(seconds)
        self._batcher.record(turn, seconds)
        for job, share in shares:
            job.seconds += share * seconds

    def _advance(self, chosen: Sequence[Painting]) -> Failed | None:
        """Take one step of these paintings.

        After an error of several at once, each takes the next step alone.
        """
        first = chosen[0]
        try:
            self._take_step(chosen)
        except (InvalidRequest, BrokenPicture) as refusal:
            return Failed(job=first.job, reason=str(refusal), expected=True)
        except torch.OutOfMemoryError:
            if self._save_memory(chosen):
                return None
            size = f"{first.size.width}x{first.size.height}"
            reason = f"{size} does not fit in the memory here. Choose a smaller --size."
            return Failed(job=first.job, reason=reason, expected=True)
        except torch.AcceleratorError:
            raise
        except Exception:
            log.exception("A step of jobs %s failed", [painting.job for painting in chosen])
            if len(chosen) > 1:
                for painting in chosen:
                    painting.alone = True
                return None
            reason = f"Something went wrong in the engine with job {first.job}. The log has the error."
            return Failed(job=first.job, reason=reason, expected=False)
        for painting in chosen:
            painting.alone = False
        return None

    def _save_memory(self, chosen: Sequence[Painting]) -> bool:
        """After a step ran out of memory, make the next need less. Returns whether that was possible."""
        torch.cuda.empty_cache()
        vae = self._model.base.vae
        if len(chosen) > 1:
            self._batcher.limit_batch(len(chosen))
            return True
        if chosen[0].stage is Stage.DECODE and not vae.use_tiling:
            vae.enable_tiling()
            return True
        return False

    def _take_step(self, chosen: Sequence[Painting]) -> None:
        first = chosen[0]
        match first.stage:
            case Stage.LOAD:
                self._load(first)
            case Stage.SOURCE:
                self._adapters.apply(())  # words are found by the model alone
                self._finisher.read_source(first)
            case Stage.WORDS:
                self._adapters.apply(first.adapter_mix)
                first.begin(
                    self._prompt_encoder,
                    self._refiner_encoder,
                    self._adapters.tokens(first.adapter_mix),
                    self._adapters.text_mix(first.adapter_mix),
                )
            case Stage.DECODE:
                first.decoding = first.decoding or Decoding(self._runners.decoder, first.latents)
                first.decoding.start()
                if first.decoding.ready:  # as on a CPU
                    self._finisher.read(first, first.decoding)
            case Stage.READ if first.decoding is not None:
                self._finisher.read(first, first.decoding)
            case Stage.FINISH:
                for part in self._finisher.take_step(first):
                    self._begin_loading(part)
            case stage:
                if stage is Stage.BASE:
                    self._adapters.apply(first.adapter_mix)
                exact = self._runners.base if stage is Stage.BASE else self._runners.refiner
                unet = exact if first.fast_step is None else self._runners.fast
                rows = sum(painting.rows for painting in chosen)
                with self._forward_cost.measure(first.cost_kind, rows):
                    predictions = predict(unet, chosen)
                for painting, (model_input, predicted) in zip(chosen, predictions, strict=True):
                    painting.apply_prediction(model_input, predicted)

    def _load(self, painting: Painting) -> None:
        """Load a part of the painting's adapters, for all paintings that wait for these.

        One that others have unloaded in between is loaded when the painting begins.
        """
        mix = painting.adapter_mix
        is_done = self._adapters.is_loaded(mix) or next(painting.loading or iter(()), END) is END
        if is_done:
            for job in self._jobs.values():
                for other in job.all_paintings:
                    if other.adapter_mix == mix:
                        other.loading = None

    def _report(self, chosen: Sequence[Painting], failed: Failed | None) -> Iterator[Event]:
        """Events of a step: a failure, or how far its jobs are.

        Jobs that are decoded wait for their files.
        """
        if failed is not None:
            del self._jobs[failed.job]
            yield failed
        ids = dict.fromkeys(painting.job for painting in chosen)
        for job in [self._jobs[id] for id in ids if id in self._jobs]:
            if not job.unfinished:
                self._files.add(self._jobs.pop(job.id))
            else:
                job.begin_preview()
        for job in self._jobs.values():
            if progress := job.take_progress(self._preview, self._files.threads):
                yield progress
        yield from self._report_idle()

    def _report_finished(self) -> Iterator[Event]:
        """Events of the jobs whose files are ready. Waits for one where nothing else is to do."""
        self._steps.collect()
        yield from self._files.take_results(patient=not self._jobs and self._background.idle)
        yield from self._report_idle()

    def _report_idle(self) -> Iterator[Idle]:
        """Yield Idle where nothing is left to do."""
        if self.idle:
            self._steps.rest()
            yield Idle()
