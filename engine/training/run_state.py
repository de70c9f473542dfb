"""The run state of a training: its step, losses, checkpoints, notes and lowered settings."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from typing import Any

import torch

from engine.messages import Example, InvalidRequest, Prior, Train, TrainingSettings
from engine.training.validation import Checkpoint

CHECKPOINTS = 10  # about so many, unless `every` is set
SMOOTHING = 0.95  # of the exponential moving average of the loss that people see
# The fields that saved states began with. Later ones are written where they are not as usual, so that
# states of older versions go on.
FIRST_FIELDS = (
    "sha256 name caption resolution feed_forward convolutions text_encoder text_encoder_2 blocks rank "
    "alpha dropout dora optimizer learning_rate text_learning_rate token_learning_rate weight_decay "
    "schedule warmup batch accumulation clipping steps epochs precision checkpointing min_snr_gamma "
    "noise_offset caption_dropout flip random_crop prior prior_weight prior_pictures new_tokens pivot "
    "validation every patience seed"
)


@dataclass
class RunState:
    """Everything that a training must remember besides its adapter and optimizer.

    `settings` are the request's, lowered where memory ran out. `together`: whether a batch and its class fit
    into one forward. `began`: seconds since 1970. `seconds`: engine time. `losses`: of each optimizer step.
    """

    settings: TrainingSettings
    steps: int
    began: float
    together: bool = True
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    smoothed: float | None = None
    untaught: float = math.inf  # the validation loss of the model without the LoRA
    checkpoints: list[Checkpoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def every(self) -> int:
        """Steps from one checkpoint to the next."""
        return self.settings.every or max(1, self.steps // CHECKPOINTS)

    @property
    def due(self) -> bool:
        """Whether this step has a checkpoint."""
        return self.step % self.every == 0 or self.step == self.steps

    @property
    def last_saved_step(self) -> int:
        """The step of the last checkpoint, 0 where there is none."""
        return self.checkpoints[-1].step if self.checkpoints else 0

    def record_loss(self, loss: float) -> None:
        """Note the loss of the step after the last whose loss is there."""
        self.losses.append(loss)
        average = loss if self.smoothed is None else self.smoothed
        self.smoothed = SMOOTHING * average + (1 - SMOOTHING) * loss

    def reduce_memory(self) -> None:
        """Lower the settings after a step ran out of memory: the class in a forward of its own, then smaller
        batches and more accumulation, then gradient checkpointing.

        Raises InvalidRequest where nothing is left to lower.
        """
        settings = self.settings
        if self.together and settings.class_prior is not Prior.NONE:
            self.together = False
            self._note_lowered("the class is trained in batches of its own")
        elif settings.batch > 1:
            part = next(part for part in range(2, settings.batch + 1) if settings.batch % part == 0)
            batch, accumulation = settings.batch // part, settings.accumulation * part
            self.settings = replace(settings, batch=batch, accumulation=min(accumulation, 64))
            self._note_lowered(f"--batch was lowered to {batch} and --accumulation raised to {accumulation}")
        elif not settings.checkpointing:
            self.settings = replace(settings, checkpointing=True)
            self._note_lowered("gradient checkpointing was turned on")
        else:
            raise InvalidRequest(
                "The training does not fit in the memory here. Lower --resolution or --rank, or train fewer "
                "layers."
            )

    def _note_lowered(self, change: str) -> None:
        self.notes.append(f"Memory ran out at step {self.step}, so {change}.")

    def to_state(self, request: Train) -> dict[str, Any]:
        """The state as plain values, for `restore_run_state`."""
        return {
            "training": _identity(request),
            "batch": self.settings.batch,
            "accumulation": self.settings.accumulation,
            "checkpointing": self.settings.checkpointing,
            "together": self.together,
            "steps": self.steps,
            "began": self.began,
            "step": self.step,
            "seconds": self.seconds,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "smoothed": self.smoothed,
            "untaught": self.untaught,
            "checkpoints": [asdict(checkpoint) for checkpoint in self.checkpoints],
            "notes": self.notes,
        }


def restore_run_state(state: Mapping[str, Any], request: Train) -> RunState:
    """The run state of these values. Raises InvalidRequest where they are of another training."""
    if state["training"] != _identity(request):
        raise InvalidRequest("The saved state is of another training. Start this one again.")
    lowered = {name: state[name] for name in ("batch", "accumulation", "checkpointing")}
    return RunState(
        settings=replace(request.settings, **lowered),
        steps=state["steps"],
        began=state["began"],
        together=state.get("together", True),  # states of older versions do not say
        step=state["step"],
        seconds=state["seconds"],
        losses=state["losses"].tolist(),
        smoothed=state["smoothed"],
        untaught=state.get("untaught", math.inf),
        checkpoints=[Checkpoint(**fields) for fields in state["checkpoints"]],
        notes=list(state["notes"]),
    )


def _identity(request: Train) -> str:
    """A text that is equal for two runs of the same training, and different for two trainings."""
    texts: tuple[object, ...] = (request.trigger, request.subject, request.template, request.prompts)
    if request.start is not None:
        texts = (*texts, request.start.sha256)
    examples = ", ".join(map(_field_texts, request.examples)) + ("," if len(request.examples) == 1 else "")
    pictures = f"({examples})" if request.manifest is None else repr(request.manifest)
    return f"({_field_texts(request.settings)}, {pictures}, {texts!r})"


def _field_texts(value: Example | TrainingSettings) -> str:
    """The value as its `repr` was when states were first saved, with later fields that are not as usual."""
    texts = [
        f"{field.name}={getattr(value, field.name)!r}" for field in fields(value) if _is_shown(value, field)
    ]
    return f"{type(value).__name__}({', '.join(texts)})"


def _is_shown(value: object, field: Field[Any]) -> bool:
    usual = field.default if field.default_factory is MISSING else field.default_factory()
    return field.name in FIRST_FIELDS.split() or getattr(value, field.name) != usual
