"""The progress bar of a terminal; nothing where the output is no terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from commands.syntax.numbers import duration
from engine.messages import Progress as Update
from engine.messages import TrainingProgress


class ProgressBar:
    """Shows that the model is being loaded, then counts steps."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[steps]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("Loading the model", total=None, steps="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show_painting(self) -> None:
        """Show that the model is loaded."""
        self._bar.update(self._task, description="Painting")

    def advance(self, update: Update) -> None:
        """Show how many steps of a picture are done."""
        self._bar.update(
            self._task, completed=update.step, total=update.steps, steps=f"{update.step}/{update.steps}"
        )

    def advance_training(self, update: TrainingProgress) -> None:
        """Show what a training does, and how far it is."""
        parts = [f"{update.step}/{update.steps}"]
        if update.loss is not None:
            parts.append(f"loss {update.loss:.4f}")
        if update.left is not None:
            parts.append(f"{duration(update.left)} left")
        self._bar.update(
            self._task,
            description=update.phase.capitalize(),
            completed=update.step,
            total=update.steps,
            steps="  ".join(parts),
        )

    def say(self, text: str) -> None:
        """Print a line above the bar, also where there is no bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
