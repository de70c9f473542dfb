"""A progress bar in a terminal; nothing at all where nobody would see it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from commands.syntax.numbers import duration
from engine.messages import Progress as Update
from engine.messages import TrainingProgress


class Bar:
    """First the model is loaded, then steps are counted."""

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
        self._task: TaskID = self._bar.add_task("loading the model", total=None, steps="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def painting(self) -> None:
        """The model is there."""
        self._bar.update(self._task, description="painting")

    def advance(self, update: Update) -> None:
        """So many steps are done."""
        self._bar.update(
            self._task, completed=update.step, total=update.steps, steps=f"{update.step}/{update.steps}"
        )

    def learn(self, update: TrainingProgress) -> None:
        """So much is learned, of what the training does at the moment."""
        told = [f"{update.step}/{update.steps}"]
        if update.loss is not None:
            told.append(f"loss {update.loss:.4f}")
        if update.left is not None:
            told.append(f"{duration(update.left)} left")
        self._bar.update(
            self._task,
            description=update.phase,
            completed=update.step,
            total=update.steps,
            steps="  ".join(told),
        )

    def say(self, text: str) -> None:
        """A line above the bar; also where no bar is seen."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
