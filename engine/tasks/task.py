"""A task: short work that somebody waits for, as a generator of steps that returns its result."""

from collections.abc import Generator
from pathlib import Path
from typing import Generic, TypeVar

from engine.job_store import JobStore
from engine.lora.adapters import Adapters
from engine.messages import ImportLora, JobId, LoraImported, LorasMerged, MergeLoras, Sha256
from engine.sdxl.model import Model

Request = TypeVar("Request", bound=ImportLora | MergeLoras)
Result = TypeVar("Result", bound=LoraImported | LorasMerged)


class Task(Generic[Request, Result]):
    """A task under way. `step` raises its errors: InvalidRequest with the reason for the person."""

    kind = ""

    def __init__(self, request: Request, model: Model, adapters: Adapters, folder: Path) -> None:
        self._request = request
        self._model = model
        self._adapters = adapters
        self._store = JobStore(folder)
        self._steps = self._run()

    @property
    def job(self) -> JobId:
        return self._request.job

    @property
    def unreported(self) -> tuple[Sha256, ...]:
        """What it has put into the store and no event has named yet."""
        return self._store.unreported

    def step(self) -> Result | None:
        """Take the next step. Returns the result once it is done."""
        try:
            next(self._steps)
        except StopIteration as end:
            result: Result = end.value
            self._store.mark_reported(result)
            return result
        return None

    def _run(self) -> Generator[None, None, Result]:
        raise NotImplementedError
