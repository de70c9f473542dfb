"""A training on its way: a stepper like a painting, on the same resident model.

Its life is written down as a generator that stops wherever the engine may look up: between micro-steps, looks
at pictures, forwards of its samples. What is painted in between changes nothing of it.
"""

import math
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from engine.job_store import JobStore
from engine.lora.adapters import Adapters
from engine.messages import (
    SIDE,
    SIDE_MULTIPLE,
    CheckpointSaved,
    Event,
    InvalidRequest,
    JobId,
    Paint,
    Prior,
    Sha256,
    Size,
    Train,
    Trained,
    TrainingProgress,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.painting import Painting
from engine.training.adapter_metadata import metadata
from engine.training.batches import Lessons, class_caption
from engine.training.dataset import Examiner, Item, planned_steps
from engine.training.loss import Rows, errors
from engine.training.optimizers import odd_rate
from engine.training.run_state import Course, resumed
from engine.training.sample_images import asked, rehearsed, shown
from engine.training.state_file import BrokenState, packed, unpacked
from engine.training.trainer import Learner, precision
from engine.training.validation import NOTHING, Checkpoint, Measure, best, candidates, split, stale
from engine.vision.safety import Flags

TOLD_SECONDS = 0.25  # at most so often, for chats cannot show more
READING, CLASS, LEARNING, SAMPLING = "reading the pictures", "painting the class", "learning", "sampling"

Steps = Iterator[None]


class Diverged(Exception):
    """The loss is no number any more."""


class Training:
    """One training; `step` until `done`, then or at any time before `close`.

    `kind` tells what the next step is like, for its deadline. Errors come out of `step` and end it:
    InvalidRequest with a sentence for the person, torch.OutOfMemoryError, and what nobody thought of.
    """

    def __init__(
        self, request: Train, model: Model, adapters: Adapters, folder: Path, flags: Flags | None = None
    ) -> None:
        """`flags` tells of a picture whether it is to be left out.

        Raises InvalidRequest for settings that this model cannot be trained with.
        """
        self.request = request
        self.done = False
        self.kind: Hashable = None
        self._model = model
        self._adapters = adapters
        self._store = JobStore(folder)
        self._examiner = Examiner(request, folder, model.side, flags)
        self._lessons = Lessons(request.settings, model, folder)
        precision(request.settings.precision, model)
        adapters.targets(request.settings)
        steps = planned_steps(request.settings, len(request.examples))
        self._course = Course(settings=request.settings, steps=steps, began=time.time())
        self._learner: Learner | None = None
        self._items: list[Item] = []
        self._untaught: list[torch.Tensor] = []  # the model's answers to the rows that validate
        self._outbox: list[Event] = []
        self._stopping = False
        self._phase, self._told = "", 0.0
        self._began, self._began_at, self._spent = 0.0, 0, 0.0
        self._life = self._lived()
        next(self._life)

    @property
    def job(self) -> JobId:
        return self.request.job

    @property
    def untold(self) -> tuple[Sha256, ...]:
        """What it has put into the store and not told yet: the state, before the adapter is there too."""
        return self._store.untold

    @property
    def seconds_per_pixel(self) -> float | None:
        """What a pixel cost so far, without a prior; None before that is known."""
        done = self._course.step - self._began_at
        settings = self._course.settings
        if not done or not self._items:
            return None
        pixels = sum(math.prod(item.size) for item in self._items) / len(self._items)
        shown = done * settings.batch * settings.accumulation * pixels
        return self._spent / (shown * effort(settings))

    def stop(self) -> None:
        """End after the step that runs and keep what there is."""
        self._stopping = True

    def step(self) -> Sequence[Event]:
        """Advance by one step, and tell what became of it."""
        started, learning = time.monotonic(), self._phase == LEARNING
        try:
            next(self._life)
        except StopIteration:
            self.done = True
        finally:
            seconds = time.monotonic() - started
            self._course.seconds += seconds
            self._spent += seconds if learning else 0.0
        events, self._outbox = self._outbox, []
        for event in events:
            self._store.hand_over(event)
        return events

    def close(self) -> None:
        """Leave the model as it was."""
        self._life.close()
        if self._learner is not None:
            self._model.base.unet.disable_gradient_checkpointing()
            self._learner.close()
            self._learner = None

    def _lived(self) -> Generator[None]:
        yield from self._read()
        learner = self._learner = self._begun()
        if self._course.settings.class_prior is Prior.PICTURES:
            yield from self._paint_class(learner)
        if not self._course.step:
            yield from self._see_untrained(learner)
        self._began, self._began_at = time.monotonic(), self._course.step
        try:
            while not self._ended():
                yield from self._optimize(learner)
                if self._course.due or self._stopping:
                    yield from self._save(learner)
        except Diverged:
            self._give_up()
        self._outbox.append(self._result())

    def _turn(self, phase: str, *like: Hashable) -> Steps:
        """Here the engine may look up; what follows is of this phase, and takes about as long as its like."""
        self.kind = (phase, *like)
        now = time.monotonic()
        if phase != self._phase or now - self._told >= TOLD_SECONDS:
            self._phase, self._told = phase, now
            self._outbox.append(self._progress(now))
        yield
        if self._stopping and not self._course.step and self.request.resume is None:
            raise InvalidRequest("it was stopped before its first step, so there is nothing to keep.")

    def _progress(self, now: float) -> TrainingProgress:
        course, done = self._course, self._course.step - self._began_at
        left = (course.steps - course.step) * (now - self._began) / done if self._began and done else None
        return TrainingProgress(
            job=self.job,
            step=course.step,
            steps=course.steps,
            phase=self._phase,
            loss=course.smoothed,
            left=left,
        )

    def _read(self) -> Steps:
        """Look at the pictures, then encode those that are used."""
        while not self._examiner.done:
            yield from self._turn(READING)
            self._examiner.step()
        self._items = self._examiner.items
        if not self._items:
            raise InvalidRequest(" ".join(self._examiner.problems))
        self._course.steps = planned_steps(self.request.settings, len(self._items))
        self._adapters.activate(())
        for _ in self._lessons.encode(*split(self._items, self.request.settings)):
            yield from self._turn(READING)

    def _begun(self) -> Learner:
        """What will learn, from the beginning or from where the saved state left off."""
        learner = Learner(self.request, self._model, self._adapters, self._course.steps)
        if self.request.resume is None:
            self._save_memory(learner)
            return learner
        try:
            state = unpacked(self._store.get(self.request.resume))
            self._course = resumed(state["course"], self.request)
            learner.restore(state["learner"])
        except (OSError, BrokenState, InvalidRequest) as error:
            learner.close()
            if isinstance(error, InvalidRequest):
                raise
            raise InvalidRequest("the state to go on from is gone: start the training again.") from error
        self._save_memory(learner)
        return learner

    def _save_memory(self, learner: Learner) -> None:
        """Do what the settings, as far as they were lowered, say against a want of memory."""
        learner.forget()
        if self._course.settings.checkpointing:
            self._model.base.unet.enable_gradient_checkpointing()
        else:
            self._model.base.unet.disable_gradient_checkpointing()

    def _paint_class(self, learner: Learner) -> Steps:
        """Paint pictures of the class with the model as it is: latents are enough to learn from."""
        settings = self._course.settings
        captions = [class_caption(item.caption, self.request.trigger) for item in self._items]
        prompts = [captions[number % len(captions)] for number in range(settings.prior_pictures)]
        requests = asked(self.job, prompts, settings.seed % 2**62, self._size)
        paintings = yield from self._painted(CLASS, learner.rest, requests, ())
        for painting, caption in zip(paintings, prompts, strict=True):
            self._lessons.remember(caption, painting.latents, self._size)

    @property
    def _size(self) -> Size:
        """The square that is trained at, or the smallest that is painted."""
        side = max(SIDE[0], self.request.settings.resolution or self._model.side)
        side -= side % SIDE_MULTIPLE
        return Size(width=side, height=side)

    def _see_untrained(self, learner: Learner) -> Steps:
        """Validate and paint before anything is learned: all that follows is compared with it."""
        untaught = yield from self._measured(learner)
        self._course.untaught = untaught.loss
        samples = yield from self._samples(learner)
        self._outbox.append(
            CheckpointSaved(
                job=self.job, step=0, adapter=None, state=None, validation=untaught.loss, samples=samples
            )
        )

    def _ended(self) -> bool:
        course = self._course
        if self._stopping and course.step == course.saved:
            if course.step < course.steps:
                course.notes.append(f"It was stopped at step {course.step} of {course.steps}.")
            return True
        patience = course.settings.patience
        if patience and stale(course.checkpoints, course.steps) >= patience and course.step < course.steps:
            course.notes.append(f"It ended at step {course.step}: it had stopped getting better.")
            return True
        return course.step >= course.steps

    def _optimize(self, learner: Learner) -> Steps:
        """One optimizer step; a step that runs out of memory is begun again in a way that needs less."""
        try:
            loss = yield from self._gradients(learner)
        except torch.OutOfMemoryError:
            self._course.need_less()
            self._save_memory(learner)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return
        yield from self._turn(LEARNING, "step")
        if not math.isfinite(value := float(loss)):
            raise Diverged
        learner.end_step()
        self._course.took(value)

    def _gradients(self, learner: Learner) -> Generator[None, None, torch.Tensor]:
        """Micro-batch after micro-batch; returns the mean error on the training's pictures."""
        course, settings = self._course, self._course.settings
        learner.begin_step(course.step)
        share = 1 / settings.accumulation
        total = torch.zeros((), device=self._model.device)
        for part in range(settings.accumulation):
            number = course.step * settings.accumulation + part
            rows = self._lessons.rows(number, settings.batch)
            known = yield from self._known(learner, rows, number)
            if known is not None and self._fit(rows, known):
                rows, known = rows.beside(known, settings.prior_weight), None
            yield from self._turn(LEARNING, len(rows))
            total += share * learner.backward(rows, 2 * number, share, own=settings.batch)
            if known is not None:
                yield from self._turn(LEARNING, len(known))
                learner.backward(known, 2 * number + 1, settings.prior_weight * share)
        return total

    def _known(self, learner: Learner, rows: Rows, number: int) -> Generator[None, None, Rows | None]:
        """What keeps the class as it was, if it is to be kept: its own pictures, or what the untaught model
        answers in the place of these rows."""
        settings = self._course.settings
        if settings.class_prior is Prior.NONE:
            return None
        if settings.class_prior is Prior.PICTURES:
            return self._lessons.class_rows(number, settings.batch)
        yield from self._turn(LEARNING, "untaught", settings.batch)
        captions = [class_caption(caption, self.request.trigger) for caption in rows.captions]
        untaught = rows.told(captions, rows.target)
        return untaught.told(captions, learner.untaught(untaught))

    def _fit(self, rows: Rows, known: Rows) -> bool:
        """Whether both go through the model at once, which takes less than one after the other."""
        return self._course.together and rows.noisy.shape[1:] == known.noisy.shape[1:]

    def _measured(self, learner: Learner) -> Generator[None, None, Checkpoint]:
        """How good the adapter is on the pictures held out, always under the same noise."""
        measure = Measure()
        for number in range(self._lessons.held):
            rows = self._lessons.held_rows(number)
            if number == len(self._untaught):
                yield from self._turn(SAMPLING, "validation")
                self._untaught.append(learner.untaught(rows))
            yield from self._turn(SAMPLING, "validation")
            taught = learner.taught(rows)
            measure.add(errors(taught, rows), taught, self._untaught[number])
        return measure.checkpoint(self._course.step)

    def _samples(self, learner: Learner) -> Generator[None, None, tuple[bytes, ...]]:
        """A picture of each sample prompt with what is learned; none when there is no memory for them."""
        requests = asked(self.job, self.request.prompts, 0, self._size)
        try:
            paintings = yield from self._painted(SAMPLING, learner.use, requests, learner.tokens)
            return tuple(shown(self._model, painting) for painting in paintings)
        except torch.OutOfMemoryError:
            self._course.notes.append(f"There was no memory for samples at step {self._course.step}.")
            return ()

    def _save(self, learner: Learner) -> Steps:
        """Put the adapter and the state into the store, with how good it is and what it paints."""
        course = self._course
        checkpoint = yield from self._measured(learner)
        if not math.isfinite(checkpoint.loss):
            raise Diverged
        course.checkpoints.append(checkpoint)
        since = course.checkpoints[-2].step if len(course.checkpoints) > 1 else 0
        yield from self._turn(SAMPLING, "saving")
        state = self._store.put_bytes(
            packed({"course": course.state(self.request), "learner": learner.state()})
        )
        samples = yield from self._samples(learner)
        yield from self._turn(SAMPLING, "saving")
        adapter = self._store.put_bytes(self._file(learner, samples))
        self._outbox.append(
            CheckpointSaved(
                job=self.job,
                step=course.step,
                adapter=adapter,
                state=state,
                validation=checkpoint.loss,
                losses=tuple(course.losses[since:]),
                samples=samples,
            )
        )

    def _file(self, learner: Learner, samples: Sequence[bytes]) -> bytes:
        """The adapter's file, read again and compared with what is in training."""
        course = self._course
        told = metadata(
            self.request,
            self._items,
            side=self._model.side,
            step=course.step,
            losses=course.losses,
            validation=course.checkpoints[-1].loss,
            written=datetime.fromtimestamp(course.began, UTC),
            note=" ".join(course.notes),
            thumbnail=samples[0] if samples else None,
        )
        return learner.file(told)

    def _painted(
        self, phase: str, use: Callable[[], None], requests: Sequence[Paint], tokens: Sequence[TokenVectors]
    ) -> Generator[None, None, list[Painting]]:
        """Paint these, not yet decoded, with looks up in between."""
        painting = rehearsed(self._model, requests, use, tokens)
        while True:
            yield from self._turn(phase, "painting")
            try:
                next(painting)
            except StopIteration as end:
                return list(end.value)

    def _give_up(self) -> None:
        """The loss is no number any more: what was saved last is still good. Raises without any."""
        course = self._course
        if not course.checkpoints:
            raise InvalidRequest(
                f"the loss was no number any more at step {course.step + 1}, before anything was saved: "
                "lower the learning rate."
            )
        course.notes.append(
            f"The loss was no number any more after step {course.step}; the checkpoints before it are kept."
        )

    def _result(self) -> Trained:
        course = self._course
        chosen = best(course.checkpoints, course.steps, course.untaught)
        if chosen is None:
            raise InvalidRequest("nothing was saved, so there is nothing to keep.")
        if chosen.effect < NOTHING:
            reason = odd_rate(course.settings) or "Try more steps, a higher learning rate or other layers."
            course.notes.append(f"It learned nothing: the model paints as it does without the LoRA. {reason}")
        return Trained(
            job=self.job,
            best=chosen.step,
            candidates=candidates(course.checkpoints, chosen, course.steps),
            step=course.step,
            seconds=course.seconds,
            new_tokens=self.request.settings.new_tokens,
            note=" ".join(course.notes),
        )


def effort(settings: TrainingSettings) -> float:
    """What a picture costs in training, in pictures without a prior: a prior is as many rows again, and asks
    the untaught model first, which is a third of them; where few rows cost little, it is less."""
    return {Prior.NONE: 1.0, Prior.PICTURES: 2.0, Prior.PREDICTION: 7 / 3}[settings.class_prior]


@torch.no_grad()
def seconds_per_picture(model: Model, size: tuple[int, int], batch: int) -> float:
    """About what it takes to learn from a picture of this (width, height), in batches: three times the UNet's
    forward.

    Backward costs twice a forward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
    """
    width, height = (side // model.factor for side in size)
    unet, device, precision = model.base.unet, model.device, model.precision
    pooled = model.base.text_encoder_2.config.projection_dim
    told = {
        "text_embeds": torch.zeros(batch, pooled, device=device, dtype=precision),
        "time_ids": torch.zeros(batch, 6, device=device, dtype=precision),
    }
    words = torch.zeros(batch, 77, unet.config.cross_attention_dim, device=device, dtype=precision)
    latents = torch.zeros(batch, unet.config.in_channels, height, width, device=device, dtype=precision)
    taken = []
    for _ in range(2):  # the first one warms up
        started = time.monotonic()
        float(unet(latents, 500, words, added_cond_kwargs=told, return_dict=False)[0].sum())
        taken.append(time.monotonic() - started)
    return 3 * min(taken) / batch
