"""CUDA graphs of an error and its gradients: a small model's thousand kernels are launched as one.

On a GPU a step of a model this small is mostly the launching of its kernels. A graph of a step is recorded
once for each shape of what it is shown, and replayed on copies of what comes later
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WARM_UPS = 3
"""Runs before recording, in which libraries choose their kernels."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A graph, the tensors that it reads, and those that it writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    error: Tensor
    gradients: tuple[Tensor, ...]


class Replay:
    """An error of its arguments and the parameters, recorded once for each shape of the first argument."""

    def __init__(self, error: Callable[..., Tensor], parameters: Sequence[Tensor]) -> None:
        self._error, self._parameters = error, parameters
        self._recorded: dict[torch.Size, Recorded] = {}
        # One graph runs at a time, and what it leaves is used before the next: they can share their memory.
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, shown: tuple[Tensor, ...]) -> Tensor:
        """The error of what is shown; its gradients lie in the parameters until the next call."""
        shape = shown[0].shape
        if shape not in self._recorded:
            self._recorded[shape] = self._record(shown)
        recorded = self._recorded[shape]
        for mine, given in zip(recorded.inputs, shown, strict=True):
            mine.copy_(given)
        recorded.graph.replay()
        for parameter, gradient in zip(self._parameters, recorded.gradients, strict=True):
            parameter.grad = gradient
        return recorded.error.clone()

    def _record(self, shown: tuple[Tensor, ...]) -> Recorded:
        inputs = tuple(given.clone() for given in shown)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                torch.autograd.grad(self._error(*inputs), self._parameters)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            error = self._error(*inputs)
            gradients = tuple(map(_laid_out, torch.autograd.grad(error, self._parameters), self._parameters))
        return Recorded(graph=graph, inputs=inputs, error=error.detach(), gradients=gradients)


def _laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in its parameter's memory layout, which fused optimizers ask for."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
