"""A runner with a graph for each shape of inputs, made when the shape was used often enough."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

import torch
from cachetools import LRUCache
from torch import Tensor, nn

from engine.runners.runner import EagerRunner, Shape, UnetInputs

SHAPES = 256  # shapes whose forwards are counted
LARGEST_ERROR = 0.05  # of a graph in half precision against the network, relative to the outputs

# It returns None where it cannot serve the UNet's weights as they are now, and the network is to run.
Graph = Callable[[UnetInputs], tuple[Tensor, ...] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a shape gets a graph: after so many forwards, or after so many while nobody waits.

    full: after so many where another graph must go for it.
    """

    busy: int
    idle: int
    full: int


class GraphMaker(Protocol):
    """Makes graphs of a network's forwards, in the main thread or in another.

    verb: what it does to them, as a participle for the log. limit: how many graphs are kept.
    """

    verb: str
    thresholds: Thresholds
    limit: int
    in_background: bool

    def make(self, network: Any, shape: Shape) -> Graph:
        """The graph for inputs of this shape. Raises whatever it likes where there can be none."""


class WrongGraph(Exception):
    """A graph computes other numbers than its network."""


class GraphRunner(EagerRunner):
    """Runs graphs of a network where it has them. Where one fails, forwards go on eagerly."""

    def __init__(self, network: nn.Module | EagerRunner, maker: GraphMaker) -> None:
        """network: or a runner of it, for forwards without a graph."""
        super().__init__(network)
        self._maker = maker
        self._graphs: LRUCache[Shape, Graph] = LRUCache(maker.limit)
        self._forwards: LRUCache[Shape, int] = LRUCache(SHAPES)  # of shapes without a graph
        self._works = True
        self._made: SimpleQueue[tuple[Shape, Graph | Exception]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def graph_count(self) -> int:
        """How many shapes have a graph."""
        return len(self._graphs)

    def use(self, network: nn.Module) -> None:
        """Run this network from now on. Its graphs are made while nobody waits."""
        super().use(network)
        self.expect(*self._graphs)
        self._graphs.clear()

    def expect(self, *shapes: Shape) -> None:
        """Make graphs of these shapes while nobody waits, before they are used."""
        for shape in shapes:
            self._forwards[shape] = max(self._maker.thresholds.idle, self._forwards.get(shape, 0))

    def run(self, inputs: UnetInputs) -> tuple[Tensor, ...]:
        self._take_made()
        graph = self._graph(inputs.shape)
        try:
            outputs = None if graph is None else graph(inputs)
            return super().run(inputs) if outputs is None else outputs
        except torch.AcceleratorError:
            raise
        except torch.OutOfMemoryError as error:
            if not self._graphs:
                raise
            self._give_up(error)
            torch.cuda.empty_cache()
            return super().run(inputs)
        except Exception as error:
            if graph is None:
                raise
            eager = super().run(inputs)  # what is not a fault of the graph fails again
            self._give_up(error)
            return eager

    def _graph(self, shape: Shape) -> Graph | None:
        """The graph of this shape, made now where it was used often enough."""
        graph = self._graphs.get(shape)
        if graph is None and self._works:
            forwards = self._forwards[shape] = self._forwards.get(shape, 0) + 1
            thresholds = self._maker.thresholds
            enough = thresholds.full if self._is_full else thresholds.busy
            if forwards > enough and not (self.is_preparing or self.is_paused):
                self._prepare(shape)
                graph = self._graphs.get(shape)
        return graph

    @property
    def can_prepare(self) -> bool:
        if self.is_preparing or self.is_paused:
            return False
        return self._can_make or self._eager_can_prepare

    @property
    def _can_make(self) -> bool:
        """Whether a shape was used often enough for a graph while nobody waits, and there is room for it."""
        most = max(self._forwards.values(), default=0)
        return self._works and not self._is_full and most >= self._maker.thresholds.idle

    @property
    def _eager_can_prepare(self) -> bool:
        """Whether what runs forwards without a graph has something to prepare."""
        return isinstance(self._network, EagerRunner) and self._network.can_prepare

    @property
    def _is_full(self) -> bool:
        return len(self._graphs) >= self._maker.limit

    def prepare_next(self) -> None:
        """Make the graph of the shape that was used most often, if there is one to make."""
        if not self.can_prepare:
            return
        if self._can_make:
            shape, _ = max(self._forwards.items(), key=lambda item: item[1])
            self._prepare(shape)
        else:
            self._network.prepare_next()

    def forget(self, shape: Shape) -> None:
        self._forwards.pop(shape, None)

    @property
    def is_preparing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._take_made()

    def _prepare(self, shape: Shape) -> None:
        """Make the graph for inputs of this shape, or begin to."""
        del self._forwards[shape]
        if self._maker.in_background:
            self._thread = threading.Thread(target=self._make, args=(shape,), name="graphs", daemon=True)
            self._thread.start()
        else:
            self._make(shape)
            self._take_made()

    @torch.inference_mode()
    def _make(self, shape: Shape) -> None:
        """Make the graph for inputs of this shape, for `_take_made`."""
        try:
            self._made.put((shape, self._maker.make(self._network, shape)))
        except Exception as error:
            if self.device.type != "cpu":
                torch.accelerator.synchronize(self.device)  # raises again where the device is lost
            self._made.put((shape, error))

    def _take_made(self) -> None:
        """Take the graphs that were made, or give up where one could not be made."""
        while not self._made.empty():
            shape, graph = self._made.get()
            if isinstance(graph, Exception):
                self._give_up(graph)
            elif self._works:
                self._graphs[shape] = graph
                if isinstance(self._network, EagerRunner):
                    self._network.forget(shape)

    def _give_up(self, error: Exception) -> None:
        """Go on without graphs."""
        log.warning("Forwards cannot be %s and go on as they are", self._maker.verb, exc_info=error)
        self._works = False
        self._graphs.clear()


def check_graph(graph: Graph, network: Any, inputs: UnetInputs, largest_error: float = LARGEST_ERROR) -> None:
    """Raise WrongGraph unless the graph's outputs for these inputs are nearly the network's."""
    for output, expected in zip(graph(inputs) or (), inputs.run(network), strict=True):
        error = (output.float() - expected.float()).norm()
        # A comparison with NaN is false, and so is one with outputs that are infinite.
        if expected.isfinite().all() and not error <= largest_error * expected.float().norm():
            raise WrongGraph(f"The outputs differ by {float(error / expected.float().norm()):.3g}.")
