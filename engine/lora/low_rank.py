"""Linear and convolution modules with low-rank adapters, added to the weight where that is less work.

PEFT's layers apply the module, and then both factors of each adapter, to everything that comes in. To add
their products to the weight first, W + sum of s B A, and to apply that once, is less where much comes in at
once; in training, where the gradient of the whole weight is then needed, where the module is small as well:
in the model that ships. There the modules of one shape are added to at once, as stacks. A convolution counts
as the matrix that it applies to each patch.

What PEFT keeps private is used in this module alone: `_active_adapter`, as read in version 0.21.2.
tests/engine/test_peft_layers.py fails on a version that moves it.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch
from peft.tuners.lora import Conv2d, Linear
from torch import Tensor, nn

# Multiplications in the time of what adding saves beside the products, measured (docs/measurements.md): the
# calls themselves, and to scale and add each number of the answer.
CALLS, NUMBER = 2**20, 160
KEPT = 2**18  # numbers of a weight that may be kept a second time, with what is added to it


class AddedToWeight:
    """What PEFT's layers of both kinds get here; the answers are the same but for the rounding of float32."""

    weight: Tensor
    r: dict[str, int]
    learning: Tensor | None = None  # its weight with the adapter in training, while a stack adds that
    _keeps = False
    _kept: Tensor | None = None  # its weight with the adapters that count, once they were added

    def choose(self: Any, scales: Mapping[str, float], *, keep: bool) -> None:
        """Let exactly these of its adapters count, so much. keep: they will not change, and need to be added
        only once.

        PEFT's set_adapter would do this, and ten times as much: freeze every parameter, here or not.
        """
        self._active_adapter = list(scales)
        for name, scale in scales.items():
            self.set_scale(name, scale)
        self._kept = None
        self._keeps = keep and bool(self._active_adapter) and self.base_layer.weight.numel() <= KEPT

    def forward(self: Any, x: Tensor, *told: Any, **options: Any) -> Tensor:
        """x: what the module takes; returns what it answers."""
        weight = self.learning if self.learning is not None else self._kept
        if told or options or (weight is None and not self._adds(x)):
            answer: Tensor = super().forward(x, *told, **options)  # type: ignore[misc]
            return answer
        weight = self._added() if weight is None else weight
        applied: Tensor = self._applied(x, weight)
        return applied

    def _added(self: Any) -> Tensor:
        """Its weight with the adapters that count; its very own where there are none."""
        if not self._active_adapter:
            return self.base_layer.weight  # type: ignore[no-any-return]
        weight: Tensor = matrix(self.base_layer.weight)
        for name in self._active_adapter:
            up, down = matrix(self.lora_B[name].weight), matrix(self.lora_A[name].weight)
            weight = torch.addmm(weight, up, down, alpha=self.scaling[name])
        weight = shaped(weight, self.base_layer.weight.shape)
        if self._keeps and not torch.compiler.is_compiling():
            self._kept = weight
        return weight

    def _adds(self: Any, x: Tensor) -> bool:
        """Whether the adapters that count may be added to the weight, and are worth it.

        Half precision would round what they change to the last bits of the weight.
        """
        weight = self.base_layer.weight
        if not weight.dtype is x.dtype is torch.float32 or torch.is_autocast_enabled(x.device.type):
            return False
        if self.disable_adapters or self.merged:
            return False
        return all(self._plain(name) and self._less_work(name, x) for name in self._active_adapter)

    def _plain(self: Any, name: str) -> bool:
        """Whether it is no DoRA, and nothing of what comes in is dropped for it."""
        dropout = self.lora_dropout[name]
        # One that drops nothing is in training all the same when its adapter came to a layer that was there.
        drops = dropout.training and not isinstance(dropout, nn.Identity)
        return name not in self.lora_variant and not drops

    def _less_work(self: Any, name: str, x: Tensor) -> bool:
        """Counted in multiplications."""
        if torch.is_grad_enabled() and self.lora_A[name].weight.requires_grad:
            return False  # or it would be in a stack
        rank, rows, (outside, inside) = self.r[name], self._rows(x), matrix(self.base_layer.weight).shape
        apart, added = rows * rank * (inside + outside), rank * inside * outside
        return bool(added < apart + CALLS + NUMBER * rows * outside)


