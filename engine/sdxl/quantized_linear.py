"""Linear layers whose weights are held in 8 or 4 bits, for cards with little memory.

A layer makes its weight anew, in the precision that the model computes in, at each forward and backward. So
what a mix of LoRAs changes is added to the numbers as they are made, and is not rounded to so few bits. int8
and fp8 have a scale for each output; nf4 has one for every 64 numbers (Dettmers et al. 2023, arXiv
2305.14314), and is bitsandbytes's. The layers of bitsandbytes and torchao keep their numbers to themselves,
so that no mix could be added.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.messages import WeightFormat

LARGEST = {WeightFormat.INT8: 127.0, WeightFormat.FP8: 448.0}  # numbers
BLOCK = 64  # numbers with one scale in nf4
SMALLEST_SCALE = 1e-12  # of an output whose weights are all zero
PROBE = 0.2  # the largest error of a random matrix, relative to its size, that counts as held


class QuantizedLinear(nn.Linear):
    """A linear layer whose weight is held in few bits. `weight` makes it anew, whole, without any mix.

    `change`: what a mix does to the weight (out, in), in place; None where there is no mix.
    """

    def __init__(self, module: nn.Linear, form: WeightFormat) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = module.in_features, module.out_features
        self.bias = module.bias
        self.form, self.precision = form, module.weight.dtype
        self.change: Callable[[Tensor], None] | None = None
        numbers, scales = quantize(module.weight.detach(), form)
        self.numbers: Tensor
        self.scales: Tensor
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weight (out, in), without any mix."""
        shape = torch.Size((self.out_features, self.in_features))
        return dequantize(self.numbers, self.scales, self.form, shape, self.precision)

    @torch.no_grad()
    def changed_weight(self) -> Tensor:
        """The weight (out, in), with the mix."""
        weight = self.weight
        if self.change is not None:
            self.change(weight)
        return weight

    def forward(self, input: Tensor) -> Tensor:
        """The output (..., out) for an input (..., in)."""
        if torch.is_grad_enabled() and input.requires_grad:
            output: Tensor = _Apply.apply(input, self)  # type: ignore[no-untyped-call]
            return output
        return _apply(input, self)


def _apply(x: Tensor, layer: QuantizedLinear) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return functional.linear(x, layer.changed_weight().to(x.dtype), bias)


class _Apply(torch.autograd.Function):
    """A layer's forward, which keeps no weight for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        return _apply(x, layer)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.changed_weight().to(gradient.dtype), None


def quantize_layers(root: nn.Module, form: WeightFormat) -> None:
    """Put layers that hold their weights so in the place of all linear layers inside, one after another."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, QuantizedLinear(child, form))


def can_hold(form: WeightFormat, device: torch.device) -> bool:
    """Whether the device holds numbers so, and makes the same again: it is tried."""
    try:
        matrix = torch.randn(BLOCK, BLOCK, generator=torch.Generator().manual_seed(0)).to(device)
        numbers, scales = quantize(matrix, form)
        error = (dequantize(numbers, scales, form, matrix.shape, matrix.dtype) - matrix).norm()
        return bool(error < PROBE * matrix.norm())
    except (RuntimeError, TypeError, NotImplementedError, ImportError):
        return False


def quantize(weight: Tensor, form: WeightFormat) -> tuple[Tensor, Tensor]:
    """The numbers and scales that hold a weight (out, in)."""
    if form is WeightFormat.NF4:
        from bitsandbytes import functional as bits

        packed, state = bits.quantize_4bit(weight.contiguous(), blocksize=BLOCK, quant_type="nf4")
        return packed, state.absmax
    scales = weight.float().abs().amax(1, keepdim=True).clamp(min=SMALLEST_SCALE) / LARGEST[form]
    scaled = weight.float() / scales
    numbers = scaled.round().to(torch.int8) if form is WeightFormat.INT8 else scaled.to(torch.float8_e4m3fn)
    return numbers, scales


def dequantize(
    numbers: Tensor, scales: Tensor, form: WeightFormat, shape: torch.Size, precision: torch.dtype
) -> Tensor:
    """The weight of this shape that `quantize` held so, in this precision, in memory of its own."""
    if form is not WeightFormat.NF4:
        return (numbers.to(torch.float32) * scales).to(precision)
    from bitsandbytes import functional

    bits: Any = functional
    state = bits.QuantState(
        absmax=scales,
        shape=shape,
        code=bits.get_4bit_type("nf4", device=numbers.device),
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=precision,
    )
    weight: Tensor = bits.dequantize_4bit(numbers, state)
    return weight
