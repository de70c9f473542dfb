"""Changes that are merged into a weight are its sum with them, rounded once."""

import pytest
import torch
from torch import Tensor

from bench.rounding import mean_lost, to_nearest
from engine.lora.adapter_file import LowRank
from engine.lora.merged_weights import ServedFactors, add_changes, serve_change
from engine.sdxl.model import Model, resolve_precisions

OUT, IN, RANK = 48, 32, 4
HALF = (torch.float16, torch.bfloat16)


def random_change(seed: int, *, size: float, dora: bool = False) -> LowRank:
    """A change of a weight (OUT, IN) whose numbers are about `size` times as large."""
    generator = torch.Generator().manual_seed(seed)
    scale = (size / RANK**0.5) ** 0.5
    return LowRank(
        down=scale * torch.randn(RANK, IN, generator=generator),
        up=scale * torch.randn(OUT, RANK, generator=generator),
        alpha=RANK,
        magnitude=5 + torch.rand(OUT, generator=generator) if dora else None,
    )


def merge(base: Tensor, *weighted: tuple[LowRank, float]) -> Tensor:
    out = torch.empty_like(base)
    changes = [(serve_change(change, base, base.dtype), weight) for change, weight in weighted]
    add_changes(base, changes, out=out)
    return out


def exact_sum(base: Tensor, *weighted: tuple[LowRank, float]) -> Tensor:
    """The same in float64, not rounded, of the factors as they are served."""
    total = base.double()
    for change, weight in weighted:
        served = serve_change(change, base, base.dtype)
        assert isinstance(served, ServedFactors)
        total = total + weight * served.scale * served.up.double() @ served.down.double()
    return total


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_mix_is_rounded_once(dtype: torch.dtype, count: int) -> None:
    base = torch.randn(OUT, IN, generator=torch.Generator().manual_seed(0)).to(dtype)
    mix = [(random_change(seed, size=0.3), 0.5 * seed) for seed in range(1, 1 + count)]

    error = (merge(base, *mix).double() - exact_sum(base, *mix)).abs()

    # Half of its last digit, and what float32 rounds on the way.
    allowed = torch.finfo(dtype).eps / 2 * exact_sum(base, *mix).abs() + 4 * torch.finfo(torch.float32).eps
    assert (error <= allowed).all()
    assert error.max() > 0


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float16, 0.03), (torch.bfloat16, 0.25)])
def test_the_effect_of_a_small_change_in_half_precision_is_lost_as_far_as_measured(
    dtype: torch.dtype, allowed: float
) -> None:
    base = torch.randn(OUT, IN, generator=torch.Generator().manual_seed(0)).to(dtype)
    change = random_change(1, size=0.01)
    x = torch.randn(IN, 64, generator=torch.Generator().manual_seed(2)).double()

    effect = (merge(base, (change, 1.0)).double() - base.double()) @ x

    wanted = change.delta() @ x
    assert (effect - wanted).norm() / wanted.norm() < allowed


def test_a_dora_and_a_lora_add_what_each_changes_alone() -> None:
    base = torch.randn(OUT, IN, generator=torch.Generator().manual_seed(0))
    dora, lora = random_change(1, size=0.3, dora=True), random_change(2, size=0.3)

    both = merge(base, (dora, 0.7), (lora, -0.5))

    apart = 0.7 * (merge(base, (dora, 1.0)) - base) - 0.5 * (merge(base, (lora, 1.0)) - base)
    torch.testing.assert_close(both - base, apart, atol=1e-5, rtol=0)


def test_a_gpus_usual_precision_keeps_a_weak_loras_effect_on_the_output_as_far_as_measured(
    model: Model,
) -> None:
    usual = resolve_precisions("auto", torch.device("cuda"))[0]

    assert mean_lost(model.base.unet, usual, 0.01, to_nearest) <= 0.025
    assert mean_lost(model.base.unet, torch.bfloat16, 0.01, to_nearest) > 0.1
