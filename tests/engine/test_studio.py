"""The engine's work seen from outside: who goes when, what is told, and whose fault a fault is."""

import copy
import io
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import engine.picture_files
from engine import batching
from engine.forward_cost import ForwardCost
from engine.lora import served_changes
from engine.messages import (
    AdapterUse,
    Cancel,
    Cancelled,
    EngineSettings,
    Failed,
    Idle,
    JobId,
    Paint,
    Painted,
    Progress,
    Ratio,
    Sampler,
    Sha256,
    Size,
    StepStarted,
    stored_path,
)
from engine.runners import traced
from engine.runners.graphs import Thresholds
from engine.sdxl.model import Model
from engine.sdxl.png_file import Recipe, encode_png
from engine.studio import Studio
from tests.engine.studio_work import furthest, paint, pictures, pixels, request, work
from tests.lora_files import attention, kohya, make_lora, store


def test_requests_of_different_steps_and_guidance_share_forwards(studio: Studio) -> None:
    events = work(
        studio,
        {
            0: [
                request("a", steps=9),
                request("b", steps=4, guidance_scale=1.0),
                request("c", sampler=Sampler.DDIM),
            ]
        },
    )

    assert any(set(event.jobs) == {"a", "b", "c"} for event in events if isinstance(event, StepStarted))
    assert {event.job for event in events if isinstance(event, Painted)} == {"a", "b", "c"}


def test_never_more_pictures_than_the_largest_batch_share_a_forward(studio: Studio) -> None:
    events = work(studio, {0: [request(str(number), steps=2, seed=number) for number in range(7)]})

    assert max(len(event.jobs) for event in events if isinstance(event, StepStarted)) == 4
    assert sum(isinstance(event, Painted) for event in events) == 7


def test_where_sharing_does_not_pay_the_first_to_come_is_the_first_to_end(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForwardCost, "best_count", lambda *_: 1)

    events = work(studio, {0: [request(name, steps=6) for name in "abc"], 2: [request("d", steps=2)]})

    assert {len(event.jobs) for event in events if isinstance(event, StepStarted)} == {1}
    assert [event.job for event in events if isinstance(event, Painted)] == ["a", "b", "c", "d"]


