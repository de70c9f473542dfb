"""The trainer: an adapter in training and its new tokens, with their optimizer and forward and backward pass.

One micro-batch at a time goes forward and backward, and an optimizer step follows a few of them. All its
randomness (dropout) depends on the seed and the micro-batch's number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from engine.lora.adapter_export import encode_adapter, verify_file
from engine.lora.adapter_file import Adapter, Change
from engine.lora.adapters import Adapters
from engine.lora.change_state import changes_from_state, changes_to_state
from engine.lora.flat_factors import TrainedParameter
from engine.lora.key_names import Place
from engine.lora.kohya_format import network_fields
from engine.lora.training_plan import TrainingPlan
from engine.messages import UNET_PARTS, InvalidRequest, Part, Sha256, Train, TrainingPrecision
from engine.sdxl.model import PRECISIONS, Model
from engine.sdxl.new_tokens import TokenVectors, has_new_token, initial_tokens
from engine.sdxl.prompts import Embedding, PromptEncoder, concatenate_embeddings
from engine.training.averages import MovingAverage
from engine.training.embeddings import EmbeddingCache
from engine.training.flat_optimizer import FlatOptimizer
from engine.training.loss import Rows, weighted_errors
from engine.training.optimizers import Group, rate_factor
from engine.training.pictures.shards import shard_key, weights_digest
from engine.training.rng import derive_seed
from engine.training.tags import varies_tags

NAME = "in-training"  # among PEFT's adapters, whose other names are hashes


class Trainer:
    """The trainable part of a training of so many optimizer steps. `close` removes it from the device."""

    def __init__(
        self,
        request: Train,
        plan: TrainingPlan,
        model: Model,
        adapters: Adapters,
        steps: int,
        embeddings: EmbeddingCache,
    ) -> None:
        """embeddings: of captions that training does not change.

        Raises InvalidRequest where the model cannot be trained with these settings.
        """
        settings = self._settings = request.settings
        self._model = model
        self._adapters = adapters
        self._steps = steps
        self._prompt_encoder = PromptEncoder(model.base)
        self._embeddings = embeddings
        self._precision = resolve_training_precision(settings.precision, model)
        self._plan = plan
        self.tokens = trigger_tokens(request, plan, model)
        self.parameter_counts = plan.count_parameters(adapters)
        adapters.begin_training(
            NAME,
            plan.targets,
            kind=plan.kind,
            start=plan.start,
            dropout=settings.dropout,
            seed=derive_seed(settings.seed, "adapter", 0),
            precision=self._precision,
        )
        groups = self._groups(adapters.trained_parameters(NAME))
        self._flat = adapters.flatten_training(NAME, [group.parameters for group in groups])
        try:
            self._optimizer = FlatOptimizer(settings, groups, self._flat, self._token_group)
        except InvalidRequest:
            self.close()
            raise
        self._average = MovingAverage(self._flat.vectors, settings.ema) if settings.ema else None
        # In its own number format the model computes as it does for pictures.
        self._autocast = self._precision is not torch.float32 and (
            self._precision is not model.precision or adapters.needs_autocast(NAME)
        )
        self._scaler = torch.amp.GradScaler(
            model.device.type, init_scale=2.0**12, enabled=self._precision is torch.float16
        )

    def _groups(self, parameters: Sequence[TrainedParameter]) -> list[Group]:
        """The adapter's parameters in the UNet and in the text encoders, by learning rate."""
        settings = self._settings
        groups = []
        for parts in (UNET_PARTS, (Part.TEXT, Part.TEXT_2)):
            of_component = [(each, self._rate(each)) for each in parameters if each.part in parts]
            for rate in dict.fromkeys(rate for _, rate in of_component):
                members = [each.parameter for each, own in of_component if own == rate]
                groups.append(Group(parameters=members, rate=rate, decay=settings.weight_decay))
        return groups

    def _rate(self, trained: TrainedParameter) -> float:
        """Its learning rate. LoRA+ has a larger one for B (Hayou et al. 2024, arXiv 2402.12354)."""
        settings = self._settings
        return settings.part_learning_rate(trained.part) * (settings.lora_plus if trained.is_up else 1.0)

    @property
    def _token_group(self) -> Group:
        return Group(parameters=self._vectors, rate=self._settings.token_learning_rate, decay=0.0)

    @property
    def _vectors(self) -> list[Tensor]:
        return [vector for token in self.tokens for vector in (token.first, token.second)]

    def begin_step(self, step: int) -> None:
        """Set the learning rates of this optimizer step, and freeze the tokens at the pivot."""
        self._optimizer.set_rates(rate_factor(self._settings, step, self._steps))
        if step >= self._settings.pivot * self._steps:
            for vector in self._vectors:
                vector.requires_grad_(False)
                vector.grad = None

    def backward(self, rows: Rows, number: int, weight: float, own: int | None = None) -> Tensor:
        """Run a micro-batch forward and backward, and add its gradients, `weight` times.

        Returns the part of the mean loss, a scalar, that its first `own` rows have, or all.
        """
        dropout = self._settings.dropout > 0
        seeded = self._seed_dropout(number) if dropout else nullcontext()
        with seeded, torch.enable_grad(), self._adapters.training_pass(NAME, dropout=dropout):
            losses = weighted_errors(self._predict(rows), rows)
            self._scaler.scale(losses.mean() * weight).backward()  # type: ignore[no-untyped-call]
        return losses.detach()[:own].sum() / len(rows)

    @contextmanager
    def _seed_dropout(self, number: int) -> Iterator[None]:
        """A context with the random numbers of this micro-batch, which restores the global generator."""
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive_seed(self._settings.seed, "dropout", number))
            yield

    def end_step(self) -> None:
        """Take an optimizer step with the accumulated gradients."""
        optimizer = self._optimizer.optimizer
        self._scaler.unscale_(optimizer)
        if self._settings.clipping:
            nn.utils.clip_grad_norm_([*self._flat.vectors, *self._vectors], self._settings.clipping)
        self._scaler.step(optimizer)
        self._scaler.update()
        self._flat.write_values()
        if self._average is not None:
            self._average.update()
        self.zero_gradients()

    def zero_gradients(self) -> None:
        """Drop the gradients, after a step that ended or ran out of memory."""
        self._flat.zero_gradients()
        for vector in self._vectors:
            vector.grad = None

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the adapter has the average of its steps, where the settings make one.

        That is what is validated, painted with and saved. Its numbers in training are as before afterwards.
        """
        if self._average is None and not self._optimizer.averages:
            yield
            return
        numbers = [tensor.detach().clone() for tensor in (*self._flat.vectors, *self._vectors)]
        try:
            self._optimizer.average()
            if self._average is not None:
                self._write_numbers(self._average.values)
            self._forget_changed()
            yield
        finally:
            self._write_numbers(numbers)
            self._optimizer.train()
            self._forget_changed()

    @torch.no_grad()
    def _write_numbers(self, numbers: Sequence[Tensor]) -> None:
        """Write these to the adapter's vectors, and to the tokens where there are more."""
        for tensor, number in zip((*self._flat.vectors, *self._vectors), numbers, strict=False):
            tensor.copy_(number)

    def _forget_changed(self) -> None:
        """Note that the adapter's numbers are others than before."""
        self._flat.write_values()
        if self.tokens:
            self._embeddings.clear()

    @torch.no_grad()
    def predict_with_adapter(self, rows: Rows) -> Tensor:
        """The model's outputs (B, C, h, w) with the adapter as it is now."""
        self.activate_adapter()
        return self._predict(rows)

    @torch.no_grad()
    def predict_without_adapter(self, rows: Rows) -> Tensor:
        """The model's outputs (B, C, h, w) without the adapter."""
        self.deactivate_adapter()
        return self._predict(rows)

    def deactivate_adapter(self) -> None:
        """Deactivate all adapters."""
        self._adapters.activate(())

    def activate_adapter(self) -> None:
        """Activate the adapter, without dropout."""
        self._adapters.activate_training(NAME)

    def _predict(self, rows: Rows) -> Tensor:
        device = self._model.device
        with torch.autocast(device.type, self._precision, enabled=self._autocast):
            embedding = self._embed_captions(rows.captions)
            predicted: Tensor = self._model.base.unet(
                rows.noisy.to(self._model.precision),
                rows.timesteps,
                encoder_hidden_states=embedding.hidden,
                added_cond_kwargs={
                    "text_embeds": embedding.pooled,
                    "time_ids": rows.time_ids.to(embedding.hidden.dtype),
                },
                return_dict=False,
            )[0]
        return predicted.float()

    def _embed_captions(self, captions: Sequence[str]) -> Embedding:
        """The embeddings of captions, in the windows of the longest. Those that training does not change are
        encoded once and cached, each as painting encodes it.
        """
        unique = dict.fromkeys(captions)
        trained = [caption for caption in unique if self._is_trained_caption(caption)]
        fresh = dict(zip(trained, self._encode_captions(trained).split(), strict=True)) if trained else {}
        embeddings = {
            **{text: self._cached_embedding(text) for text in unique.keys() - fresh.keys()},
            **fresh,
        }
        windows = max(embedding.windows for embedding in embeddings.values())
        padded = {text: self._pad(text, embedding, windows) for text, embedding in embeddings.items()}
        return concatenate_embeddings([padded[caption] for caption in captions])

    def _cached_embedding(self, caption: str) -> Embedding:
        return self._embeddings.get_or_encode(caption, self._encode_caption)

    def _encode_caption(self, caption: str) -> Embedding:
        """The embedding of one caption, as painting encodes it."""
        with self._as_in_painting():
            return self._encode_captions([caption])

    def _pad(self, caption: str, embedding: Embedding, windows: int) -> Embedding:
        """The embedding in so many windows: more of an empty text's, or of zeros where it is zeros itself.

        Where text encoders are trained, nothing is padded here, since all captions are encoded together.
        """
        if embedding.windows == windows:
            return embedding
        return embedding.pad(self._empty_window if caption else self._cached_embedding(""), windows)

    @cached_property
    def _empty_window(self) -> Embedding:
        with self._as_in_painting():
            return self._prompt_encoder.encode_texts([""])

    @contextmanager
    def _as_in_painting(self) -> Iterator[None]:
        """A context without gradients and in the model's own precision, in which painting encodes prompts."""
        with torch.no_grad(), torch.autocast(self._model.device.type, enabled=False):
            yield

    def prepare_captions(self, captions: Iterable[tuple[str, Sha256]]) -> Iterator[int]:
        """Encode captions, each with the picture that it is of, where they are many and training does not
        change them; one a step. Yields how many are done.
        """
        if self._settings.trains_text or self.tokens or varies_tags(self._settings):
            return
        base, zero = self._model.base, self._prompt_encoder.zero_for_empty
        encoders = weights_digest(base.text_encoder, base.text_encoder_2)
        made_with = shard_key(encoders, zero)
        yield from self._embeddings.prepare(captions, self._encode_plainly, made_with)

    def _encode_plainly(self, caption: str) -> Embedding:
        """The embedding without any adapter."""
        self.deactivate_adapter()
        return self._encode_caption(caption)

    def _is_trained_caption(self, caption: str) -> bool:
        """Whether its embedding changes from step to step."""
        if self._plan.trains_text:
            return True
        trains_tokens = any(vector.requires_grad for vector in self._vectors)
        return trains_tokens and has_new_token(self._model.base.tokenizer, caption, self.tokens)

    def _encode_captions(self, captions: Sequence[str]) -> Embedding:
        texts = self._prompt_encoder.encode_texts(captions, self.tokens)
        if not self._prompt_encoder.zero_for_empty or all(captions):
            return texts
        is_text = torch.tensor([bool(caption) for caption in captions], device=texts.hidden.device)
        return Embedding(
            hidden=texts.hidden * is_text.view(-1, 1, 1), pooled=texts.pooled * is_text.view(-1, 1)
        )

    def trained_changes(self) -> dict[Place, Change]:
        """The adapter's changes as they are now: copies on the CPU, float32."""
        return self._adapters.trained_changes(NAME)

    def encode_file(self, metadata: Mapping[str, str]) -> bytes:
        """The adapter's file, compared with the adapter in training. Raises WronglySaved."""
        tokens, changes = self.tokens[0] if self.tokens else None, self.trained_changes()
        if self._plan.start is not None:  # whose network the settings do not know
            metadata = {**metadata, **network_fields(Adapter(changes=changes))}
        content = encode_adapter(changes, tokens, self._adapters.names, metadata=metadata)
        verify_file(content, self._adapters, NAME, tokens, self._model.base)
        return content

    def to_state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as plain values, for `restore_training`."""
        return {
            **changes_to_state(self.trained_changes()),
            "tokens": [[token.first, token.second] for token in self.tokens],
            "optimizer": self._optimizer.to_state(),
            "scaler": self._scaler.state_dict(),
            "average": None if self._average is None else self._average.to_state(),
        }

    def restore_training(self, state: Mapping[str, Any]) -> None:
        """Restore what `to_state` returned, for the same settings.

        Raises InvalidRequest where it is from another version of the engine.
        """
        self._adapters.restore_training(NAME, changes_from_state(state))
        with torch.no_grad():
            for token, (first, second) in zip(self.tokens, state["tokens"], strict=True):
                token.first.copy_(first)
                token.second.copy_(second)
        try:
            self._optimizer.restore(state["optimizer"])
            if self._average is not None:
                self._average.restore(state["average"])
        except ValueError as error:
            raise InvalidRequest(
                "The saved state is from another version. Start the training again."
            ) from error
        self._scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Remove the adapter from the device."""
        self._adapters.end_training(NAME)


