"""Layers of an adapter in training of a kind of LyCORIS's, which stand in for the modules at its turns."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.lora.key_names import KeyNames, Place
from engine.lora.lycoris_change import UNSCALED, LycorisChange, initial_tensors, lycoris_delta
from engine.lora.targets import ON_INPUT, Target
from engine.messages import AdapterKind


class LycorisLayer(nn.Module):
    """A linear or convolution layer with a change in training, whose numbers are float32.

    Where the layer computes in float32 the change is added to its weight, which is less work. In half
    precision that would round it to the last bits of the weight, and it is applied beside.
    """

    def __init__(self, module: Any, change: LycorisChange) -> None:
        super().__init__()
        self.base_layer = module
        self.kind = change.kind
        self.scale = change.scale
        self.alpha = change.alpha
        self.fixed = {
            name: tensor for name, tensor in change.tensors.items() if not tensor.is_floating_point()
        }
        self.factors = nn.ParameterDict(
            {
                name: nn.Parameter(tensor.to(module.weight.device, torch.float32, copy=True))
                for name, tensor in change.tensors.items()
                if name not in self.fixed
            }
        )

    @property
    def weight(self) -> Tensor:
        """The base's weight."""
        weight: Tensor = self.base_layer.weight
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output for its input x, with the change."""
        with torch.autocast(x.device.type, enabled=False):
            tensors = {**self.factors, **self.fixed}
            delta = lycoris_delta(self.kind, tensors, self.scale, self.weight.float())
        if self.weight.dtype is x.dtype is torch.float32 and not torch.is_autocast_enabled(x.device.type):
            return self._apply_weight(x, self.weight + delta, self.base_layer.bias)
        output: Tensor = self.base_layer(x)
        return output + self._apply_weight(x, delta.to(output.dtype), None)

    def _apply_weight(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        module = self.base_layer
        if isinstance(module, nn.Conv2d):
            return nn.functional.conv2d(
                x, weight, bias, module.stride, module.padding, module.dilation, module.groups
            )
        return nn.functional.linear(x, weight, bias)

    def current_change(self) -> LycorisChange:
        """The change by now: copies on the CPU, float32."""
        factors = {name: factor.detach().to("cpu", copy=True) for name, factor in self.factors.items()}
        return LycorisChange(kind=self.kind, tensors={**factors, **self.fixed}, alpha=self.alpha)

    @torch.no_grad()
    def restore_change(self, change: LycorisChange) -> None:
        """Set the numbers to those of this change. The parameters stay the same objects."""
        for name, factor in self.factors.items():
            factor.copy_(change.tensors[name])


def initial_changes(
    names: KeyNames, targets: Mapping[Place, Target], kind: AdapterKind, seed: int
) -> dict[Place, LycorisChange]:
    """The untrained changes of these targets, which are zero."""
    generator = torch.Generator().manual_seed(seed)
    return {
        place: LycorisChange(
            kind=kind,
            tensors=initial_tensors(
                kind, names.shapes[place], target.rank, generator, on_input=place.path.endswith(ON_INPUT)
            ),
            alpha=0.0 if kind in UNSCALED else target.alpha,
        )
        for place, target in targets.items()
    }
