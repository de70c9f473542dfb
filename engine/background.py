"""The work besides pictures: short tasks that somebody waits for, and one training at a time."""

import errno
import logging
import math
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from engine.lora.adapters import Adapters
from engine.lora.training_plan import plan_training
from engine.messages import (
    CheckpointSaved,
    Described,
    DescribePicture,
    Event,
    Failed,
    ImportLora,
    Inspect,
    Inspected,
    InvalidRequest,
    JobId,
    LoraImported,
    LoraScores,
    LorasMerged,
    MergeLoras,
    SearchLoras,
    Sha256,
    StopTraining,
    TaskRequest,
    Train,
    TrainingProgress,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.sdxl.prompts import PromptEncoder
from engine.tasks.clip_search import ClipSearch
from engine.tasks.description import PictureDescription
from engine.tasks.lora_import import LoraImport
from engine.tasks.lora_merge import LoraMerge
from engine.training.cost import measure_seconds_per_picture, relative_cost
from engine.training.inspection import Inspection
from engine.training.run import TrainingRun
from engine.vision.captioner import Captioner
from engine.vision.clip_score import ClipScorer
from engine.vision.safety import Safety, flag_check, grey_out_flagged

log = logging.getLogger(__name__)

AnyEvent = TypeVar("AnyEvent", bound=Event)

FULL = (errno.ENOSPC, errno.EDQUOT)
LARGEST_ESTIMATE_BATCH = 4  # pictures in a forward that is timed for an estimate, so that it fits in memory


TaskEvent = Inspected | TrainingProgress | LoraImported | LorasMerged | LoraScores | Described


class BackgroundTask(Protocol):
    """Short work that somebody waits for, in steps. The last step returns its result."""

    @property
    def job(self) -> JobId: ...

    @property
    def kind(self) -> str:
        """Steps of equal kinds have the same deadline."""

    @property
    def unreported(self) -> tuple[Sha256, ...]:
        """What it has put into the store and no event has named yet."""

    def step(self) -> TaskEvent | None:
        """Take the next step. Returns the result once it is done, and maybe how far it is until then."""


class BackgroundWork:
    """The tasks and the training under way. Tasks come first, since they are short.

    An error in one job ends that job with its reason."""

    def __init__(
        self,
        model: Model,
        adapters: Adapters,
        folder: Path,
        shards: Path,
        scorer: ClipScorer,
        safety: Safety,
        captioner: Captioner | None = None,
    ) -> None:
        """folder: of the store. shards: the folder of latents and embeddings."""
        self._model = model
        self._scorer = scorer
        self._safety = safety
        self._captioner = captioner
        self._adapters = adapters
        self._folder = folder
        self._shards = shards
        self._tasks: dict[JobId, BackgroundTask] = {}
        self._spent: defaultdict[JobId, float] = defaultdict(float)  # engine seconds of each task
        self._training: TrainingRun | None = None
        self._seconds_per_pixel: float | None = None  # measured by the last training
        self._estimates: dict[tuple[tuple[int, int], int], float] = {}

    @property
    def idle(self) -> bool:
        return not self._tasks and self._training is None

    @property
    def job(self) -> JobId:
        """The job whose step is next."""
        return self._next().job

    @property
    def kind(self) -> Hashable:
        """The kind of the next step, for its deadline."""
        work = self._next()
        return ("training", work.kind) if isinstance(work, TrainingRun) else work.kind

    def accept(self, request: Train | TaskRequest | StopTraining) -> Iterator[Event]:
        """Start a training or a task, or end a training with what it has."""
        try:
            match request:
                case Inspect():
                    settings = request.training.settings
                    rate = partial(self._rate, settings)
                    self._tasks[request.job] = Inspection(
                        request,
                        self._folder,
                        self._model.side,
                        rate,
                        flag_check(self._safety, request.training),
                        plan_training(request.training, self._adapters).count_parameters(self._adapters),
                        self._captioner,
                        PromptEncoder(self._model.base).count_tokens,
                    )
                case ImportLora():
                    self._tasks[request.job] = LoraImport(request, self._model, self._adapters, self._folder)
                case MergeLoras():
                    self._tasks[request.job] = LoraMerge(request, self._model, self._adapters, self._folder)
                case SearchLoras():
                    self._tasks[request.job] = ClipSearch(request, self._scorer, self._folder)
                case DescribePicture():
                    self._tasks[request.job] = PictureDescription(request, self._captioner, self._folder)
                case Train() if self._training is not None:
                    raise InvalidRequest("Another training runs here. Wait until it has ended.")
                case Train():
                    flags = flag_check(self._safety, request)
                    self._training = TrainingRun(
                        request, self._model, self._adapters, self._folder, flags, self._shards
                    )
                case StopTraining() if self._training is not None and self._training.job == request.job:
                    self._training.stop()
        except InvalidRequest as refusal:
            yield Failed(job=request.job, reason=str(refusal), expected=True)

    def cancel(self, job: JobId) -> tuple[Sha256, ...] | None:
        """Drop this job.

        Returns its files in the store that no event named, or None where it was not here.
        """
        if self._training is not None and self._training.job == job:
            unreported = self._training.unreported
            self._close_training()
            return unreported
        self._spent.pop(job, None)
        task = self._tasks.pop(job, None)
        return task.unreported if task is not None else None

    def step(self) -> Sequence[Event]:
        """Take the next step, and return its events."""
        work, again = self._next(), False
        try:
            return self._advance(work)
        except InvalidRequest as refusal:
            reason, expected = str(refusal), True
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            reason, expected = _memory_reason(work), True
        except torch.AcceleratorError:
            raise
        except Exception as error:
            if again := isinstance(error, OSError) and error.errno in FULL:
                reason, expected = "The bot's disk is full.", True
            else:
                log.exception("A step of job %s failed", work.job)
                reason = f"Something went wrong in the engine with job {work.job}. The log has the error."
                expected = False
        left = self.cancel(work.job) or ()
        return [Failed(job=work.job, reason=reason, expected=expected, left=left, again=again)]

    def _advance(self, work: BackgroundTask | TrainingRun) -> Sequence[Event]:
        if not isinstance(work, TrainingRun):
            began = time.perf_counter()
            result = work.step()
            self._spent[work.job] += time.perf_counter() - began
            if result is None:
                return []
            if isinstance(result, TrainingProgress):
                return [result]
            del self._tasks[work.job]
            seconds = self._spent.pop(work.job)
            if isinstance(result, LoraImported | LorasMerged):
                result = replace(result, seconds=seconds)
            return [hide_flagged(result, self._safety)]
        events = [hide_flagged(event, self._safety) for event in work.step()]
        if work.done:
            self._close_training()
        return events

    def _next(self) -> BackgroundTask | TrainingRun:
        for task in self._tasks.values():
            return task
        if self._training is None:
            raise RuntimeError("there is neither a task nor a training")
        return self._training

    def _close_training(self) -> None:
        if self._training is not None:
            self._seconds_per_pixel = self._training.seconds_per_pixel or self._seconds_per_pixel
            self._training.close()
            self._training = None

    def _rate(self, settings: TrainingSettings, size: tuple[int, int]) -> float:
        """Seconds of training for a picture of this (width, height): measured by a training, or else
        estimated.
        """
        if self._seconds_per_pixel is not None:
            return relative_cost(settings) * self._seconds_per_pixel * math.prod(size)
        key = size, min(settings.batch, LARGEST_ESTIMATE_BATCH)
        if key not in self._estimates:
            self._adapters.activate(())
            self._estimates[key] = measure_seconds_per_picture(self._model, *key)
        return relative_cost(settings) * self._estimates[key]


def hide_flagged(event: AnyEvent, safety: Safety) -> AnyEvent:
    """The event with grey pictures in place of those that the safety check flags."""
    match event:
        case CheckpointSaved():
            return replace(event, samples=tuple(grey_out_flagged(safety, sample) for sample in event.samples))
        case LoraImported():
            return replace(event, picture=grey_out_flagged(safety, event.picture))
        case LorasMerged():
            pictures = grey_out_flagged(safety, event.picture), grey_out_flagged(safety, event.sheet)
            return replace(event, picture=pictures[0], sheet=pictures[1])
    return event


def _memory_reason(work: BackgroundTask | TrainingRun) -> str:
    advice = "Lower --resolution" if isinstance(work, TrainingRun | Inspection) else "Try again later"
    return f"There is not enough memory here. {advice}."
