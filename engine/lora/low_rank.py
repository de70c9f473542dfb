"""Linear and convolution layers with low-rank adapters, by as few operations as can be.

PEFT's layers apply the module, and then both factors of each adapter, to the input. Merging their products
into the weight first, W + sum of s B A, and applying that once is less work for large inputs. In training,
where the gradient of the whole weight is then needed, it is less work for small modules in float32: those of
the model that ships. There the modules of one shape are merged at once, as stacks. A convolution counts as
the matrix that it applies to each patch. All others apply the factors in training as in
engine/lora/low_rank_pass.py, in the number format of the forward pass.

PEFT's private `_active_adapter` is used in this module alone, as in version 0.21.2.
tests/engine/test_peft_layers.py fails on a version that moves it.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import torch
from peft.tuners.lora import Conv2d, Linear
from torch import Tensor, nn

from engine.lora.low_rank_pass import TrainingFactors, apply_convolution, apply_linear

# Multiplications in the time that merging saves beside the products, measured (docs/measurements.md): of the
# calls themselves, and of scaling and adding each number of the output.
CALLS, NUMBER = 2**20, 160


class MergingLayer:
    """What is added to PEFT's layers of both kinds. The outputs are the same but for float32 rounding."""

    weight: Tensor
    r: dict[str, int]
    scaling: dict[str, float]
    training_weight: Tensor | None = None  # its weight with the adapter in training, while a stack is merged
    training_factors: Mapping[str, TrainingFactors] = MappingProxyType({})  # by adapters in training

    def activate_adapters(self: Any, scales: Mapping[str, float]) -> None:
        """Activate exactly these of its adapters, with these scales.

        PEFT's set_adapter would do this too, and freeze every parameter, which takes ten times as long.
        """
        self._active_adapter = list(scales)
        for name, scale in scales.items():
            self.set_scale(name, scale)

    def forward(self: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
        """The module's output for its input x, with the active adapters."""
        weight = self.training_weight
        factors = self._factors_in_use(x) if weight is None and not args and not options else None
        if factors is not None:
            low_rank: Tensor = self._apply_factors(x, factors)
            return low_rank
        if args or options or (weight is None and not self._should_merge(x)):
            plain: Tensor = super().forward(x, *args, **options)  # type: ignore[misc]
            return plain
        weight = self._weight_with_adapters() if weight is None else weight
        output: Tensor = self._apply_weight(x, weight)
        return output

    def _factors_in_use(self: Any, x: Tensor) -> TrainingFactors | None:
        """The factors in training, where they alone are active and x is used in their number format."""
        if len(self._active_adapter) != 1:
            return None
        factors: TrainingFactors | None = self.training_factors.get(self._active_adapter[0])
        if factors is None:
            return None
        kind = x.device.type
        used = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return factors if factors.down.value.dtype is used else None

    def _drop(self: Any, x: Tensor) -> Tensor:
        """The input with the dropout of the active adapter: x itself where there is none."""
        dropout = self.lora_dropout[self._active_adapter[0]]
        drops = dropout.training and not isinstance(dropout, nn.Identity)
        return cast(Tensor, dropout(x)) if drops else x

    def _weight_with_adapters(self: Any) -> Tensor:
        """Its weight with the active adapters, or the weight itself where there are none."""
        if not self._active_adapter:
            return self.base_layer.weight  # type: ignore[no-any-return]
        weight: Tensor = flatten_weight(self.base_layer.weight)
        for name in self._active_adapter:
            up, down = flatten_weight(self.lora_B[name].weight), flatten_weight(self.lora_A[name].weight)
            weight = torch.addmm(weight, up, down, alpha=self.scaling[name])
        return unflatten_weight(weight, self.base_layer.weight.shape)

    def _should_merge(self: Any, x: Tensor) -> bool:
        """Whether the active adapters can be merged into the weight, and that is less work.

        Half precision would round their changes to the last bits of the weight.
        """
        weight = self.base_layer.weight
        if not weight.dtype is x.dtype is torch.float32 or torch.is_autocast_enabled(x.device.type):
            return False
        if self.disable_adapters or self.merged:
            return False
        return all(self._is_plain(name) and self._is_less_work(name, x) for name in self._active_adapter)

    def _is_plain(self: Any, name: str) -> bool:
        """Whether it is no DoRA and drops no inputs."""
        dropout = self.lora_dropout[name]
        # A dropout of nothing is in training mode where its adapter was added to an existing layer.
        drops = dropout.training and not isinstance(dropout, nn.Identity)
        return name not in self.lora_variant and not drops

    def _is_less_work(self: Any, name: str, x: Tensor) -> bool:
        """Whether merging takes fewer multiplications than applying the factors."""
        if torch.is_grad_enabled() and self.lora_A[name].weight.requires_grad:
            return False  # or it would be in a stack
        rank, rows = self.r[name], self._count_rows(x)
        outputs, inputs = flatten_weight(self.base_layer.weight).shape
        apart, merged = rows * rank * (inputs + outputs), rank * inputs * outputs
        return bool(merged < apart + CALLS + NUMBER * rows * outputs)


class LowRankLinear(MergingLayer, Linear):  # type: ignore[misc]
    """PEFT's linear layer: from (..., in) to (..., out)."""

    def _apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return nn.functional.linear(x, weight, self.base_layer.bias)

    def _apply_factors(self, x: Tensor, factors: TrainingFactors) -> Tensor:
        return apply_linear(self.base_layer, x, self._drop(x), factors)

    def _count_rows(self, x: Tensor) -> int:
        return x.numel() // x.shape[-1]


class LowRankConv2d(MergingLayer, Conv2d):  # type: ignore[misc]
    """PEFT's convolution: from (B, in, H, W) to (B, out, H', W')."""

    def _apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        module = self.base_layer
        return nn.functional.conv2d(
            x, weight, module.bias, module.stride, module.padding, module.dilation, module.groups
        )

    def _apply_factors(self, x: Tensor, factors: TrainingFactors) -> Tensor:
        return apply_convolution(self.base_layer, x, self._drop(x), factors)

    def _count_rows(self, x: Tensor) -> int:
        """How many patches it is applied to."""
        return int(x[:, 0].numel() // math.prod(self.base_layer.stride))


def flatten_weight(weight: Tensor) -> Tensor:
    """The weight as a matrix (out, in), of a convolution (out, height * width * in): a view where its
    channels come last.
    """
    return weight.movedim(1, -1).flatten(1)


def unflatten_weight(weight: Tensor, shape: torch.Size) -> Tensor:
    """What `flatten_weight` made a matrix, in this shape of a module's weight again: a view."""
    outputs, inputs, *kernel = shape
    return weight.view(outputs, *kernel, inputs).movedim(-1, 1)


class LayerStack:
    """The factors of one adapter in training in modules of one shape, stacked.

    down: (modules, rank, in) and up: (modules, out, rank) are the parameters that are optimized, as matrices.
    The layers' own factors are views of them without gradients.
    """

    def __init__(self, layers: Sequence[Any], name: str) -> None:
        self._layers = layers
        self._name = name
        factors = [(layer.lora_A[name], layer.lora_B[name]) for layer in layers]
        with torch.no_grad():
            self._weight = torch.stack([flatten_weight(layer.base_layer.weight) for layer in layers])
            self.down = nn.Parameter(torch.stack([flatten_weight(down.weight) for down, _ in factors]))
            self.up = nn.Parameter(torch.stack([flatten_weight(up.weight) for _, up in factors]))
        self.share_factors()

    @property
    def first(self) -> Any:
        """The first of its layers."""
        return self._layers[0]

    def share_factors(self) -> None:
        """Make the layers' own factors views of the parameters, after these moved to other memory."""
        factors = [(layer.lora_A[self._name], layer.lora_B[self._name]) for layer in self._layers]
        for pair, *views in zip(factors, self.down.detach(), self.up.detach(), strict=True):
            for factor, view in zip(pair, views, strict=True):
                factor.weight = nn.Parameter(unflatten_weight(view, factor.weight.shape), requires_grad=False)

    def merge(self) -> None:
        """Set the layers' weights to W + s B A, for one forward and backward."""
        scale = self._layers[0].scaling[self._name]
        merged = torch.baddbmm(self._weight, self.up, self.down, alpha=scale)
        for layer, weight in zip(self._layers, merged.unbind(), strict=True):
            layer.training_weight = unflatten_weight(weight, layer.base_layer.weight.shape)

    def unmerge(self) -> None:
        """Set the layers' weights as before."""
        for layer in self._layers:
            layer.training_weight = None


def make_stacks(layers: Iterable[Any], name: str) -> list[LayerStack]:
    """Stacks of the layers for which merging this adapter, in training, is less work.

    The adapter has no dropout and is no DoRA. Layers of another class, too large ones, and those in half
    precision, which would round its changes to the last bits of their weights, are left out.
    """
    alike: dict[Hashable, list[Any]] = defaultdict(list)
    for layer in layers:
        if isinstance(layer, MergingLayer) and layer.weight.dtype is torch.float32 and _is_small(layer, name):
            shape, scale = flatten_weight(layer.weight).shape, layer.scaling[name]
            alike[type(layer), shape, layer.r[name], scale].append(layer)
    return [LayerStack(same_shape, name) for same_shape in alike.values()]


def _is_small(layer: Any, name: str) -> bool:
    """Whether merging takes fewer multiplications a row: backward needs both factors twice, or the weight."""
    rank, (outputs, inputs) = layer.r[name], flatten_weight(layer.weight).shape
    return bool(inputs * outputs < 3 * rank * (inputs + outputs) + NUMBER * outputs)