def test_those_with_another_mix_have_their_turns_while_sharing_does_not_pay(
    studio: Studio, loras: tuple[AdapterUse, AdapterUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForwardCost, "best_count", lambda *_: 1)
    requests = [request(name, steps=12) for name in "abc"] + [request("inked", steps=4, adapters=loras[:1])]

    events = work(studio, {0: requests})

    assert [event.job for event in events if isinstance(event, Painted)].index(JobId("inked")) <= 1


def test_those_whose_steps_are_quick_do_not_wait_for_as_many_slow_ones(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, slow = model.base.unet.forward, []

    def takes_its_time(sample: torch.Tensor, *args: object, **options: object) -> object:
        if sample.shape[-1] > 8:
            slow.append(sample.shape)
            time.sleep(0.3)
        return forward(sample, *args, **options)

    monkeypatch.setattr(model.base.unet, "forward", takes_its_time)
    # To trace takes time, too, and a graph has no sleep.
    monkeypatch.setattr(traced, "THRESHOLDS", Thresholds(busy=10**6, idle=10**6, full=10**6))
    size = Size(width=64, height=64)
    events = list(studio.accept(request("slow", steps=20)))
    events += studio.accept(request("quick", steps=20, size=size, guidance_scale=1.0))
    while "quick" not in pictures(events):
        events += studio.step()

    assert len(slow) <= 12  # where both go on for five turns each there are 20


def test_four_pictures_of_one_job_have_seeds_that_paint_each_again_alone(studio: Studio) -> None:
    (result,) = [
        event for event in work(studio, {0: [request(count=4, seed=11)]}) if isinstance(event, Painted)
    ]

    assert [picture.seed for picture in result.pictures] == [11, 12, 13, 14]
    again = paint(studio, request(seed=13))["j"]
    assert furthest(again, pixels(result.pictures[2].png)) <= 1
    assert furthest(again, pixels(result.pictures[1].png)) > 50


def test_progress_tells_how_far_it_is_with_a_small_preview(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.job.PROGRESS_SECONDS", 0.0)

    events = work(studio, {0: [request(steps=5, count=2)]})

    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress if event.step] == sorted(event.step for event in progress)
    assert {event.steps for event in progress} == {10}
    image = Image.open(io.BytesIO(progress[-1].preview))
    assert image.size == (192, 96)  # two pictures side by side
    assert len(progress[-1].preview) < 10_000


def test_the_last_preview_looks_like_the_picture(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.job.PROGRESS_SECONDS", 0.0)

    events = work(studio, {0: [request(steps=12)]})

    previews = [event.preview for event in events if isinstance(event, Progress)]
    picture = Image.fromarray(pictures(events)["j"])

    def distance(preview: bytes) -> float:
        image = Image.open(io.BytesIO(preview))
        small = np.asarray(picture.resize(image.size), dtype=float)
        return float(np.abs(np.asarray(image, dtype=float) - small).mean())

    assert distance(previews[-1]) < 35  # of 255: a small map is rough, and its colours are near
    assert distance(previews[-1]) < distance(previews[0])


def test_a_cancelled_job_stops_between_steps_and_the_others_end_the_same(studio: Studio) -> None:
    alone = paint(studio, request("kept"))["kept"]

    events = work(
        studio, {0: [request("kept"), request("dropped", seed=9)], 4: [Cancel(job=JobId("dropped"))]}
    )

    assert Cancelled(job=JobId("dropped")) in events
    assert set(pictures(events)) == {"kept"}
    assert furthest(pictures(events)["kept"], alone) <= 1


def test_cancelling_what_has_ended_says_nothing(studio: Studio) -> None:
    assert list(studio.accept(Cancel(job=JobId("unknown")))) == []


def test_the_engine_says_when_nothing_is_left_to_do(studio: Studio) -> None:
    assert isinstance(work(studio, {0: [request()]})[-1], Idle)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [((1, 1), (128, 128)), ((3, 2), (152, 104)), ((2, 3), (104, 152)), ((16, 9), (168, 96))],
)
def test_a_ratio_becomes_pixels_at_the_models_own_area(
    studio: Studio, ratio: tuple[int, int], size: tuple[int, int]
) -> None:
    across, down = ratio

    height, width, _ = paint(studio, request(steps=1, size=Ratio(across=across, down=down)))["j"].shape

    assert (width, height) == size


def test_a_size_beyond_the_models_reach_is_refused_in_a_sentence(studio: Studio) -> None:
    (failed,) = studio.accept(request(size=Size(width=1024, height=1024)))

    assert failed == Failed(
        job=JobId("j"),
        reason="1024x1024 is too large for this model. At most 65,536 pixels are allowed, such as 256x256.",
        expected=True,
    )


def test_a_fault_in_a_shared_step_ends_the_guilty_job_alone(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = paint(studio, request("innocent"))["innocent"]
    forward = model.base.unet.forward

    def breaks_where_only_the_guilty_comes(
        sample: torch.Tensor, timestep: torch.Tensor, **options: object
    ) -> object:
        if 285 in timestep.tolist():  # one of seven steps, none of six
            raise ValueError("a fault nobody thought of")
        return forward(sample, timestep, **options)

    monkeypatch.setattr(model.base.unet, "forward", breaks_where_only_the_guilty_comes)

    events = work(studio, {0: [request("innocent"), request("guilty", steps=7)]})

    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.job == "guilty"
    assert not failed.expected
    assert furthest(pictures(events)["innocent"], alone) <= 1


def test_a_shared_step_out_of_memory_goes_on_in_smaller_batches(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = model.base.unet.forward

    def fits_two_rows(sample: torch.Tensor, *args: object, **options: object) -> object:
        if len(sample) > 2:
            raise torch.OutOfMemoryError("not for so many")
        return forward(sample, *args, **options)

    monkeypatch.setattr(model.base.unet, "forward", fits_two_rows)

    events = work(studio, {0: [request("a"), request("b", seed=3), request("c", seed=4)]})

    assert set(pictures(events)) == {"a", "b", "c"}


def test_a_picture_that_never_fits_is_refused_with_what_to_change(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> object:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(model.base.unet, "forward", never)

    (failed,) = [event for event in work(studio, {0: [request()]}) if isinstance(event, Failed)]

    assert failed.reason == "128x128 does not fit in the memory here. Choose a smaller --size."


def test_a_decode_that_does_not_fit_is_done_in_tiles(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = model.base.vae._decode

    def fits_a_tile(latents: torch.Tensor, *args: object, **options: object) -> object:
        if not model.base.vae.use_tiling:
            raise torch.OutOfMemoryError("not the whole picture")
        return decode(latents, *args, **options)

    monkeypatch.setattr(model.base.vae, "_decode", fits_a_tile)

    assert paint(studio, request(size=Size(width=192, height=128)))["j"].shape == (128, 192, 3)


def test_a_picture_of_nan_is_never_handed_out(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = model.base.unet.forward

    def nan(*args: object, **options: object) -> tuple[torch.Tensor]:
        return (forward(*args, **options)[0] * float("nan"),)

    monkeypatch.setattr(model.base.unet, "forward", nan)

    events = work(studio, {0: [request()]})

    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.reason.startswith("The picture came out empty twice")
    assert not pictures(events)


def test_a_decode_that_overflows_is_tried_once_more_in_float32(
    studio: Studio, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, calls = model.base.vae.decode, []

    def black_at_first(latents: torch.Tensor, **options: object) -> object:
        calls.append(latents.dtype)
        result = decode(latents, **options)
        return (result[0] * 0 - 1,) if len(calls) == 1 else result

    monkeypatch.setattr(model.base.vae, "decode", black_at_first)

    assert paint(studio, request())["j"].max() > 0
    assert len(calls) == 2
    assert calls[-1] is torch.float32


def test_others_go_on_while_a_picture_becomes_a_file(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    others_are_done = threading.Event()
    monkeypatch.setattr(engine.picture_files, "encode_png", slow_for("quick", others_are_done))
    for recipe in (request("quick", steps=1), request("long", steps=5, size=Size(width=96, height=96))):
        list(studio.accept(recipe))

    ended: list[str] = []
    while not studio.idle:
        ended += [event.job for event in studio.step() if isinstance(event, Painted)]
        if "long" in ended:
            others_are_done.set()

    assert ended == ["long", "quick"]


def slow_for(job: str, until: threading.Event) -> Callable[[Image.Image, Recipe], bytes]:
    """A writer of files that takes its time with those of one job."""

    def write(image: Image.Image, recipe: Recipe) -> bytes:
        if recipe.request.job == job:
            assert until.wait(60)
        return encode_png(image, recipe)

    return write


def test_a_file_that_cannot_be_written_ends_its_job_alone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_encoding(image: Image.Image, recipe: Recipe) -> bytes:
        if recipe.request.job == "broken":
            raise OSError("no room for it")
        return encode_png(image, recipe)

    monkeypatch.setattr(engine.picture_files, "encode_png", break_encoding)

    events = work(studio, {0: [request("broken", steps=1), request("whole", steps=1)]})

    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.job == "broken" and not failed.expected
    assert [event.job for event in events if isinstance(event, Painted)] == ["whole"]


def test_a_lora_that_is_not_in_the_store_ends_its_job_and_the_others_go_on(studio: Studio) -> None:
    missing = AdapterUse(name="ink", sha256=Sha256("0" * 64))

    events = work(studio, {0: [request("bad", adapters=(missing,)), request("good", seed=3)]})

    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.job == "bad"
    assert failed.expected
    assert "ink" in failed.reason
    assert set(pictures(events)) == {"good"}


def test_others_paint_on_while_a_lora_is_loaded_in_steps(
    studio: Studio, loras: tuple[AdapterUse, AdapterUse], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = served_changes.is_faithful

    def slow_check(*args: Any) -> torch.Tensor:
        time.sleep(0.002)
        return check(*args)

    monkeypatch.setattr(served_changes, "is_faithful", slow_check)
    monkeypatch.setattr(served_changes, "MODULES", 8)
    monkeypatch.setattr(batching, "STAY", 1)
    inked = request("inked", steps=2, adapters=loras[:1])
    list(studio.accept(request("other", steps=40, size=Size(width=64, height=64))))
    list(studio.step())

    events = work(studio, {0: [inked]})

    # The LoRA takes several turns, and the other has its own in between, before a step of the inked one.
    reports = [isinstance(event, Progress | Painted) and event.job == inked.job for event in events]
    until = reports.index(True)
    turns = [event.jobs for event in events[:until] if isinstance(event, StepStarted)]
    changes = [jobs for last, jobs in itertools.pairwise(turns) if jobs != last]
    assert changes.count((inked.job,)) >= 3
    assert furthest(pictures(events)["inked"], paint(studio, inked)["inked"]) <= 1


def test_a_job_that_is_cancelled_while_its_lora_is_loaded_leaves_nothing(
    studio: Studio, model: Model, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    before = [parameter.clone() for parameter in model.base.unet.parameters()]
    list(studio.accept(request("inked", adapters=loras)))
    list(studio.step())
    list(studio.step())

    (cancelled, idle) = studio.accept(Cancel(job=JobId("inked")))

    assert isinstance(cancelled, Cancelled) and isinstance(idle, Idle)
    assert all(map(torch.equal, model.base.unet.parameters(), before))


def test_loras_that_do_not_fit_on_the_device_together_take_turns_there(model: Model, files: Path) -> None:
    uses = [
        store(files, kohya(make_lora(model.base, of=attention, seed=seed, ranks=(12,))), name=f"lora{seed}")
        for seed in (1, 2)
    ]
    requests = [request(use.name, adapters=(use,), steps=9) for use in uses]
    sizes = [stored_path(files, use.sha256).stat().st_size for use in uses]
    assert max(sizes) < 2**20 < sum(sizes)
    roomy = Studio(copy.deepcopy(model), EngineSettings(model="demo", files=str(files)))
    alone = {request.job: paint(roomy, request)[request.job] for request in requests}

    tight = Studio(model, EngineSettings(model="demo", files=str(files), adapter_cache_mb=1))
    together = paint(tight, *requests)

    for recipe in requests:
        assert furthest(together[recipe.job], alone[recipe.job]) <= 1


def test_mixes_that_unload_each_other_while_they_are_loaded_are_painted(
    model: Model, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_changes, "MODULES", 16)
    monkeypatch.setattr(batching, "STAY", 1)
    uses = [
        store(files, kohya(make_lora(model.base, of=attention, seed=seed, ranks=(7,))), name=f"lora{seed}")
        for seed in range(5, 9)
    ]
    assert 4 * stored_path(files, uses[0].sha256).stat().st_size > 2**20
    studio = Studio(model, EngineSettings(model="demo", files=str(files), adapter_cache_mb=1))
    mixes = {"a": tuple(uses[:2]), "b": tuple(uses[2:])}
    for job, mix in mixes.items():
        list(studio.accept(request(job, adapters=mix, steps=2)))

    events = [event for _ in range(400) if not studio.idle for event in studio.step()]

    assert set(pictures(events)) == {"a", "b"}


def test_the_engine_time_of_a_shared_step_is_split_between_the_jobs(studio: Studio) -> None:
    together = work(studio, {0: [request("a"), request("b", seed=5)]})

    seconds = {event.job: event.seconds for event in together if isinstance(event, Painted)}
    assert 0.4 < seconds[JobId("a")] / seconds[JobId("b")] < 2.5


def test_a_request_that_cannot_be_planned_fails_alone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = studio._finisher.count_steps

    def divide_by_zero(recipe: Paint, width: int, height: int) -> int:
        steps: int = plan(recipe, width, height) // (recipe.job != "odd")
        return steps

    monkeypatch.setattr(studio._finisher, "count_steps", divide_by_zero)
    size = Size(width=64, height=64)

    events = work(studio, {0: [request("odd", steps=1, size=size), request("even", steps=1, size=size)]})

    [failed] = [event for event in events if isinstance(event, Failed)]
    assert (failed.job, failed.expected) == ("odd", False)
    assert list(pictures(events)) == ["even"]
