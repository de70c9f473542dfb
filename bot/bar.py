"""A progress bar in a terminal; nothing at all where nobody would see it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from engine.messages import Progress as Update


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
