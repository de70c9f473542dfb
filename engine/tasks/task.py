"""Short work beside the pictures, a step at a time: its life is a generator that ends with the answer."""

from collections.abc import Generator
from pathlib import Path
from typing import Generic, TypeVar

from engine.job_store import JobStore
from engine.lora.adapters import Adapters
from engine.messages import ImportLora, JobId, LoraImported, LorasMerged, MergeLoras, Sha256
from engine.sdxl.model import Model

Asked = TypeVar("Asked", bound=ImportLora | MergeLoras)
Answer = TypeVar("Answer", bound=LoraImported | LorasMerged)


class Errand(Generic[Asked, Answer]):
    """One on its way. Errors come out of `step`: InvalidRequest has the reason."""

    kind = ""

    def __init__(self, request: Asked, model: Model, adapters: Adapters, folder: Path) -> None:
        self._request = request
        self._model = model
        self._adapters = adapters
        self._store = JobStore(folder)
        self._life = self._lived()

    @property
    def job(self) -> JobId:
        return self._request.job

    @property
    def untold(self) -> tuple[Sha256, ...]:
        """What it has put into the store and not told yet."""
        return self._store.untold

    def step(self) -> Answer | None:
        """Go on; the answer once it is done."""
        try:
            next(self._life)
        except StopIteration as end:
            answer: Answer = end.value
            self._store.hand_over(answer)
            return answer
        return None

    def _lived(self) -> Generator[None, None, Answer]:
        raise NotImplementedError
