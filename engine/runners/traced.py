"""Traced forwards of a small UNet on a CPU, one graph for each shape of inputs.

The model that ships has a thousand small operations a forward, of which Python takes a third of the time. A
graph has none of that and computes the same numbers to the last bit. It reads the UNet's weights where they
lie, so it serves every mix of adapters (engine/lora/merged_weights.py). torch deprecates its tracer without a
successor that is as fast here, so it is used in this module alone.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from engine.runners.graphs import Graph, Thresholds
from engine.runners.runner import Shape, UnetInputs

# Tracing takes as long as about fifty forwards, and saves a tenth to a third of each. So a shape is traced
# when it was used so often that this pays, or earlier while nobody waits: after half a picture.
THRESHOLDS = Thresholds(busy=200, idle=8, full=1000)
GRAPHS = 32


class Tracer:
    """Makes graphs with torch.jit.trace."""

    verb = "traced"
    in_background = False

    def __init__(self) -> None:
        self.thresholds, self.limit = THRESHOLDS, GRAPHS

    def make(self, network: Any, shape: Shape) -> Graph:
        """The traced forward for inputs of this shape."""
        graph = trace(network, shape)

        def run(inputs: UnetInputs) -> tuple[Tensor, ...]:
            outputs: tuple[Tensor, ...] = graph(*inputs.tensors)
            return outputs

        return run


def trace(network: Any, shape: Shape) -> Any:
    """The network's forward for inputs of this shape, as a function of `UnetInputs.tensors`."""
    inputs = UnetInputs.zeros(shape, network.device)
    with warnings.catch_warnings():
        # It is deprecated, and warns of each branch that depends on the shape, of which there is one.
        warnings.simplefilter("ignore")
        return torch.jit.trace(  # type: ignore[no-untyped-call]
            _Flat(network, inputs.names), inputs.tensors, check_trace=False
        )


class _Flat(nn.Module):
    """The network with its inputs as tensors in a row, as the tracer wants them."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, sample: Tensor, timestep: Tensor, hidden: Tensor, *added: Tensor) -> tuple[Tensor, ...]:
        inputs = UnetInputs(
            sample=sample, timestep=timestep, hidden=hidden, added=dict(zip(self.names, added, strict=True))
        )
        return inputs.run(self.network)
