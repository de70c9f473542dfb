"""Forward and backward of a module with a low-rank adapter in training, without casts or sums of their own.

Of a linear module W with factors A and B at scale s, y = x W' + b + s (x A') B' takes three products forward
and five backward (Hu et al. 2021, arXiv 2106.09685, eq. 3), and the gradients of A and B are added where they
belong. Where inputs are not in the factors' number format, autocast is on and has it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from engine.lora.flat_factors import Factor


@dataclass(frozen=True, kw_only=True)
class TrainingFactors:
    """The factors of one module's adapter in training: A (rank, in, ...), B (out, rank, ...), and s."""

    down: Factor
    up: Factor
    scale: float


def apply_linear(module: nn.Linear, x: Tensor, dropped: Tensor, factors: TrainingFactors) -> Tensor:
    """The output (..., out) for x (..., in), with what the factors make of `dropped`, x or its dropout."""
    down, up = factors.down.value, factors.up.value
    x = x.to(down.dtype)
    if torch.is_grad_enabled():
        inputs = x, None if dropped is x else dropped.to(down.dtype)
        output: Tensor = _Linear.apply(*inputs, down, module, factors)  # type: ignore[no-untyped-call]
        return output
    output = functional.linear(x, module.weight.to(x.dtype), cast_bias(module, x.dtype))
    hidden = x.flatten(0, -2) @ down.t()
    return output.flatten(0, -2).addmm(hidden, up.t(), alpha=factors.scale).view(output.shape)


def apply_convolution(module: nn.Conv2d, x: Tensor, dropped: Tensor, factors: TrainingFactors) -> Tensor:
    """The output (B, out, H', W') for x (B, in, H, W)."""
    settings = (module.stride, module.padding, module.dilation, module.groups)
    output = functional.conv2d(x, module.weight, module.bias, *settings)  # type: ignore[arg-type]
    hidden = functional.conv2d(dropped, factors.down.value, None, *settings)  # type: ignore[arg-type]
    return output.add(functional.conv2d(hidden, factors.up.value), alpha=factors.scale)


def cast_bias(module: nn.Linear, precision: torch.dtype) -> Tensor | None:
    """The module's bias in this number format, if it has one."""
    bias: Tensor | None = module.bias
    return None if bias is None else bias.to(precision)


class _Linear(torch.autograd.Function):
    """`apply_linear`, adding the factors' gradients to their buffers."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dropped: Tensor | None, down: Tensor, module: nn.Linear, factors: TrainingFactors
    ) -> Tensor:
        """dropped: None where it is x. down: the factor, so that the output has a gradient."""
        output = functional.linear(x, module.weight.to(x.dtype), cast_bias(module, x.dtype))
        inside = x if dropped is None else dropped
        hidden = inside.flatten(0, -2) @ down.t()
        output.view(-1, output.shape[-1]).addmm_(hidden, factors.up.value.t(), alpha=factors.scale)
        ctx.save_for_backward(inside, hidden)
        ctx.module, ctx.factors, ctx.is_dropped = module, factors, dropped is not None
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inside, hidden = ctx.saved_tensors
        factors: TrainingFactors = ctx.factors
        scale, down = factors.scale, factors.down.value
        rows = gradient.flatten(0, -2)
        of_hidden = rows @ factors.up.value
        factors.up.gradient.addmm_(rows.t(), hidden, alpha=scale)
        factors.down.gradient.addmm_(of_hidden.t(), inside.flatten(0, -2), alpha=scale)
        of_x: Tensor | None = None
        of_dropped: Tensor | None = None
        if ctx.needs_input_grad[0]:
            of_x = rows @ ctx.module.weight.to(rows.dtype)
            if not ctx.is_dropped:
                of_x.addmm_(of_hidden, down, alpha=scale)
            of_x = of_x.view(inside.shape)
        if ctx.needs_input_grad[1]:
            of_dropped = (of_hidden @ down).mul_(scale).view(inside.shape)
        return of_x, of_dropped, None, None, None
