"""The learner: an adapter in training, its new tokens if it has any, and what optimizes them.

One micro-batch at a time goes forward and backward; an optimizer step ends a few of them. All its randomness
(dropout) is a function of the micro-batch's number.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from engine.lora.adapter_export import adapter_file, check_saved
from engine.lora.adapter_file import LowRank
from engine.lora.adapters import Adapters
from engine.lora.key_names import Component, Place
from engine.messages import InvalidRequest, Train, TrainingPrecision
from engine.sdxl.model import PRECISIONS, Model
from engine.sdxl.new_tokens import TokenVectors, initial_tokens, speaks
from engine.sdxl.prompts import Embedding, Reader, together
from engine.training.loss import Rows, errors
from engine.training.optimizers import Group, optimizer, rate_factor
from engine.training.rng import seed_of

NAME = "in-training"  # among PEFT's adapters, which else are named by their hash


class Learner:
    """What is learned by a training of so many optimizer steps; `close` takes it off the device."""

    def __init__(self, request: Train, model: Model, adapters: Adapters, steps: int) -> None:
        """Raises InvalidRequest when the model cannot be trained so."""
        settings = self._settings = request.settings
        self._model = model
        self._adapters = adapters
        self._steps = steps
        self._reader = Reader(model.base)
        self._known: dict[str, Embedding] = {}
        self._precision = precision(settings.precision, model)
        self.tokens = first_tokens(request, model)
        places = adapters.targets(settings)
        begun = adapters.begin(
            NAME,
            places,
            alpha=settings.alpha,
            dropout=settings.dropout,
            dora=settings.dora,
            seed=seed_of(settings.seed, "adapter", 0),
            precision=self._precision,
        )
        groups = self._groups(begun)
        self._parameters = [parameter for group in groups for parameter in group.parameters]
        try:
            self._optimizer = optimizer(settings, groups)
        except InvalidRequest:
            self.close()
            raise
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._scaler = torch.amp.GradScaler(
            model.device.type, init_scale=2.0**12, enabled=self._precision is torch.float16
        )

    def _groups(self, begun: Mapping[Component, Sequence[Tensor]]) -> list[Group]:
        """The UNet's, the text encoders' and the tokens' parameters with their learning rates."""
        settings = self._settings
        text = [*begun["text_encoder"], *begun["text_encoder_2"]]
        return [
            Group(parameters=begun["unet"], rate=settings.learning_rate, decay=settings.weight_decay),
            Group(parameters=text, rate=settings.text_learning_rate, decay=settings.weight_decay),
            Group(parameters=self._vectors, rate=settings.token_learning_rate, decay=0.0),
        ]

    @property
    def _vectors(self) -> list[Tensor]:
        return [vector for one in self.tokens for vector in (one.first, one.second)]

    def begin_step(self, step: int) -> None:
        """Set the learning rates of this optimizer step, and freeze the tokens at the pivot."""
        factor = rate_factor(self._settings, step, self._steps)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        if step >= self._settings.pivot * self._steps:
            for vector in self._vectors:
                vector.requires_grad_(False)
                vector.grad = None

    def backward(self, rows: Rows, number: int, weight: float, own: int | None = None) -> Tensor:
        """One micro-batch forward and backward, its gradients added `weight` times.

        Returns what the first `own` rows, or all, add to the mean error: one number.
        """
        dropout = self._settings.dropout > 0
        drawing = self._drawing(number) if dropout else nullcontext()
        with drawing, torch.enable_grad(), self._adapters.learning(NAME, dropout=dropout):
            told = errors(self._predicted(rows), rows)
            self._scaler.scale(told.mean() * weight).backward()  # type: ignore[no-untyped-call]
        return told.detach()[:own].sum() / len(rows)

    @contextmanager
    def _drawing(self, number: int) -> Iterator[None]:
        """Within, random numbers are those of this micro-batch; others go on as if none had been drawn."""
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed_of(self._settings.seed, "dropout", number))
            yield

    def end_step(self) -> None:
        """Let the optimizer take the gradients that have come together."""
        self._scaler.unscale_(self._optimizer)
        if self._settings.clipping:
            nn.utils.clip_grad_norm_(self._parameters, self._settings.clipping)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.forget()

    def forget(self) -> None:
        """Drop the gradients: of a step that ended, or that ran out of memory."""
        self._optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def taught(self, rows: Rows) -> Tensor:
        """What the model answers with the adapter as it is now, without learning from them."""
        self.use()
        return self._predicted(rows)

    @torch.no_grad()
    def untaught(self, rows: Rows) -> Tensor:
        """What the model would answer without the adapter."""
        self.rest()
        return self._predicted(rows)

    def rest(self) -> None:
        """Let no adapter count."""
        self._adapters.activate(())

    def use(self) -> None:
        """Let the adapter count, without dropout, in whatever comes next."""
        self._adapters.learn(NAME)

    def _predicted(self, rows: Rows) -> Tensor:
        device = self._model.device
        with torch.autocast(device.type, self._precision, enabled=self._precision is not torch.float32):
            words = self._words(rows.captions)
            predicted: Tensor = self._model.base.unet(
                rows.noisy.to(self._model.precision),
                rows.timesteps,
                encoder_hidden_states=words.hidden,
                added_cond_kwargs={
                    "text_embeds": words.pooled,
                    "time_ids": rows.time_ids.to(words.hidden.dtype),
                },
                return_dict=False,
            )[0]
        return predicted.float()

    def _words(self, captions: Sequence[str]) -> Embedding:
        """The captions as the UNet sees them; what is not about to change is read once and remembered."""
        told = dict.fromkeys(captions)
        changing = [caption for caption in told if self._changes(caption)]
        read = dict(zip(changing, self._read(changing).apart(), strict=True)) if changing else {}
        for caption in told.keys() - read.keys() - self._known.keys():
            with torch.no_grad():
                self._known[caption] = self._read([caption])
        return together([read.get(caption) or self._known[caption] for caption in captions])

    def _changes(self, caption: str) -> bool:
        """Whether what the text encoders say of it changes from step to step."""
        settings = self._settings
        if settings.text_encoder or settings.text_encoder_2:
            return True
        learning = any(vector.requires_grad for vector in self._vectors)
        return learning and speaks(self._model.base.tokenizer, caption, self.tokens)

    def _read(self, captions: Sequence[str]) -> Embedding:
        words = self._reader.encode(captions, self.tokens)
        if not self._reader.zero_for_empty or all(captions):
            return words
        said = torch.tensor([bool(caption) for caption in captions], device=words.hidden.device)
        return Embedding(hidden=words.hidden * said.view(-1, 1, 1), pooled=words.pooled * said.view(-1, 1))

    def learned(self) -> dict[Place, LowRank]:
        """The adapter as it is now: copies on the CPU, float32."""
        return self._adapters.learned(NAME)

    def file(self, metadata: Mapping[str, str]) -> bytes:
        """The adapter's file, read again and compared with what is in training. Raises WronglySaved."""
        tokens = self.tokens[0] if self.tokens else None
        content = adapter_file(self.learned(), tokens, self._adapters.names, metadata=metadata)
        check_saved(content, self._adapters, NAME, tokens, self._model.base)
        return content

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, for `restore`."""
        return {
            "adapter": [
                [str(place), change.down, change.up, change.magnitude, change.alpha]
                for place, change in self.learned().items()
            ],
            "tokens": [[one.first, one.second] for one in self.tokens],
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become exactly what `state` told; the settings are the same.

        Raises InvalidRequest when another version of the engine told it.
        """
        changes = {}
        for name, down, up, magnitude, alpha in state["adapter"]:
            component, _, path = name.partition(".")
            changes[Place(component=component, path=path)] = LowRank(
                down=down, up=up, alpha=alpha, magnitude=magnitude
            )
        self._adapters.restore(NAME, changes)
        with torch.no_grad():
            for one, (first, second) in zip(self.tokens, state["tokens"], strict=True):
                one.first.copy_(first)
                one.second.copy_(second)
        try:
            self._optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise InvalidRequest(
                "the saved state is another version's, which keeps it another way: start the training again."
            ) from error
        self._scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Take the adapter off the device."""
        self._adapters.end(NAME)


def precision(wanted: TrainingPrecision, model: Model) -> torch.dtype:
    """What the forward pass computes in. Raises InvalidRequest when the model is not held so exactly."""
    if wanted is TrainingPrecision.AUTO:
        return model.precision
    chosen = PRECISIONS[wanted.value]
    if chosen is torch.float32 and model.precision is not torch.float32:
        held = str(model.precision).removeprefix("torch.")
        raise InvalidRequest(f"the model is held in {held} here: train in {held}, or in auto.")
    return chosen


def first_tokens(request: Train, model: Model) -> tuple[TokenVectors, ...]:
    """The vectors that the trigger stands for at first, to be learned; none unless new tokens are wanted."""
    settings = request.settings
    if not settings.new_tokens:
        return ()
    like = request.subject or request.trigger
    seed = seed_of(settings.seed, "tokens", 0)
    first = initial_tokens(model.base, request.trigger, like, settings.new_tokens, seed)
    for vectors in (first.first, first.second):
        vectors.requires_grad_()
    return (first,)
