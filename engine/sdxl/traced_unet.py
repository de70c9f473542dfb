"""A small UNet on a CPU whose forwards are traced, one graph for each shape of inputs.

The model that ships has a thousand small operations a forward, of which Python takes a third of the time. A
graph has none of that and computes the same numbers to the last bit. It reads the UNet's weights where they
lie, so it serves every mix of adapters (engine/lora/merged_weights.py). torch deprecates its tracer without a
successor that is as fast here, so it is used in this module alone. Where it fails, forwards go on untraced.
"""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor, nn

GRAPHS = 32  # shapes whose graphs are kept
SHAPES = 256  # shapes whose forwards are counted
LARGEST = 10**8  # parameters: the operations of a larger UNet take far longer than Python between them
# Tracing takes as long as about fifty forwards, and saves a tenth to a third of each. So a shape is traced
# when it was used so often that this pays, or earlier while nobody waits.
TRACED_AFTER = 200  # forwards
TRACED_WHEN_IDLE = 8  # forwards: half a picture

Shape = tuple[tuple[torch.Size, torch.dtype], ...]  # of all inputs

log = logging.getLogger(__name__)


class _Flat(nn.Module):
    """The UNet with its inputs as tensors in a row, as the tracer wants them."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: Tensor, timestep: Tensor, hidden: Tensor, pooled: Tensor, ids: Tensor
    ) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": ids}
        output: Tensor = self.unet(
            sample, timestep, encoder_hidden_states=hidden, added_cond_kwargs=added, return_dict=False
        )[0]
        return output


class TracedUnet:
    """Called as the UNet itself is, within torch.inference_mode."""

    def __init__(self, unet: Any) -> None:
        self._flat = _Flat(unet)
        self.device: torch.device = unet.device  # where its inputs must lie
        self._graphs: LRUCache[Shape, Any] = LRUCache(GRAPHS)
        self._forwards: LRUCache[Shape, int] = LRUCache(SHAPES)  # of shapes that are not traced
        self._works = True

    @property
    def graph_count(self) -> int:
        """How many shapes are traced."""
        return len(self._graphs)

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        *,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: Mapping[str, Tensor],
        return_dict: bool,
    ) -> tuple[Tensor]:
        """The UNet's output for these inputs, (rows, 4, h, w)."""
        pooled, ids = added_cond_kwargs["text_embeds"], added_cond_kwargs["time_ids"]
        inputs = (sample, timestep, encoder_hidden_states, pooled, ids)
        shape = tuple((each.shape, each.dtype) for each in inputs)
        graph = self._graphs.get(shape)
        if graph is None:
            forwards = self._forwards[shape] = self._forwards.get(shape, 0) + 1
            if self._works and forwards > TRACED_AFTER:
                graph = self._trace(shape)
        return ((self._flat if graph is None else graph)(*inputs),)

    @property
    def can_trace(self) -> bool:
        """Whether there is a shape to trace while nobody waits."""
        return self._works and max(self._forwards.values(), default=0) >= TRACED_WHEN_IDLE

    def trace_next(self) -> None:
        """Trace the shape that was used most often, if there is one to trace."""
        if self.can_trace:
            shape, _ = max(self._forwards.items(), key=lambda item: item[1])
            self._trace(shape)

    @torch.inference_mode()
    def _trace(self, shape: Shape) -> Any:
        """The graph for inputs of this shape, or None where it cannot be traced."""
        del self._forwards[shape]
        inputs = tuple(torch.zeros(size, dtype=dtype, device=self.device) for size, dtype in shape)
        try:
            with warnings.catch_warnings():
                # It is deprecated, and warns of each branch that depends on the shape, of which there is one.
                warnings.simplefilter("ignore")
                graph = torch.jit.trace(self._flat, inputs, check_trace=False)  # type: ignore[no-untyped-call]
        except Exception:
            log.warning("The UNet cannot be traced and goes on untraced", exc_info=True)
            self._works = False
            return None
        self._graphs[shape] = graph
        return graph


def trace_where_faster(unet: Any, *, compiled: bool) -> Any:
    """The UNet with traced forwards where it is small and on a CPU, or else, or compiled, the UNet itself."""
    is_small = sum(parameter.numel() for parameter in unet.parameters()) <= LARGEST
    return TracedUnet(unet) if unet.device.type == "cpu" and is_small and not compiled else unet
