"""The run of a training: from its pictures to its result, in small steps on the resident model.

It is a generator that pauses wherever the engine may take other work: between pictures, micro-batches and
forwards of samples. What the engine paints in between does not change the result.
"""

import math
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import torch

from engine.job_store import JobStore
from engine.lora.adapters import Adapters
from engine.lora.training_plan import plan_training
from engine.messages import (
    INLINE,
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
    shards_folder,
)
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.sdxl.painting import Painting
from engine.training.adapter_metadata import training_metadata
from engine.training.batches import TrainingBatches
from engine.training.cost import relative_cost
from engine.training.dataset import PictureInspector, planned_steps
from engine.training.embeddings import EmbeddingCache
from engine.training.loss import Rows, weighted_errors
from engine.training.optimizers import rate_warning
from engine.training.pictures.items import Item, class_caption
from engine.training.pictures.shards import ShardStore
from engine.training.prefetch import LateLosses, RowPrefetcher
from engine.training.run_state import RunState, restore_run_state
from engine.training.sample_images import encode_sample, paint_samples, sample_requests
from engine.training.state_file import BrokenState, pack_state, unpack_state
from engine.training.trainer import Trainer, resolve_training_precision
from engine.training.validation import (
    NO_EFFECT,
    Checkpoint,
    CheckpointMeasure,
    best_checkpoint,
    other_candidates,
    stale_count,
)
from engine.vision.safety import FlagCheck

PROGRESS_SECONDS = 0.25  # between reports, since chats cannot show more
READING, ENCODING, CAPTIONS = "reading the pictures", "encoding the pictures", "encoding the captions"
CLASS, LEARNING, SAMPLING = "painting the class", "learning", "sampling"

Steps = Iterator[None]


class Diverged(Exception):
    """The loss of a step is not finite, or the validation after it."""

    def __init__(self, step: int) -> None:
        self.step = step


