"""Changes of modules by LyCORIS's kinds beside LoRA: LoHa, LoKr, (IA)3, OFT, and LoCon with a Tucker core.

A kind says how a few small tensors, named as in LyCORIS's files, become the change of a module's weight (Yeh
et al. 2023, arXiv 2309.14859). Computed here and not by lycoris-lora 4.1.3, whose merges scale LoHa and LoKr
twice, which cannot load (IA)3 or compute OFT in float64, and which rounds a change to the base's precision.
Tests compare with its own layers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.messages import AdapterKind

Tensors = Mapping[str, Tensor]
UNSCALED = (AdapterKind.IA3, AdapterKind.OFT)  # kinds whose alpha, if they have one, is no scale
OFT_EPSILON = 1e-8  # as LyCORIS adds to the norm that a constraint limits


@dataclass(frozen=True, kw_only=True)
class LycorisChange:
    """One module's change: W becomes W + delta, or magnitude * (W + delta) / norm(W + delta).

    tensors: by LyCORIS's names, such as "hada_w1_a", in the float type of the file. alpha: the change is
    scaled by alpha / rank; of OFT it is the constraint, and (IA)3 has none. magnitude and by_input: as in
    LowRank.
    """

    kind: AdapterKind
    tensors: Tensors
    alpha: float
    magnitude: Tensor | None = None
    by_input: bool = False

    @property
    def rank(self) -> int:
        """The rank of its factors, the blocks' size of OFT, or 1."""
        return lycoris_rank(self.kind, {name: tuple(tensor.shape) for name, tensor in self.tensors.items()})

    @property
    def count(self) -> int:
        """How many numbers it has, all of which are trained."""
        magnitudes = 0 if self.magnitude is None else self.magnitude.numel()
        numbers = (tensor.numel() for name, tensor in self.tensors.items() if name != "on_input")
        return magnitudes + sum(numbers)

    @property
    def scale(self) -> float:
        """What the product of its factors is multiplied by; of OFT the constraint."""
        if self.kind in UNSCALED:
            return self.alpha
        return 1.0 if {"lokr_w1", "lokr_w2"} <= self.tensors.keys() else self.alpha / self.rank

    def delta(self, weight: Tensor) -> Tensor:
        """The change of a weight (out, in, ...), without magnitudes: float64 (out, in * ...).

        It is computed on the weight's device, where that has float64.
        """
        device = float64_device(weight)
        tensors = {name: tensor.to(device, torch.float64) for name, tensor in self.tensors.items()}
        weight = weight.detach().to(device, torch.float64)
        return lycoris_delta(self.kind, tensors, self.scale, weight).flatten(1)


def float64_device(weight: Tensor) -> torch.device:
    """The device of this weight, or the CPU where that is Apple's, which has no float64."""
    return torch.device("cpu") if weight.device.type == "mps" else weight.device


