"""A runner with a graph for each shape of inputs, made when the shape was used often enough."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from cachetools import LRUCache
from torch import Tensor, nn

from engine.runners.runner import EagerRunner, Shape, UnetInputs

SHAPES = 256  # shapes whose forwards are counted

Graph = Callable[[UnetInputs], tuple[Tensor, ...]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a shape gets a graph: after so many forwards, or after so many while nobody waits."""

    busy: int
    idle: int


class GraphMaker(Protocol):
    """Makes graphs of a network's forwards. `verb`: what it does to them, as a participle for the log."""

    verb: str
    thresholds: Thresholds
    limit: int  # graphs that are kept

    def make(self, network: Any, shape: Shape) -> Graph:
        """The graph for inputs of this shape. Raises whatever it likes where there can be none."""


class GraphRunner(EagerRunner):
    """Runs graphs of a network where it has them. Where making one fails, forwards go on eagerly."""

    def __init__(self, network: nn.Module, maker: GraphMaker) -> None:
        super().__init__(network)
        self._maker = maker
        self._graphs: LRUCache[Shape, Graph] = LRUCache(maker.limit)
        self._forwards: LRUCache[Shape, int] = LRUCache(SHAPES)  # of shapes without a graph
        self._works = True

    @property
    def graph_count(self) -> int:
        """How many shapes have a graph."""
        return len(self._graphs)

    def run(self, inputs: UnetInputs) -> tuple[Tensor, ...]:
        shape = inputs.shape
        graph = self._graphs.get(shape)
        if graph is None and self._works:
            forwards = self._forwards[shape] = self._forwards.get(shape, 0) + 1
            if forwards > self._maker.thresholds.busy:
                graph = self._make(shape)
        return super().run(inputs) if graph is None else graph(inputs)

    @property
    def can_prepare(self) -> bool:
        return self._works and max(self._forwards.values(), default=0) >= self._maker.thresholds.idle

    def prepare_next(self) -> None:
        """Make the graph of the shape that was used most often, if there is one to make."""
        if self.can_prepare:
            shape, _ = max(self._forwards.items(), key=lambda item: item[1])
            self._make(shape)

    @torch.inference_mode()
    def _make(self, shape: Shape) -> Graph | None:
        """The graph for inputs of this shape, or None where there can be none."""
        del self._forwards[shape]
        try:
            graph = self._maker.make(self._network, shape)
        except torch.AcceleratorError:
            raise
        except Exception:
            log.warning("Forwards cannot be %s and go on as they are", self._maker.verb, exc_info=True)
            self._works = False
            self._graphs.clear()
            return None
        self._graphs[shape] = graph
        return graph
