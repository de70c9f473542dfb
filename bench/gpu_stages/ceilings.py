"""The device's own limits: matrix products, copies, attention kernels, and the rounding of a LoRA."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from bench.gpu_stages.subject import Subject
from bench.measuring import in_turns

AT_ONCE = 10  # products or copies that are timed together
WORDS = 77
BACKENDS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.MATH,
)
HEAD = 64  # channels of an attention head of SDXL
RANK = 16
EFFECTS = (0.01, 0.03, 0.1)  # of a LoRA's change of the weights, relative to them

Result = Mapping[str, object]


def matmul(subject: Subject) -> Result:
    """TFLOP/s of a large matrix product in each precision."""
    side, rates = subject.matrix, dict[str, float]()
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        first, second = (torch.randn(side, side, device=subject.device).to(dtype) for _ in range(2))
        rates[name(dtype)] = round(
            2e-12 * side**3 / time_one(subject, partial(torch.matmul, first, second)), 3
        )
    return {"side": side, "teraflops": rates}


def copy(subject: Subject) -> Result:
    """GB/s that are read and written by a copy on the device, and copied to it from pinned memory."""
    size = subject.megabytes * 2**20
    source = torch.empty(size, dtype=torch.uint8, device=subject.device)
    target = torch.empty_like(source)
    rates = {"on the device": 2 * size / time_one(subject, lambda: target.copy_(source)) / 1e9}
    if not subject.is_tiny:
        pinned = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        rates["from pinned memory"] = size / time_one(subject, lambda: target.copy_(pinned)) / 1e9
    return {"gigabytes_a_second": {what: round(rate, 1) for what, rate in rates.items()}}


def attention(subject: Subject) -> Result:
    """Milliseconds of each kernel at SDXL's two levels, over pixels and over words, of two rows."""
    times: dict[str, dict[str, float | str]] = {}
    for side in subject.sides:
        for scale, heads in ((16, 10), (32, 20)):
            pixels = (side // scale) ** 2
            for keys in (pixels, WORDS):
                times[f"{side}: {heads} heads, {pixels} x {keys}"] = {
                    backend.name.lower(): attention_time(subject, backend, heads, pixels, keys)
                    for backend in BACKENDS
                }
    return {"milliseconds": times}


def attention_time(subject: Subject, backend: SDPBackend, heads: int, pixels: int, keys: int) -> float | str:
    """Milliseconds of one call, or why this kernel cannot do it."""
    query = torch.randn(2, heads, pixels, HEAD, device=subject.device, dtype=subject.precision)
    key = torch.randn(2, heads, keys, HEAD, device=subject.device, dtype=subject.precision)
    try:
        with sdpa_kernel(backend):
            return round(1000 * time_one(subject, lambda: scaled_dot_product_attention(query, key, key)), 4)
    except RuntimeError:
        return "not here"


def rounding(subject: Subject) -> Result:
    """The share of a LoRA's effect that is lost where it is merged in half precision, nearest or stochastic.

    Of one product with a square matrix, against the same in float64.
    """
    side = min(subject.matrix, 1280)
    lost: dict[str, dict[str, float]] = {}
    for dtype in (torch.bfloat16, torch.float16):
        weight = torch.randn(side, side, device=subject.device).mul(side**-0.5).to(dtype)
        for effect in EFFECTS:
            change = low_rank(side, subject.device)
            change *= effect * weight.double().norm() / change.norm()
            exact = weight.double() + change
            ways = {"to nearest": exact.to(dtype), "stochastic": round_stochastically(exact, dtype)}
            for how, merged in ways.items():
                inputs = torch.randn(64, side, device=subject.device, dtype=torch.float64)
                error = inputs @ (merged.double() - exact).T
                share = float(error.norm() / (inputs @ change.T).norm())
                lost.setdefault(f"{name(dtype)}, {how}", {})[f"{effect:.0%}"] = round(share, 4)
    return {"lost": lost}


def low_rank(side: int, device: torch.device) -> Tensor:
    """A random matrix (side, side) of a LoRA's rank, in float64."""
    up, down = (torch.randn(side, RANK, device=device, dtype=torch.float64) for _ in range(2))
    return up @ down.T


def round_stochastically(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """The neighbours of each number in this precision, each as likely as it is near."""
    nearest = exact.to(dtype)
    away = torch.where(exact > nearest.double(), torch.inf, -torch.inf).to(dtype)
    other = torch.nextafter(nearest, away)
    share = (exact - nearest.double()) / (other.double() - nearest.double())
    return torch.where(torch.rand_like(share) < share, other, nearest)


def time_one(subject: Subject, work: Callable[[], object]) -> float:
    """Seconds of one of these, many of which are launched together."""

    def work_many() -> None:
        for _ in range(AT_ONCE):
            work()

    return in_turns([work_many], subject.rounds)[0] / AT_ONCE


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