def lycoris_rank(kind: AdapterKind, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The rank of the factors of these shapes, the blocks' size of OFT, or 1 where nothing is factored."""
    match kind:
        case AdapterKind.LOHA:
            return shapes["hada_w1_b"][0]
        case AdapterKind.LOKR:
            factor = shapes.get("lokr_w2_b") or shapes.get("lokr_w1_b")
            return factor[0] if factor else 1
        case AdapterKind.OFT:
            return shapes["oft_blocks"][-1]
        case AdapterKind.LOCON:
            return shapes["lora_down"][0]
        case _:
            return 1


def lycoris_delta(kind: AdapterKind, tensors: Tensors, scale: float, weight: Tensor) -> Tensor:
    """The change of this weight, in its shape. All in one precision, float32 or float64; differentiable."""
    match kind:
        case AdapterKind.LOHA:
            first, second = (_product(tensors, f"hada_w{n}", f"hada_t{n}") for n in "12")
            delta = scale * first * second
        case AdapterKind.LOKR:
            delta = scale * _kronecker(
                _product(tensors, "lokr_w1", ""), _product(tensors, "lokr_w2", "lokr_t2")
            )
        case AdapterKind.LOCON:
            up, down = tensors["lora_up"].flatten(1), tensors["lora_down"].flatten(1)
            delta = scale * _tucker(tensors["lora_mid"], up.T, down)
        case AdapterKind.IA3:
            delta = weight * channel_scales(tensors, weight)
        case AdapterKind.OFT:
            delta = _rotation_change(tensors, scale, weight)
        case _:
            raise ValueError(f"{kind} is no kind of LyCORIS")
    return delta.reshape(weight.shape)


def _product(tensors: Tensors, name: str, core: str) -> Tensor:
    """The factor of this name: itself, or its two factors' product, around a Tucker core where it has one."""
    if name in tensors:
        return tensors[name]
    first, second = tensors[f"{name}_a"], tensors[f"{name}_b"]
    return _tucker(tensors[core], first, second) if core in tensors else first @ second


def _tucker(core: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(out, in, ...) from a core (rank, rank, ...), first (rank, out) and second (rank, in)."""
    return torch.einsum("ij...,ip,jr->pr...", core, first, second)


def _kronecker(small: Tensor, large: Tensor) -> Tensor:
    """The Kronecker product, over the kernel's sides of `large`, which `small` lacks."""
    return torch.kron(small.reshape(*small.shape, *[1] * (large.ndim - 2)), large.contiguous())


def channel_scales(tensors: Tensors, weight: Tensor) -> Tensor:
    """(IA)3's numbers (Liu et al. 2022, arXiv 2205.05638), to be multiplied with a weight (out, in, ...)."""
    ones = [1] * (weight.ndim - 2)
    shape = (1, -1, *ones) if float(tensors["on_input"]) else (-1, 1, *ones)
    return tensors["weight"].reshape(shape)


def _rotation_change(tensors: Tensors, constraint: float, weight: Tensor) -> Tensor:
    """The change by rotations of blocks of outputs (OFT, Qiu et al. 2023, arXiv 2306.07280, section 4)."""
    blocks = tensors["oft_blocks"]
    skew = blocks - blocks.transpose(1, 2)
    if constraint:
        largest, norm = constraint * weight.shape[0], skew.norm() + OFT_EPSILON
        skew = skew * (largest / norm).clamp(max=1.0)
    one = torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device)
    # Cayley: R = (I + Q) (I - Q)^-1, applied transposed. Q is skew, so R^T = (I + Q)^-1 (I - Q).
    rotation = torch.linalg.solve(one + skew, one - skew)
    rows = weight.reshape(blocks.shape[0], blocks.shape[-1], -1)
    change: Tensor = ((rotation - one) @ rows).reshape(weight.shape)
    if "rescale" not in tensors:
        return change
    factor = tensors["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
    scaled: Tensor = factor * change + (factor - 1) * weight
    return scaled


def initial_tensors(
    kind: AdapterKind,
    module: tuple[int, ...],
    rank: int,
    generator: torch.Generator | None,
    *,
    on_input: bool,
) -> dict[str, Tensor]:
    """The untrained tensors, float32, whose change is zero, of a module with a weight of this shape.

    They begin as in LyCORIS. on_input: (IA)3 scales inputs and not outputs.
    """
    out, *inside = module
    width = math.prod(inside)

    def draw(*shape: int, deviation: float) -> Tensor:
        return torch.empty(shape).normal_(0, deviation, generator=generator)

    def spread(*shape: int) -> Tensor:
        bound = math.prod(shape[1:]) ** -0.5
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)

    match kind:
        case AdapterKind.LOHA:
            return {
                "hada_w1_a": draw(out, rank, deviation=0.1),
                "hada_w1_b": draw(rank, width, deviation=1.0),
                "hada_w2_a": torch.zeros(out, rank),
                "hada_w2_b": draw(rank, width, deviation=1.0),
            }
        case AdapterKind.LOKR:
            (small_out, large_out), (small_in, large_in) = factorize(out), factorize(inside[0])
            first = {"lokr_w1": spread(small_out, small_in)}
            if rank >= max(large_out, large_in) / 2:
                return first | {"lokr_w2": torch.zeros(large_out, large_in, *inside[1:])}
            columns = large_in * math.prod(inside[1:])
            return first | {"lokr_w2_a": spread(large_out, rank), "lokr_w2_b": torch.zeros(rank, columns)}
        case AdapterKind.IA3:
            return {
                "weight": torch.zeros(inside[0] if on_input else out),
                "on_input": torch.tensor(int(on_input)),
            }
        case AdapterKind.OFT:
            size, number = factorize(out, rank)
            return {"oft_blocks": torch.zeros(number, size, size)}
        case _:
            raise ValueError(f"{kind} is no kind of LyCORIS")


def count_numbers(kind: AdapterKind, module: tuple[int, ...], rank: int, *, on_input: bool) -> int:
    """How many numbers are trained of a module with a weight of this shape."""
    with torch.device("meta"):
        tensors = initial_tensors(kind, module, rank, None, on_input=on_input)
    return sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())


def factorize(number: int, largest: int | None = None) -> tuple[int, int]:
    """Two factors, the smaller first, as LyCORIS chooses them.

    The smaller is as large as may be: at most `largest`, if that is given. `largest` itself counts wherever
    it divides.
    """
    if largest is not None and number % largest == 0:
        return min(largest, number // largest), max(largest, number // largest)
    limit = math.isqrt(number) if largest is None else min(largest, math.isqrt(number))
    small = next(factor for factor in range(limit, 0, -1) if number % factor == 0)
    return small, number // small