class TrainingRun:
    """One training. Call `step` until `done`, and `close` then or at any time before.

    `kind` is of the next step, for its deadline. Errors of `step` end the training: InvalidRequest with a
    sentence for the person, torch.OutOfMemoryError, and any others.
    """

    def __init__(
        self,
        request: Train,
        model: Model,
        adapters: Adapters,
        folder: Path,
        flags: FlagCheck | None = None,
        shards: Path | None = None,
    ) -> None:
        """flags: says whether the safety check flags a picture, which leaves it out. shards: the folder of
        latents and embeddings, in the store unless it is given.

        Raises InvalidRequest for settings that this model cannot be trained with.
        """
        self.request = request
        self.done = False
        self.kind: Hashable = None
        self._model = model
        self._adapters = adapters
        self._store = JobStore(folder)
        self._inspector = PictureInspector(request, folder, model.side, flags, judged=False)
        self._shards = shards_folder(folder) if shards is None else shards
        self._batches = TrainingBatches(request.settings, model, folder, self._shards)
        resolve_training_precision(request.settings.precision, model)
        self._plan = plan_training(request, adapters)
        steps = planned_steps(request.settings, request.pictures)
        self._state = RunState(settings=request.settings, steps=steps, began=time.time())
        self._trainer: Trainer | None = None
        self._items: Sequence[Item] = ()
        self._untrained_outputs: list[
            torch.Tensor
        ] = []  # the model's outputs for the validation rows, without the LoRA
        self._outbox: list[Event] = []
        self._stopping = False
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._rows, self._class_rows = (
            RowPrefetcher(make, model.device, self._pool)
            for make in (self._batches.rows, self._batches.class_rows)
        )
        self._late = LateLosses()
        self._phase, self._count, self._reported_at = "", "", 0.0
        self._began, self._began_at, self._spent = 0.0, 0, 0.0
        self._steps = self._run()
        next(self._steps)

    @property
    def job(self) -> JobId:
        return self.request.job

    @property
    def unreported(self) -> tuple[Sha256, ...]:
        """Files in the store that no event has named yet: a state whose adapter is not there yet."""
        return self._store.unreported

    @property
    def seconds_per_pixel(self) -> float | None:
        """Seconds per pixel so far, without a prior; None before the first step."""
        done = self._state.step - self._began_at
        settings = self._state.settings
        if not done or not self._items:
            return None
        pixels = sum(math.prod(item.size) for item in self._items) / len(self._items)
        trained_pixels = done * settings.batch * settings.accumulation * pixels
        return self._spent / (trained_pixels * relative_cost(settings))

    def stop(self) -> None:
        """End after the current step and keep what there is."""
        self._stopping = True

    def step(self) -> Sequence[Event]:
        """Take the next step and return its events."""
        started, learning = time.monotonic(), self._phase == LEARNING
        try:
            next(self._steps)
        except StopIteration:
            self.done = True
        finally:
            seconds = time.monotonic() - started
            self._state.seconds += seconds
            self._spent += seconds if learning else 0.0
        events, self._outbox = self._outbox, []
        for event in events:
            self._store.mark_reported(event)
        return events

    def close(self) -> None:
        """Leave the model as it was before the training."""
        self._steps.close()
        self._pool.shutdown(cancel_futures=True)
        if self._trainer is not None:
            self._model.base.unet.disable_gradient_checkpointing()
            self._trainer.close()
            self._trainer = None

    def _run(self) -> Generator[None]:
        yield from self._prepare_pictures()
        trainer = self._trainer = self._start_trainer()
        yield from self._prepare_captions(trainer)
        if self._prior is Prior.PICTURES and not self._inspector.class_items:
            yield from self._paint_class(trainer)
        if not self._state.step:
            yield from self._measure_untrained(trainer)
        self._began, self._began_at = time.monotonic(), self._state.step
        try:
            while not self._check_end():
                yield from self._optimize(trainer)
                if self._state.due or self._stopping:
                    yield from self._save_checkpoint(trainer)
        except Diverged as error:
            self._give_up(error.step)
        self._outbox.append(self._result())

    def _pause(self, phase: str, *kind: Hashable, done: int = 0, of: int = 0) -> Steps:
        """Pause for other work of the engine. phase and kind: of the step that follows. done: of how many
        pictures or captions the phase has ended, where they are many."""
        self.kind = (phase, *kind)
        self._count = f", {done:,} of {of:,}" if of > INLINE else ""
        now = time.monotonic()
        if phase != self._phase or now - self._reported_at >= PROGRESS_SECONDS:
            self._phase, self._reported_at = phase, now
            self._outbox.append(self._progress(now))
        yield
        if self._stopping and not self._state.step and self.request.resume is None:
            raise InvalidRequest("It was stopped before its first step, so there is nothing to keep.")

    def _progress(self, now: float) -> TrainingProgress:
        state, done = self._state, self._state.step - self._began_at
        remaining = (state.steps - state.step) * (now - self._began) / done if self._began and done else None
        return TrainingProgress(
            job=self.job,
            step=state.step,
            steps=state.steps,
            phase=f"{self._phase}{self._count}",
            loss=state.smoothed,
            left=remaining,
        )

    def _prepare_pictures(self) -> Steps:
        """Check the pictures, then encode those that are used."""
        while not self._inspector.done:
            yield from self._pause(READING, done=self._inspector.notes.checked, of=self.request.pictures)
            self._inspector.step()
        self._items = items = self._inspector.items
        if not items:
            raise InvalidRequest(" ".join(self._inspector.problems))
        self._state.steps = planned_steps(self.request.settings, len(items), items.shown)
        for done in self._batches.encode(items, self._inspector.class_items):
            yield from self._pause(ENCODING, done=done, of=len(items) + len(self._inspector.class_items))

    def _prepare_captions(self, trainer: Trainer) -> Steps:
        """Encode the captions, where they are many."""
        for done in trainer.prepare_captions(self._captions()):
            yield from self._pause(CAPTIONS, done=done, of=len(self._items))

    def _captions(self) -> Iterator[tuple[str, Sha256]]:
        """All captions that are trained with, each with the picture that it is of."""
        prior = self._prior is Prior.PREDICTION
        for item in self._items:
            yield item.caption, item.example.sha256
            if prior:
                yield class_caption(item.caption, *self._inspector.items.triggers), item.example.sha256

    def _start_trainer(self) -> Trainer:
        """Make the trainer, with the saved state where the training is resumed."""
        trainer = Trainer(
            self.request,
            self._plan,
            self._model,
            self._adapters,
            self._state.steps,
            EmbeddingCache(ShardStore(self._shards, self._store.folder), self._model.device),
        )
        if self.request.resume is None:
            self._save_memory(trainer)
            return trainer
        try:
            saved = unpack_state(self._store.get(self.request.resume))
            self._state = restore_run_state(saved["course"], self.request)
            trainer.restore_training(saved["learner"])
        except (OSError, BrokenState, InvalidRequest) as error:
            trainer.close()
            if isinstance(error, InvalidRequest):
                raise
            raise InvalidRequest("The saved state is gone. Start the training again.") from error
        self._save_memory(trainer)
        return trainer

    def _save_memory(self, trainer: Trainer) -> None:
        """Free the gradients, and turn gradient checkpointing on or off as in the settings."""
        trainer.zero_gradients()
        if self._state.settings.checkpointing:
            self._model.base.unet.enable_gradient_checkpointing()
        else:
            self._model.base.unet.disable_gradient_checkpointing()

    def _paint_class(self, trainer: Trainer) -> Steps:
        """Paint pictures of the class with the model as it is. Their latents are enough to train on."""
        settings = self._state.settings
        items = (self._items[number % len(self._items)] for number in range(settings.prior_pictures))
        prompts = [class_caption(item.caption, *self._inspector.items.triggers) for item in items]
        requests = sample_requests(self.job, prompts, settings.seed % 2**62, self._size)
        paintings = yield from self._paint(CLASS, trainer.deactivate_adapter, requests, ())
        for painting, caption in zip(paintings, prompts, strict=True):
            self._batches.add_class_picture(caption, painting.latents, self._size)

    @property
    def _size(self) -> Size:
        """The size to paint samples at: the first of the crops, or the square of the training area, or the
        smallest that can be painted."""
        sizes = self.request.settings.crop_sizes
        if sizes and min(sizes[0]) >= SIDE[0]:
            return Size(width=sizes[0][0], height=sizes[0][1])
        side = max(SIDE[0], self.request.settings.resolution or self._model.side)
        side -= side % SIDE_MULTIPLE
        return Size(width=side, height=side)

    def _measure_untrained(self, trainer: Trainer) -> Steps:
        """Validate and paint samples before the first step, for comparison with later checkpoints."""
        untrained = yield from self._validate(trainer)
        self._state.untaught = untrained.loss
        samples = yield from self._paint_samples(trainer)
        self._outbox.append(
            CheckpointSaved(
                job=self.job, step=0, adapter=None, state=None, validation=untrained.loss, samples=samples
            )
        )

    def _check_end(self) -> bool:
        """Whether the training ends here. Notes why, where that is before the last step."""
        state = self._state
        if self._stopping and state.step == state.last_saved_step:
            if state.step < state.steps:
                state.notes.append(f"It was stopped at step {state.step} of {state.steps}.")
            return True
        patience = state.settings.patience
        if patience and stale_count(state.checkpoints, state.steps) >= patience and state.step < state.steps:
            state.notes.append(f"It ended at step {state.step}, since it no longer got better.")
            return True
        return state.step >= state.steps

    def _optimize(self, trainer: Trainer) -> Steps:
        """Take an optimizer step. A step that runs out of memory lowers the settings and starts again."""
        try:
            loss = yield from self._accumulate_gradients(trainer)
        except torch.OutOfMemoryError:
            self._state.reduce_memory()
            self._save_memory(trainer)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return
        yield from self._pause(LEARNING, "step")
        trainer.end_step()
        self._state.step += 1
        self._record(self._late.add(self._state.step, loss))

    def _record(self, losses: Iterator[tuple[int, float]]) -> None:
        """Note these losses of steps. Raises Diverged."""
        for step, loss in losses:
            if not math.isfinite(loss):
                raise Diverged(step)
            self._state.record_loss(loss)

    def _accumulate_gradients(self, trainer: Trainer) -> Generator[None, None, torch.Tensor]:
        """Run the micro-batches of a step. Returns the mean loss on the training's pictures, a scalar."""
        state, settings = self._state, self._state.settings
        trainer.begin_step(state.step)
        share = 1 / settings.accumulation
        total = torch.zeros((), device=self._model.device)
        for part in range(settings.accumulation):
            number = state.step * settings.accumulation + part
            rows = self._rows.rows(number, settings.batch)
            prior = yield from self._prior_rows(trainer, rows, number)
            if prior is not None and self._fits_together(rows, prior):
                rows, prior = rows.concatenate(prior, settings.prior_weight), None
            yield from self._pause(LEARNING, len(rows))
            total += share * trainer.backward(rows, 2 * number, share, own=settings.batch)
            if prior is not None:
                yield from self._pause(LEARNING, len(prior))
                trainer.backward(prior, 2 * number + 1, settings.prior_weight * share)
        return total

    @property
    def _prior(self) -> Prior:
        """The prior preservation in use: that of pictures of the class, where some were given."""
        given = self._inspector.class_items and self._state.settings.prior_weight
        return Prior.PICTURES if given else self._state.settings.class_prior

    def _prior_rows(self, trainer: Trainer, rows: Rows, number: int) -> Generator[None, None, Rows | None]:
        """The rows of the prior preservation: pictures of the class, or these rows with the model's outputs
        without the LoRA as target; None without prior preservation."""
        settings = self._state.settings
        if self._prior is Prior.NONE:
            return None
        if self._prior is Prior.PICTURES:
            return self._class_rows.rows(number, settings.batch)
        yield from self._pause(LEARNING, "untaught", settings.batch)
        captions = [class_caption(caption, *self._inspector.items.triggers) for caption in rows.captions]
        prior = rows.with_captions(captions, rows.target)
        return prior.with_captions(captions, trainer.predict_without_adapter(prior))

    def _fits_together(self, rows: Rows, prior: Rows) -> bool:
        """Whether both can share a forward, which takes less time than two."""
        return self._state.together and rows.noisy.shape[1:] == prior.noisy.shape[1:]

    def _validate(self, trainer: Trainer) -> Generator[None, None, Checkpoint]:
        """Validate the adapter on the held-out pictures, always with the same noise."""
        measure = CheckpointMeasure()
        for number in range(self._batches.held_row_count):
            # In the thread that prepares batches, since both read the same open files.
            rows = self._pool.submit(self._batches.held_rows, number).result().to(self._model.device)
            if number == len(self._untrained_outputs):
                yield from self._pause(SAMPLING, "validation")
                self._untrained_outputs.append(trainer.predict_without_adapter(rows))
            yield from self._pause(SAMPLING, "validation")
            trained = trainer.predict_with_adapter(rows)
            measure.add(weighted_errors(trained, rows), trained, self._untrained_outputs[number])
        return measure.checkpoint(self._state.step)

    def _paint_samples(self, trainer: Trainer) -> Generator[None, None, tuple[bytes, ...]]:
        """Paint a picture of each sample prompt; none where there is no memory for them."""
        requests = sample_requests(self.job, self.request.prompts, 0, self._size)
        try:
            paintings = yield from self._paint(SAMPLING, trainer.activate_adapter, requests, trainer.tokens)
            return tuple(encode_sample(self._model, painting) for painting in paintings)
        except torch.OutOfMemoryError:
            self._state.notes.append(f"There was no memory for samples at step {self._state.step}.")
            return ()

    def _save_checkpoint(self, trainer: Trainer) -> Steps:
        """Make a checkpoint: validate, paint samples, and put the adapter and the state into the store."""
        state = self._state
        self._record(self._late.read())
        with trainer.averaged():
            checkpoint = yield from self._validate(trainer)
        if not math.isfinite(checkpoint.loss):
            raise Diverged(state.step + 1)
        state.checkpoints.append(checkpoint)
        since = state.checkpoints[-2].step if len(state.checkpoints) > 1 else 0
        yield from self._pause(SAMPLING, "saving")
        state_file = self._store.put_bytes(
            pack_state({"course": state.to_state(self.request), "learner": trainer.to_state()})
        )
        with trainer.averaged():
            samples = yield from self._paint_samples(trainer)
            yield from self._pause(SAMPLING, "saving")
            adapter = self._store.put_bytes(self._encode_adapter(trainer, samples))
        self._outbox.append(
            CheckpointSaved(
                job=self.job,
                step=state.step,
                adapter=adapter,
                state=state_file,
                validation=checkpoint.loss,
                losses=tuple(state.losses[since:]),
                samples=samples,
            )
        )

    def _encode_adapter(self, trainer: Trainer, samples: Sequence[bytes]) -> bytes:
        """The adapter's file, compared with the adapter in training."""
        state = self._state
        metadata = training_metadata(
            self.request,
            self._items,
            side=self._model.side,
            step=state.step,
            losses=state.losses,
            parameters=trainer.parameter_counts,
            validation=state.checkpoints[-1].loss,
            created=datetime.fromtimestamp(state.began, UTC),
            note=" ".join(state.notes),
            thumbnail=samples[0] if samples else None,
        )
        return trainer.encode_file(metadata)

    def _paint(
        self,
        phase: str,
        activate: Callable[[], None],
        requests: Sequence[Paint],
        tokens: Sequence[TokenVectors],
    ) -> Generator[None, None, list[Painting]]:
        """Denoise these requests, not decoded yet, with a pause before each step."""
        steps = paint_samples(self._model, requests, activate, tokens)
        while True:
            yield from self._pause(phase, "painting")
            try:
                next(steps)
            except StopIteration as end:
                return list(end.value)

    def _give_up(self, step: int) -> None:
        """End after a loss that is not finite, that of this step.

        The last checkpoint is still good. Raises where there is none.
        """
        state = self._state
        state.step = step - 1
        if not state.checkpoints:
            raise InvalidRequest(
                f"The loss was no longer a number at step {step}, before the first checkpoint. Lower --lr."
            )
        state.notes.append(
            f"The loss was no longer a number after step {state.step}. The checkpoints before it are kept."
        )

    def _result(self) -> Trained:
        state = self._state
        best = best_checkpoint(state.checkpoints, state.steps, state.untaught)
        if best is None:
            raise InvalidRequest("Nothing was saved, so there is nothing to keep.")
        if best.effect < NO_EFFECT:
            reason = rate_warning(state.settings) or "Try more steps, a higher learning rate or other layers."
            state.notes.append(f"It learned nothing. The model paints as it does without the LoRA. {reason}")
        return Trained(
            job=self.job,
            best=best.step,
            candidates=other_candidates(state.checkpoints, best, state.steps),
            step=state.step,
            seconds=state.seconds,
            new_tokens=sum(token.count for token in self._plan.tokens) or self.request.settings.new_tokens,
            note=" ".join(state.notes),
        )
