"""CUDA graphs of a loss and its gradients, which launch a small model's thousand kernels as one.

On a GPU a step of a model this small is mostly the launching of its kernels. A graph of a step is recorded
once for each shape of its inputs, and replayed on copies of later inputs
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
class RecordedGraph:
    """A graph with its input and output tensors."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    loss: Tensor
    gradients: tuple[Tensor, ...]


class Replay:
    """A loss of its inputs and the parameters, recorded once for each shape of the first input."""

    def __init__(self, loss: Callable[..., Tensor], parameters: Sequence[Tensor]) -> None:
        self._loss, self._parameters = loss, parameters
        self._graphs: dict[torch.Size, RecordedGraph] = {}
        # One graph runs at a time, and its outputs are used before the next, so they can share their memory.
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The loss of these inputs. Its gradients are in the parameters until the next call."""
        shape = inputs[0].shape
        if shape not in self._graphs:
            self._graphs[shape] = self._record(inputs)
        recorded = self._graphs[shape]
        for target, source in zip(recorded.inputs, inputs, strict=True):
            target.copy_(source)
        recorded.graph.replay()
        for parameter, gradient in zip(self._parameters, recorded.gradients, strict=True):
            parameter.grad = gradient
        return recorded.loss.clone()

    def _record(self, examples: tuple[Tensor, ...]) -> RecordedGraph:
        inputs = tuple(example.clone() for example in examples)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                torch.autograd.grad(self._loss(*inputs), self._parameters)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            loss = self._loss(*inputs)
            gradients = tuple(
                map(_match_layout, torch.autograd.grad(loss, self._parameters), self._parameters)
            )
        return RecordedGraph(graph=graph, inputs=inputs, loss=loss.detach(), gradients=gradients)


def _match_layout(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in its parameter's memory layout, which fused optimizers need."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