class LowRankLinear(AddedToWeight, Linear):  # type: ignore[misc]
    """PEFT's linear layer: (..., in) becomes (..., out)."""

    def _applied(self, x: Tensor, weight: Tensor) -> Tensor:
        return nn.functional.linear(x, weight, self.base_layer.bias)

    def _rows(self, x: Tensor) -> int:
        return x.numel() // x.shape[-1]


class LowRankConv2d(AddedToWeight, Conv2d):  # type: ignore[misc]
    """PEFT's convolution: (B, in, H, W) becomes (B, out, H', W')."""

    def _applied(self, x: Tensor, weight: Tensor) -> Tensor:
        module = self.base_layer
        return nn.functional.conv2d(
            x, weight, module.bias, module.stride, module.padding, module.dilation, module.groups
        )

    def _rows(self, x: Tensor) -> int:
        """The patches that it is applied to."""
        return int(x[:, 0].numel() // math.prod(self.base_layer.stride))


def matrix(weight: Tensor) -> Tensor:
    """The weight as (out, in): of a convolution (out, height * width * in), a view where its channels come
    last."""
    return weight.movedim(1, -1).flatten(1)


def shaped(weight: Tensor, shape: torch.Size) -> Tensor:
    """What `matrix` made flat, in the shape of a module's weight again: a view."""
    outside, inside, *kernel = shape
    return weight.view(outside, *kernel, inside).movedim(-1, 1)


class Stack:
    """The factors of one adapter in training in modules of one shape, side by side.

    down: (modules, rank, in) and up: (modules, out, rank) are what an optimizer takes, as `matrix` has them;
    the layers' own factors are views of them, which need no gradients.
    """

    def __init__(self, layers: Sequence[Any], name: str) -> None:
        self._layers = layers
        self._name = name
        held = [(layer.lora_A[name], layer.lora_B[name]) for layer in layers]
        with torch.no_grad():
            self._weight = torch.stack([matrix(layer.base_layer.weight) for layer in layers])
            self.down = nn.Parameter(torch.stack([matrix(down.weight) for down, _ in held]))
            self.up = nn.Parameter(torch.stack([matrix(up.weight) for _, up in held]))
        for factors, *views in zip(held, self.down.detach(), self.up.detach(), strict=True):
            for factor, view in zip(factors, views, strict=True):
                factor.weight = nn.Parameter(shaped(view, factor.weight.shape), requires_grad=False)

    def add(self) -> None:
        """Let the layers answer with W + s B A, for one forward and backward."""
        scale = self._layers[0].scaling[self._name]
        added = torch.baddbmm(self._weight, self.up, self.down, alpha=scale)
        for layer, weight in zip(self._layers, added.unbind(), strict=True):
            layer.learning = shaped(weight, layer.base_layer.weight.shape)

    def take_off(self) -> None:
        """Let them answer as before."""
        for layer in self._layers:
            layer.learning = None


def stacks(layers: Iterable[Any], name: str) -> list[Stack]:
    """The stacks of those layers for which to add this adapter, in training, is less work.

    It is one that neither drops anything nor is a DoRA. Layers of another kind, too large, or in half
    precision, which would round what it changes to the last bits of their weights, are left out.
    """
    alike: dict[Hashable, list[Any]] = defaultdict(list)
    for layer in layers:
        if isinstance(layer, AddedToWeight) and layer.weight.dtype is torch.float32 and _small(layer, name):
            alike[type(layer), matrix(layer.weight).shape, layer.r[name]].append(layer)
    return [Stack(of_one_shape, name) for of_one_shape in alike.values()]


def _small(layer: Any, name: str) -> bool:
    """Counted in multiplications for a row: backward does both factors twice again, or the weight once."""
    rank, (outside, inside) = layer.r[name], matrix(layer.weight).shape
    return bool(inside * outside < 3 * rank * (inside + outside) + NUMBER * outside)
