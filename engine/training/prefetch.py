"""What the next step needs, prepared beside the current one: rows in a thread, and losses read a step late.

So a GPU always has a step to go on with while the numbers of the one before are read.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.training.loss import Rows


class RowPrefetcher:
    """Micro-batches on the device, each prepared in the pool while the one before is trained on."""

    def __init__(self, make: Callable[[int, int], Rows], device: torch.device, pool: Executor) -> None:
        """make: the micro-batch of a number and a size, on the CPU. It never runs twice at a time."""
        self._make = make
        self._device = device
        self._pool = pool
        self._next: tuple[int, int] | None = None
        self._prepared: Future[Rows] | None = None

    def rows(self, number: int, batch: int) -> Rows:
        """The micro-batch with this number. The next one is prepared from now on."""
        if self._prepared is None or self._next != (number, batch):
            self._prepare(number, batch)
        prepared, self._prepared = self._prepared, None
        rows = prepared.result() if prepared is not None else self._make(number, batch)
        self._prepare(number + 1, batch)
        return rows.to(self._device)

    def _prepare(self, number: int, batch: int) -> None:
        if self._prepared is not None:
            self._prepared.exception()  # waits for its end
        self._next, self._prepared = (number, batch), self._pool.submit(self._make_pinned, number, batch)

    def _make_pinned(self, number: int, batch: int) -> Rows:
        rows = self._make(number, batch)
        return rows.pin() if self._device.type == "cuda" else rows


@dataclass(frozen=True, kw_only=True)
class _LateLoss:
    """A step's loss on its way from the device. arrived: the event of its arrival, on a GPU."""

    step: int
    number: Tensor
    arrived: torch.cuda.Event | None


class LateLosses:
    """The losses of steps, read when the step after theirs has been given to the device."""

    def __init__(self) -> None:
        self._waiting: deque[_LateLoss] = deque()

    def add(self, step: int, loss: Tensor) -> Iterator[tuple[int, float]]:
        """Add the loss of a step, a scalar, and return those of the steps before it, with their steps."""
        earlier = self.read()
        number, arrived = loss, None
        if loss.is_cuda:
            number = torch.empty_like(loss, device="cpu", pin_memory=True)
            number.copy_(loss, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self._waiting.append(_LateLoss(step=step, number=number, arrived=arrived))
        return earlier

    def read(self) -> Iterator[tuple[int, float]]:
        """The losses that were not read yet, with their steps. It waits for them."""
        late, self._waiting = self._waiting, deque()
        return ((loss.step, _wait(loss)) for loss in late)


def _wait(loss: _LateLoss) -> float:
    if loss.arrived is not None:
        loss.arrived.synchronize()
    return float(loss.number)
