"""What goes on beside the pictures: looks at what people send, merges, and one training at a time."""

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
from engine.messages import (
    CheckpointSaved,
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
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.tasks.clip_search import Likening
from engine.tasks.lora_import import Admission
from engine.tasks.lora_merge import Merging
from engine.training.inspection import Inspection
from engine.training.training import Training, effort, seconds_per_picture
from engine.vision.clip_score import Scorer
from engine.vision.safety import Safety, flags_of, screened

log = logging.getLogger(__name__)

Told = TypeVar("Told", bound=Event)

FULL = (errno.ENOSPC, errno.EDQUOT)
MOST_GUESSED = 4  # pictures in the forward whose time an estimate is made from: more need too much memory


class Looking(Protocol):
    """Something short that somebody waits for, advanced a step at a time; it ends with what it found."""

    @property
    def job(self) -> JobId: ...

    @property
    def kind(self) -> str:
        """What its steps are like, for their deadline."""

    @property
    def untold(self) -> tuple[Sha256, ...]:
        """What it has put into the store and not told yet."""

    def step(self) -> Inspected | LoraImported | LorasMerged | LoraScores | None:
        """Go on; what was found, once it is."""


class Workshop:
    """Looks come first, for they are short; a fault in one job ends that job with its reason."""

    def __init__(
        self, model: Model, adapters: Adapters, folder: Path, scorer: Scorer, safety: Safety
    ) -> None:
        self._model = model
        self._scorer = scorer
        self._safety = safety
        self._adapters = adapters
        self._folder = folder
        self._looks: dict[JobId, Looking] = {}
        self._spent: defaultdict[JobId, float] = defaultdict(float)  # engine seconds of each look
        self._training: Training | None = None
        self._seconds_per_pixel: float | None = None  # measured by the last training
        self._guessed: dict[tuple[tuple[int, int], int], float] = {}

    @property
    def idle(self) -> bool:
        return not self._looks and self._training is None

    @property
    def job(self) -> JobId:
        """Whose step is next."""
        return self._next().job

    @property
    def kind(self) -> Hashable:
        """What the next step is like, for its deadline."""
        one = self._next()
        return ("training", one.kind) if isinstance(one, Training) else one.kind

    def accept(self, request: Train | TaskRequest | StopTraining) -> Iterator[Event]:
        """Take on a training or something to look at, or end a training with what it has."""
        try:
            match request:
                case Inspect():
                    rate = partial(self._rate, request.training.settings)
                    self._looks[request.job] = Inspection(
                        request,
                        self._folder,
                        self._model.side,
                        rate,
                        flags_of(self._safety, request.training),
                    )
                case ImportLora():
                    self._looks[request.job] = Admission(request, self._model, self._adapters, self._folder)
                case MergeLoras():
                    self._looks[request.job] = Merging(request, self._model, self._adapters, self._folder)
                case SearchLoras():
                    self._looks[request.job] = Likening(request, self._scorer, self._folder)
                case Train() if self._training is not None:
                    raise InvalidRequest("another training is under way here: wait until it has ended.")
                case Train():
                    flags = flags_of(self._safety, request)
                    self._training = Training(request, self._model, self._adapters, self._folder, flags)
                case StopTraining() if self._training is not None and self._training.job == request.job:
                    self._training.stop()
        except InvalidRequest as refusal:
            yield Failed(job=request.job, reason=str(refusal), expected=True)

    def cancel(self, job: JobId) -> tuple[Sha256, ...] | None:
        """Let this job go; what it leaves in the store, None if it was not here."""
        if self._training is not None and self._training.job == job:
            left = self._training.untold
            self._close_training()
            return left
        self._spent.pop(job, None)
        look = self._looks.pop(job, None)
        return look.untold if look is not None else None

    def step(self) -> Sequence[Event]:
        """Advance whoever is next, and tell what became of it."""
        one, again = self._next(), False
        try:
            return self._advance(one)
        except InvalidRequest as refusal:
            reason, expected = str(refusal), True
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            reason, expected = _no_memory(one), True
        except torch.AcceleratorError:
            raise
        except Exception as error:
            if again := isinstance(error, OSError) and error.errno in FULL:
                reason, expected = "The bot's disk is full.", True
            else:
                log.exception("a step of job %s failed", one.job)
                reason = f"something went wrong in the engine at job {one.job}; it is in the log."
                expected = False
        left = self.cancel(one.job) or ()
        return [Failed(job=one.job, reason=reason, expected=expected, left=left, again=again)]

    def _advance(self, one: Looking | Training) -> Sequence[Event]:
        if not isinstance(one, Training):
            began = time.perf_counter()
            report = one.step()
            self._spent[one.job] += time.perf_counter() - began
            if report is None:
                return []
            del self._looks[one.job]
            seconds = self._spent.pop(one.job)
            if isinstance(report, LoraImported | LorasMerged):
                report = replace(report, seconds=seconds)
            return [shown(report, self._safety)]
        events = [shown(event, self._safety) for event in one.step()]
        if one.done:
            self._close_training()
        return events

    def _next(self) -> Looking | Training:
        for look in self._looks.values():
            return look
        if self._training is None:
            raise RuntimeError("nothing goes on beside the pictures")
        return self._training

    def _close_training(self) -> None:
        if self._training is not None:
            self._seconds_per_pixel = self._training.seconds_per_pixel or self._seconds_per_pixel
            self._training.close()
            self._training = None

    def _rate(self, settings: TrainingSettings, size: tuple[int, int]) -> float:
        """Seconds of training that a picture of this (width, height) takes: measured, or guessed once."""
        if self._seconds_per_pixel is not None:
            return effort(settings) * self._seconds_per_pixel * math.prod(size)
        like = size, min(settings.batch, MOST_GUESSED)
        if like not in self._guessed:
            self._adapters.activate(())
            self._guessed[like] = seconds_per_picture(self._model, *like)
        return effort(settings) * self._guessed[like]


def shown(event: Told, safety: Safety) -> Told:
    """The event without pictures that the safety check flags."""
    match event:
        case CheckpointSaved():
            return replace(event, samples=tuple(screened(safety, one) for one in event.samples))
        case LoraImported():
            return replace(event, picture=screened(safety, event.picture))
        case LorasMerged():
            pictures = screened(safety, event.picture), screened(safety, event.sheet)
            return replace(event, picture=pictures[0], sheet=pictures[1])
    return event


def _no_memory(one: Looking | Training) -> str:
    advice = "lower the resolution" if isinstance(one, Training | Inspection) else "try it again later"
    return f"there is not enough memory here: {advice}."
