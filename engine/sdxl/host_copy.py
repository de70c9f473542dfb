"""Copies of a device's tensors to the host, which hold up neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class HostCopy:
    """Tensors on the CPU that are there when `ready` says so, and after `wait`."""

    tensors: Sequence[Tensor]
    arrived: torch.Event | None = None  # None where they are there already

    @property
    def ready(self) -> bool:
        return self.arrived is None or bool(self.arrived.query())

    def wait(self) -> Sequence[Tensor]:
        """The tensors, once they are there."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.tensors


def copy_to_host(*tensors: Tensor) -> HostCopy:
    """Begin to copy these tensors of one device.

    On a GPU they go to pinned memory on a stream of their own, after what is in the queue now, while the
    device goes on with what comes after.
    """
    device = tensors[0].device
    if device.type != "cuda":
        return HostCopy(tensors=[tensor.cpu() for tensor in tensors])
    stream = copy_stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        copies = [
            torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
            for tensor in tensors
        ]
        arrived = stream.record_event()
    for tensor in tensors:
        tensor.record_stream(stream)  # so that its memory is not used again before it is copied
    return HostCopy(tensors=copies, arrived=arrived)


@cache
def copy_stream(device: torch.device) -> Any:
    """The stream of this GPU for copies."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
