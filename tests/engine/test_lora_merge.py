"""One LoRA of several: it paints what the mix painted, and says what it lost."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.lora.adapter_file import Adapter, Change, LowRank
from engine.lora.key_names import KeyNames, Place
from engine.lora.kohya_format import encode_kohya
from engine.lora.lycoris_change import LycorisChange
from engine.messages import (
    AdapterKind,
    AdapterUse,
    Cancel,
    Cancelled,
    Event,
    Failed,
    InvalidRequest,
    JobId,
    LorasMerged,
    MergeLoras,
    Sha256,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.tasks.lora_merge import concatenate_ranks, merge_changes, nearest_of_rank, nearest_to_weight
from tests.engine.studio_work import furthest, paint, pixels, request
from tests.lora_files import attention, kohya, make_lora, store, store_bytes

PROMPT = "a red star above a blue circle on a white background"


def merge_events(studio: Studio, *parts: AdapterUse, **more: Any) -> list[Event]:
    merge = MergeLoras(job=JobId("merge"), name="both", parts=parts, prompt=PROMPT, **more)
    events = list(studio.accept(merge))
    while not studio.idle:
        events += studio.step()
    return events


def merge(studio: Studio, *parts: AdapterUse, **more: Any) -> LorasMerged:
    (result,) = [event for event in merge_events(studio, *parts, **more) if isinstance(event, LorasMerged)]
    return result


def refusal(studio: Studio, *parts: AdapterUse, **more: Any) -> str:
    (failed,) = [event for event in merge_events(studio, *parts, **more) if isinstance(event, Failed)]
    return failed.reason


def change(rank: int, seed: int, alpha: float = 4.0, *kernel: int) -> LowRank:
    draw = torch.Generator().manual_seed(seed)
    return LowRank(
        down=torch.randn(rank, 20, *kernel, generator=draw),
        up=torch.randn(30, rank, *[1] * len(kernel), generator=draw),
        alpha=alpha,
    )


def test_ranks_side_by_side_paint_within_2_of_255_of_the_mix(
    studio: Studio, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    result = merge(studio, *loras)
    alone = (AdapterUse(name="both", sha256=result.sha256),)
    pictures = paint(studio, request("mix", adapters=loras, seed=9), request("one", adapters=alone, seed=9))

    assert result.rank == 12
    assert result.error < 1e-3
    assert result.apart <= 2
    assert furthest(pictures["mix"], pictures["one"]) <= 2


def test_a_merge_that_is_cancelled_tells_what_it_left_in_the_store(
    studio: Studio, loras: tuple[AdapterUse, AdapterUse], files: Path
) -> None:
    before = set(files.glob("??/*"))
    list(studio.accept(MergeLoras(job=JobId("merge"), name="other", parts=loras, prompt=PROMPT)))
    while not (left := set(files.glob("??/*")) - before):
        list(studio.step())

    ended, *_ = studio.accept(Cancel(job=JobId("merge")))

    assert ended == Cancelled(job=JobId("merge"), left=tuple(Sha256(path.name) for path in left))


def test_files_in_fp16_paint_within_2_of_255_of_their_mix_too(
    studio: Studio, loaded: Model, files: Path
) -> None:
    halves = [
        {key: tensor.half() for key, tensor in kohya(make_lora(loaded.base, of=attention, seed=seed)).items()}
        for seed in (11, 12)
    ]
    ink, chalk = (store(files, half, name=name) for half, name in zip(halves, ("ink", "chalk"), strict=True))

    result = merge(studio, replace(ink, weight=0.7), replace(chalk, weight=-0.5))

    assert result.apart <= 2
    assert result.error < 1e-3


def test_a_smaller_rank_says_what_it_loses(studio: Studio, loras: tuple[AdapterUse, AdapterUse]) -> None:
    result = merge(studio, *loras, rank=6)

    assert result.rank == 6
    assert 0.05 < result.error < 0.9
    assert pixels(result.sheet).shape[1] > 2 * 128


def test_no_change_of_a_rank_is_nearer_than_the_truncated_decomposition() -> None:
    exact = concatenate_ranks([(change(6, 1), 0.7), (change(5, 2), -0.4)])
    full = exact.delta()
    truth = torch.linalg.svdvals(full)[4:].square().sum()

    near = nearest_of_rank(exact, 4)

    assert float((full - near.delta()).square().sum()) == pytest.approx(float(truth))
    assert concatenate_ranks([(exact, 1.0), (near, -1.0)]).squared_norm() == pytest.approx(float(truth))


@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_what_is_side_by_side_is_the_sum(kernel: tuple[int, ...]) -> None:
    first, second = change(3, 1, 8.0, *kernel), change(4, 2, 0.01, *kernel)

    both = concatenate_ranks([(first, 0.7), (second, -2.0)])

    torch.testing.assert_close(both.delta(), 0.7 * first.delta() - 2.0 * second.delta())
    torch.testing.assert_close(nearest_of_rank(both, 7).delta(), both.delta())


def no_change(place: Place, change: Change) -> Tensor:
    raise AssertionError("plain LoRAs are merged by their factors")


def test_ranks_that_add_up_to_too_much_need_a_smaller_one() -> None:
    place = Place(component="unet", path="here")
    parts = [(Adapter(changes={place: change(100, seed)}), 1.0) for seed in (1, 2)]

    with pytest.raises(InvalidRequest, match=r"add up to 200 .* --rank 64"):
        list(merge_changes(parts, None, no_change))
    assert list(merge_changes(parts, 64, no_change)) == []


def loha(loaded: Model, files: Path) -> AdapterUse:
    """A LoHa of rank 2, whose change has rank 4, in half of the attention."""
    names, draw = KeyNames({"unet": loaded.base.unet}), torch.Generator().manual_seed(3)
    changes: dict[Place, Change] = {
        place: LycorisChange(
            kind=AdapterKind.LOHA,
            tensors={
                f"hada_w{half}": torch.randn(shape, generator=draw) * 0.3
                for number in (1, 2)
                for half, shape in ((f"{number}_a", (sides[0], 2)), (f"{number}_b", (2, sides[1])))
            },
            alpha=1.0,
        )
        for place, sides in names.shapes.items()
        if place.path.endswith(("to_q", "to_v"))
    }
    return store_bytes(files, encode_kohya(Adapter(changes=changes), names, {}), name="hada")


def test_a_loha_among_the_parts_is_merged_as_what_it_changes(
    studio: Studio, loaded: Model, files: Path, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    mix = (replace(loha(loaded, files), weight=0.7), loras[0])

    result = merge(studio, *mix)

    assert result.rank == 8
    assert result.error < 2e-3
    assert result.apart <= 2
    smaller = merge(studio, *mix, rank=2)
    assert smaller.rank == 2
    assert 0.1 < smaller.error < 0.9


def test_a_dora_is_merged_as_what_it_changes_and_its_loss_is_said(
    studio: Studio, loaded: Model, files: Path
) -> None:
    made = make_lora(loaded.base, of=lambda part, path: path.endswith("to_q"), dora=True)
    dora = store(files, kohya(made), name="fine")
    plain = store(files, kohya(make_lora(loaded.base, of=attention, seed=13)), name="plain")

    result = merge(studio, plain, dora, rank=8)

    assert result.rank == 8
    assert 0.05 < result.error < 0.9


def test_the_nearest_to_a_whole_change_loses_what_its_smaller_singular_values_hold() -> None:
    for side in (20, 600):  # decomposed whole, and by random projections
        draw = torch.Generator().manual_seed(side)
        left, right = (torch.randn(side, 6, generator=draw, dtype=torch.float64) for _ in range(2))
        whole = left @ torch.diag(torch.tensor([9, 7, 5, 3, 2, 1], dtype=torch.float64)) @ right.T
        values = torch.linalg.svdvals(whole)

        near, same = nearest_to_weight(whole, 3), nearest_to_weight(whole, None)

        assert (near.rank, same.rank) == (3, 6)
        assert float((whole - near.delta()).norm()) == pytest.approx(float(values[3:].norm()), rel=1e-6)
        assert float((whole - same.delta()).norm()) < 1e-9 * float(whole.norm())


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([("a", "1", 0.7)], "Name at least two"),
        ([("a", "1", 0.7), ("b", "1", 0.5)], "there twice"),
        ([("a", "1", 0.7), ("b", "2", 0.0)], "weight 0"),
    ],
)
def test_a_merge_that_means_nothing_is_refused_when_it_is_made(
    parts: list[tuple[str, str, float]], reason: str
) -> None:
    uses = tuple(AdapterUse(name=name, sha256=sha256, weight=weight) for name, sha256, weight in parts)  # type: ignore[arg-type]

    with pytest.raises(InvalidRequest, match=reason):
        MergeLoras(job=JobId("j"), name="both", parts=uses, prompt=PROMPT)


@pytest.mark.parametrize("rank", [0, -1, 129, 4096])
def test_a_rank_that_no_file_may_have_is_refused(rank: int) -> None:
    uses = tuple(AdapterUse(name=name, sha256=name * 64, weight=1.0) for name in "ab")  # type: ignore[arg-type]

    with pytest.raises(InvalidRequest, match="from 1 to 128"):
        MergeLoras(job=JobId("j"), name="both", parts=uses, prompt=PROMPT, rank=rank)
