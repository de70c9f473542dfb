"""The card of a training: its report, loss curve, checkpoints, and the command to copy."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.cards.card import Card, CardCheckpoint, CardNote, Curve
from bot.jobs.progress import JobProgress
from commands.syntax.numbers import duration, pluralize
from commands.training_options import parameters_text
from engine.messages import Train
from storage.training_views import TrainingView
from storage.views import JobView

SMOOTHING = 0.1  # the weight of the newest loss in the smoothed curve; older ones fade

Points = Sequence[tuple[int, float]]


def training_card(base: Card, view: JobView, training: TrainingView, progress: JobProgress) -> Card:
    """The card of a training, from what it has in common with other cards."""
    return replace(
        base,
        line=_line(base, view, training, progress),
        notes=tuple(
            CardNote(name=note.name, text=", ".join(note.problems), used=note.used) for note in training.notes
        ),
        problems=training.problems,
        sheet=training.sheet,
        curve=_curve(training, view.steps or training.estimate_steps),
        prompts=view.request.prompts if isinstance(view.request, Train) else (),
        checkpoints=_checkpoints(training),
        untrained=any(checkpoint.step == 0 and checkpoint.samples for checkpoint in training.checkpoints),
        line_to_copy=_line_to_copy(training),
    )


def _line(base: Card, view: JobView, training: TrainingView, progress: JobProgress) -> str:
    match view.state:
        case "draft":
            return _report(training, progress)
        case "running" if progress.phase:
            return _running(progress)
        case "succeeded":
            trained = f"Trained in {duration(view.charged)}"
            return f"{trained}. {training.note}" if training.note else trained
        case _:
            return base.line


def _report(training: TrainingView, progress: JobProgress) -> str:
    if not training.reported and progress.steps:
        return f"Checking the pictures: {progress.step:,} of {progress.steps:,}"
    if not training.reported:
        return "Checking the pictures"
    used = training.used
    if not used:
        return "None of the pictures can be used"
    pictures = pluralize(training.pictures, "picture")
    count = pictures if used == training.pictures else f"{used} of {pictures}"
    steps = pluralize(training.estimate_steps, "step")
    report = f"{count}, {steps}, about {duration(training.estimate_seconds)}"
    return f"{report}, {parameters_text(training.parameters)}" if training.parameters else report


def _running(progress: JobProgress) -> str:
    parts = [progress.phase.capitalize(), f"step {progress.step} of {progress.steps}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.left is not None:
        parts.append(f"about {duration(progress.left)} left")
    return ", ".join(parts)


def _curve(training: TrainingView, steps: int) -> Curve | None:
    validation = tuple(
        (checkpoint.step, checkpoint.validation)
        for checkpoint in training.checkpoints
        if checkpoint.validation is not None
    )
    if not training.losses and not validation:
        return None
    return Curve(
        losses=training.losses,
        smoothed=tuple(smooth(training.losses)),
        validation=validation,
        best=training.best,
        steps=steps,
    )


def smooth(points: Points) -> Iterator[tuple[int, float]]:
    """An exponential moving average without bias towards 0 (Kingma and Ba 2015, section 3)."""
    mean = weight = 0.0
    for step, value in points:
        mean += SMOOTHING * (value - mean)
        weight += SMOOTHING * (1 - weight)
        yield step, mean / weight


def _checkpoints(training: TrainingView) -> tuple[CardCheckpoint, ...]:
    """All while it trains, and at the end those to choose from."""
    ended = training.best is not None
    return tuple(
        CardCheckpoint(
            place=checkpoint.place,
            step=checkpoint.step,
            validation=checkpoint.validation,
            chosen=checkpoint.step == training.chosen,
            samples=len(checkpoint.samples),
        )
        for checkpoint in training.checkpoints
        if checkpoint.step > 0 and (checkpoint.candidate or not ended)
    )


def _line_to_copy(training: TrainingView) -> str:
    if training.adapter is None:
        return ""
    return f"/imagine a photo of {training.phrase} --lora {training.adapter}"
