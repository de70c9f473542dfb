"""Captured forwards on a GPU: a CUDA graph for each shape of inputs, which launches all kernels as one.

A forward of SDXL is about 2,000 kernels, which take longer to launch than to run for small pictures. A graph
is captured once and replayed on static copies of later inputs. It reads the UNet's weights where they lie, so
it serves every mix of adapters (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.runners.graphs import Graph, Thresholds, check_graph
from engine.runners.runner import Shape, UnetInputs

WARM_UPS = 3  # forwards before a capture, in which libraries choose their kernels
# A capture takes as long as about five forwards. More graphs than this would take too much memory: each holds
# its inputs, outputs and a few KB a kernel. What lies between is shared, since one graph runs at a time.
THRESHOLDS = Thresholds(busy=8, idle=2, full=200)
GRAPHS = 16


class Recording(Protocol):
    """Work that was captured. `replay` does it again, on the numbers that are in its inputs then."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Where each replay writes what the work returns."""

    def replay(self) -> None:
        """Do the work again."""


class Capturer(Protocol):
    """Captures work on a device."""

    def capture(self, work: Callable[[], tuple[Tensor, ...]]) -> Recording:
        """Do this work, which must not wait for the device, and record it."""


class GraphCapturer:
    """Makes graphs by capturing."""

    verb = "captured"
    in_background = False

    def __init__(self, capturer: Capturer) -> None:
        self.thresholds, self.limit = THRESHOLDS, GRAPHS
        self._capturer = capturer

    def make(self, network: Any, shape: Shape) -> Graph:
        """The captured forward for inputs of this shape. Raises WrongGraph."""
        inputs = UnetInputs.random(shape, network.device)
        recording = self._capturer.capture(lambda: inputs.run(network))

        def replay(later: UnetInputs) -> tuple[Tensor, ...]:
            for target, source in zip(inputs.tensors, later.tensors, strict=True):
                target.copy_(source, non_blocking=True)
            recording.replay()
            return tuple(output.clone() for output in recording.outputs)

        check_graph(replay, network, UnetInputs.random(shape, network.device))
        return replay


@dataclass(frozen=True, kw_only=True)
class CudaRecording:
    """A CUDA graph."""

    graph: torch.cuda.CUDAGraph
    outputs: tuple[Tensor, ...]

    def replay(self) -> None:
        """Launch the graph."""
        self.graph.replay()


class CudaCapturer:
    """Captures work as CUDA graphs, which share the memory between their inputs and outputs."""

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()

    def capture(self, work: Callable[[], tuple[Tensor, ...]]) -> CudaRecording:
        """Warm up on a side stream and capture the work."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Threads that write files or wait for events go on meanwhile.
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            outputs = work()
        return CudaRecording(graph=graph, outputs=outputs)
