"""The exponential moving average of an adapter's numbers in training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class MovingAverage:
    """The average of these tensors over the steps (Polyak and Juditsky 1992), whose decay begins low.

    After n steps the decay is at most (1 + n) / (10 + n), so that the first numbers are soon forgotten.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self._tensors = tensors
        self._decay = decay
        self._steps = 0
        self.values = [tensor.detach().clone() for tensor in tensors]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the tensors as they are after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for value, tensor in zip(self.values, self._tensors, strict=True):
            value.lerp_(tensor, 1 - decay)

    def to_state(self) -> dict[str, Any]:
        """The average as plain values, for `restore`."""
        return {"values": self.values, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `to_state` returned. Raises ValueError where it is of other tensors."""
        if [value.shape for value in state["values"]] != [value.shape for value in self.values]:
            raise ValueError("the average is of other tensors")
        self._steps = state["steps"]
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(saved)