def resolve_training_precision(precision: TrainingPrecision, model: Model) -> torch.dtype:
    """The number format of the forward pass. Raises InvalidRequest where the model is less precise."""
    if precision is TrainingPrecision.AUTO:
        return model.precision
    dtype = PRECISIONS[precision.value]
    if dtype is torch.float32 and model.precision is not torch.float32:
        loaded = str(model.precision).removeprefix("torch.")
        raise InvalidRequest(f"The model is loaded in {loaded} here. --precision must be {loaded} or auto.")
    return dtype


def trigger_tokens(request: Train, plan: TrainingPlan, model: Model) -> tuple[TokenVectors, ...]:
    """The vectors of the trigger that a training begins with, trainable where the settings have new tokens.

    They are those of the LoRA that it goes on from; there are none where neither has any.
    """
    settings = request.settings
    if not settings.new_tokens and not plan.tokens:
        return ()
    if plan.tokens:
        first, second = (
            vectors.to(model.device, torch.float32, copy=True)
            for vectors in (plan.tokens[0].first, plan.tokens[0].second)
        )
        token = TokenVectors(word=request.trigger, first=first, second=second)
    else:
        like = request.subject or request.trigger
        seed = derive_seed(settings.seed, "tokens", 0)
        token = initial_tokens(model.base, request.trigger, like, settings.new_tokens, seed)
    for vectors in (token.first, token.second):
        vectors.requires_grad_(settings.new_tokens > 0)
    return (token,)
