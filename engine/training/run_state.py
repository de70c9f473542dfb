"""The course of a training: how far it is, what it lost and saved on the way, and what was lowered for it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from engine.messages import InvalidRequest, Prior, Train, TrainingSettings
from engine.training.validation import Checkpoint

CHECKPOINTS = 10  # about so many, unless it is said how often
SMOOTHING = 0.95  # of the loss that people see, from step to step


@dataclass
class Course:
    """Everything that a training knows of itself beside what it learns.

    `settings` are the request's, with what had to be lowered for want of memory; `together` says whether
    there is enough for a batch and its class in one forward. `began` is in seconds since 1970. `losses` has
    one of each optimizer step.
    """

    settings: TrainingSettings
    steps: int
    began: float
    together: bool = True
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    smoothed: float | None = None
    untaught: float = math.inf  # loss of the model as it was, on what validates
    checkpoints: list[Checkpoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def every(self) -> int:
        """Steps from one checkpoint to the next."""
        return self.settings.every or max(1, self.steps // CHECKPOINTS)

    @property
    def due(self) -> bool:
        """Whether a checkpoint belongs here."""
        return self.step % self.every == 0 or self.step == self.steps

    @property
    def saved(self) -> int:
        """The step of the last checkpoint, 0 when there is none."""
        return self.checkpoints[-1].step if self.checkpoints else 0

    def took(self, loss: float) -> None:
        """An optimizer step is done, whose pictures had this error."""
        self.step += 1
        self.losses.append(loss)
        known = loss if self.smoothed is None else self.smoothed
        self.smoothed = SMOOTHING * known + (1 - SMOOTHING) * loss

    def need_less(self) -> None:
        """After a step ran out of memory: the class by itself, then smaller batches, more of them to a step,
        then checkpointing.

        Raises InvalidRequest when neither is left.
        """
        settings = self.settings
        if self.together and settings.class_prior is not Prior.NONE:
            self.together = False
            self._lowered("the class is learned after each batch and no longer with it")
        elif settings.batch > 1:
            part = next(part for part in range(2, settings.batch + 1) if settings.batch % part == 0)
            batch, accumulation = settings.batch // part, settings.accumulation * part
            self.settings = replace(settings, batch=batch, accumulation=min(accumulation, 64))
            self._lowered(f"the batch was lowered to {batch}, {accumulation} of them to a step")
        elif not settings.checkpointing:
            self.settings = replace(settings, checkpointing=True)
            self._lowered("gradient checkpointing was turned on")
        else:
            raise InvalidRequest(
                "the training does not fit in the memory here: lower the resolution or the rank, "
                "or train fewer targets."
            )

    def _lowered(self, what: str) -> None:
        self.notes.append(f"Memory was short at step {self.step}, so {what}.")

    def state(self, request: Train) -> dict[str, Any]:
        """For `resumed`, after all that `request` asks is done up to here."""
        return {
            "training": _marks(request),
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
            "checkpoints": [asdict(one) for one in self.checkpoints],
            "notes": self.notes,
        }


def resumed(state: Mapping[str, Any], request: Train) -> Course:
    """The course to go on with. Raises InvalidRequest when the state is another training's."""
    if state["training"] != _marks(request):
        raise InvalidRequest("the saved state belongs to another training: start this one anew.")
    lowered = {name: state[name] for name in ("batch", "accumulation", "checkpointing")}
    return Course(
        settings=replace(request.settings, **lowered),
        steps=state["steps"],
        began=state["began"],
        together=state.get("together", True),  # states of older versions do not say
        step=state["step"],
        seconds=state["seconds"],
        losses=state["losses"].tolist(),
        smoothed=state["smoothed"],
        untaught=state.get("untaught", math.inf),
        checkpoints=[Checkpoint(**one) for one in state["checkpoints"]],
        notes=list(state["notes"]),
    )


def _marks(request: Train) -> str:
    """What two runs of one training have in common, and no two trainings."""
    words = (request.trigger, request.subject, request.template, request.prompts)
    return repr((request.settings, request.examples, words))
