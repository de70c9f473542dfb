"""Pictures that start from a picture equal what diffusers' pipelines paint, whole and in a part."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from PIL import Image

from engine.demo.renderer import coverage, draw
from engine.demo.world import Scene, Thing, sample_layout
from engine.messages import (
    AdapterUse,
    EngineSettings,
    Failed,
    FileStore,
    Finish,
    Ingredient,
    InvalidRequest,
    Margins,
    Paint,
    Painted,
    Ratio,
    Region,
    Sampler,
    Sha256,
    Size,
    Source,
    steps_at_strength,
    stored_path,
)
from engine.sdxl.model import Model
from engine.sdxl.samplers import with_spacing
from engine.studio import Studio
from tests.engine.oracle import ORACLE_SCHEDULERS, Oracle
from tests.engine.studio_work import Pixels, furthest, paint, pixels, request, work

SIDE = 96
SMALL = Size(width=SIDE, height=SIDE)


@pytest.fixture
def store(files: Path) -> FileStore:
    return FileStore(files)


def drawing(width: int = SIDE, height: int = SIDE) -> Image.Image:
    """A yellow disc on blue, with a little grain."""
    y, x = np.mgrid[:height, :width]
    disc = (x - width * 0.4) ** 2 + (y - height * 0.5) ** 2 < (0.3 * height) ** 2
    colours = np.where(disc[..., None], (240, 210, 40), (40, 60, 200))
    grain = np.random.default_rng(0).integers(-9, 9, (height, width, 3))
    return Image.fromarray((colours + grain).clip(0, 255).astype(np.uint8))


def a_mask(box: tuple[int, int, int, int], width: int = SIDE, height: int = SIDE) -> Image.Image:
    mask = Image.new("L", (width, height))
    mask.paste(255, box)
    return mask


def put(store: FileStore, image: Image.Image) -> Sha256:
    file = io.BytesIO()
    image.save(file, "PNG")
    return store.put_bytes(file.getvalue())


def changed(store: FileStore, strength: float = 0.6, **changes: Any) -> Paint:
    """A request that starts from the drawing."""
    source = Source(sha256=put(store, drawing()), strength=strength)
    return request(**{"size": SMALL, "steps": 5, "source": source, **changes})


@pytest.mark.parametrize("sampler", list(Sampler), ids=lambda sampler: sampler.name)
def test_pictures_from_a_picture_equal_the_pipelines_together(
    studio: Studio,
    oracle: Oracle,
    store: FileStore,
    loras: tuple[AdapterUse, AdapterUse],
    sampler: Sampler,
) -> None:
    whole = changed(store, job="whole", sampler=sampler, negative_prompt="yellow")
    styled = changed(
        store, 0.8, job="styled", sampler=sampler, adapters=loras, refiner=0.3, guidance_scale=1.0
    )
    mask = a_mask((48, 16, 90, 80))
    assert whole.source is not None
    hole = replace(whole.source, strength=1.0, mask=put(store, mask))
    part = changed(store, job="part", sampler=sampler, source=hole)

    together = paint(studio, whole, styled, part, request("other", size=SMALL, sampler=sampler))

    for recipe in (whole, styled):
        assert furthest(together[recipe.job], oracle.paint(recipe, drawing())) <= 1
    painted, inside = oracle.paint(part, drawing(), mask), np.asarray(mask) == 255
    assert furthest(together["part"][inside], painted[inside]) <= 1
    assert (together["part"][~inside] == np.asarray(drawing())[~inside]).all()


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_small_part_is_painted_large_and_set_in(
    studio: Studio, oracle: Oracle, store: FileStore, strength: float
) -> None:
    picture, mask = drawing(200, 136), a_mask((60, 40, 92, 70), 200, 136)
    source = Source(sha256=put(store, picture), mask=put(store, mask), padding=8, strength=strength)
    recipe = request(size=SMALL, steps=5, source=source)

    ours = paint(studio, recipe)["j"]
    theirs = oracle.paint(recipe, picture, mask)

    inside = np.asarray(mask) == 255
    assert ours.shape == (136, 200, 3)
    assert furthest(ours[inside], theirs[inside]) <= 1
    assert (ours[~inside] == np.asarray(picture)[~inside]).all()
    assert furthest(ours[inside], np.asarray(picture)[inside]) > 20


def test_what_is_black_in_a_feathered_mask_stays_in_each_of_four_pictures(
    studio: Studio, store: FileStore
) -> None:
    mask = a_mask((48, 16, 90, 80))
    mask.paste(128, (48, 16, 56, 80))
    source = Source(sha256=put(store, drawing()), mask=put(store, mask), strength=0.9)

    [done] = [
        event
        for event in work(studio, {0: [request(size=SMALL, steps=3, source=source, count=4)]})
        if isinstance(event, Painted)
    ]

    several = [pixels(picture.png) for picture in done.pictures]
    assert len({picture.tobytes() for picture in several}) == 4
    for picture in several:
        outside = np.asarray(mask) == 0
        assert (picture[outside] == np.asarray(drawing())[outside]).all()


def test_another_ratio_is_filled_from_the_middle(studio: Studio, store: FileStore) -> None:
    wide = drawing(192, 96)
    pictures = {"wide": wide, "middle": wide.crop((48, 0, 144, 96))}

    painted = paint(
        studio,
        *(
            request(name, size=SMALL, steps=3, source=Source(sha256=put(store, picture)))
            for name, picture in pictures.items()
        ),
    )

    assert furthest(painted["wide"], painted["middle"]) == 0


def test_places_are_painted_and_a_part_is_as_large_as_the_model_paints(
    studio: Studio, store: FileStore
) -> None:
    picture = drawing(192, 128)
    cell = Region(left=0.25, top=0.25, right=0.5, bottom=0.75)
    source = Source(
        sha256=put(store, picture), regions=(cell,), padding=16, strength=0.8, feather=0.05, fill=True
    )

    ours = paint(
        studio,
        request("cell", size=Ratio(across=1, down=1), steps=4, source=source),
        request("rest", size=Ratio(across=3, down=2), steps=4, source=replace(source, invert=True)),
    )

    before = np.asarray(picture)
    assert ours["cell"].shape == before.shape
    assert (ours["cell"][:16] == before[:16]).all() and (ours["cell"][:, :32] == before[:, :32]).all()
    assert furthest(ours["cell"][36:92, 52:92], before[36:92, 52:92]) > 20
    assert (ours["rest"][52:76, 68:76] == before[52:76, 68:76]).all()


def test_a_picture_is_extended_and_stays_as_it_is_but_near_its_edge(studio: Studio, store: FileStore) -> None:
    picture = drawing(128, 96)
    file = put(store, picture)

    ours = paint(
        studio,
        request("left", steps=4, size=Ratio(across=1, down=1), source=extended(file, Margins(left=64))),
        request(
            "far",
            steps=4,
            size=Ratio(across=1, down=1),
            source=replace(extended(file, Margins(left=32, right=32, top=24, bottom=24)), shrink=2.0),
        ),
    )

    assert ours["left"].shape == (96, 192, 3)
    assert (ours["left"][:, 72:] == np.asarray(picture)[:, 8:]).all()
    assert ours["far"].shape == (96, 128, 3)


def test_words_name_what_is_painted_anew(studio: Studio, store: FileStore) -> None:
    rng = np.random.default_rng(0)
    things = (Thing(shape="star", colour="red"), Thing(shape="circle", colour="blue"))
    scene = Scene(things=things, background="white", relation="left of")
    layout = sample_layout(rng, scene, 128, 128)
    before = draw(scene, layout)
    source = Source(
        sha256=put(store, Image.fromarray(before)),
        where="the star",
        caption="a red star to the left of a blue circle on a white background",
        padding=24,
        strength=0.8,
        fill=True,
    )
    told = replace(source, caption="")  # what it shows is read from the picture

    ours = paint(
        studio,
        request("named", steps=3, size=Ratio(across=1, down=1), source=source),
        request("read", steps=3, size=Ratio(across=1, down=1), source=told),
    )

    star, circle = (
        coverage(thing, spot, 128, 128) > 0.9 for thing, spot in zip(things, layout.spots, strict=True)
    )
    for picture in ours.values():
        changed = np.abs(picture.astype(int) - before).max(axis=2)
        assert (changed[star] > 0).mean() > 0.8
        assert (changed[circle] == 0).all()
    assert failure(studio, request(source=replace(source, where="a dog"))).startswith(
        "Nothing like dog was found in the picture, which shows: a red star"
    )


def test_a_blend_of_one_picture_is_that_picture_and_of_two_lies_between(
    studio: Studio, store: FileStore
) -> None:
    first, second = put(store, drawing()), put(store, drawing().transpose(Image.Transpose.FLIP_LEFT_RIGHT))

    def blend(job: str, *weights: float) -> Paint:
        parts = tuple(
            Ingredient(sha256=sha256, weight=weight)
            for sha256, weight in zip((first, second), weights, strict=True)
        )
        return request(job, size=SMALL, steps=5, blend=parts, blend_strength=0.4)

    alone = request("alone", size=SMALL, steps=5, source=Source(sha256=first, strength=0.4))

    ours = paint(studio, alone, blend("one", 1.0, 0.0), blend("two", 1.0, 1.0))

    assert furthest(ours["alone"], ours["one"]) == 0
    assert furthest(ours["alone"], ours["two"]) > 20


def mend(studio: Studio, picture: Image.Image, store: FileStore, **changes: Any) -> tuple[Pixels, int | None]:
    """The picture with its details painted again, and how many there were."""
    source = Source(sha256=put(store, picture), strength=0.0)
    recipe = request(steps=3, source=source, size=Ratio(across=1, down=1), **changes)
    [done] = [event for event in work(studio, {0: [recipe]}) if isinstance(event, Painted)]
    return pixels(done.pictures[0].png), done.pictures[0].details


def test_a_face_is_found_and_painted_again_and_all_else_stays(studio: Studio, store: FileStore) -> None:
    astronaut = Image.fromarray(skimage.data.astronaut())  # type: ignore[no-untyped-call]

    mended, count = mend(studio, astronaut, store, finish=Finish(detail="face"))

    changed = np.abs(mended.astype(int) - np.asarray(astronaut)).max(axis=2) > 0
    assert count == 1
    assert changed[90:150, 195:250].mean() > 0.9
    assert not changed[240:].any() and not changed[:, :120].any() and not changed[:, 330:].any()


def test_a_thing_is_painted_again_by_its_name(studio: Studio, store: FileStore) -> None:
    things = (Thing(shape="star", colour="red", size="small"), Thing(shape="circle", colour="blue"))
    scene = Scene(things=things, background="white", relation="left of")
    layout = sample_layout(np.random.default_rng(0), scene, 128, 128)
    picture = Image.fromarray(draw(scene, layout))
    words = "a red star to the left of a blue circle on a white background"

    mended, count = mend(studio, picture, store, prompt=words, finish=Finish(detail="the star"))
    same, none = mend(studio, picture, store, prompt=words, finish=Finish(detail="a dog"))

    star, circle = (
        coverage(thing, spot, 128, 128) > 0.9 for thing, spot in zip(things, layout.spots, strict=True)
    )
    changed = np.abs(mended.astype(int) - np.asarray(picture)).max(axis=2) > 0
    assert (count, none) == (1, 0)
    assert changed[star].mean() > 0.8
    assert not changed[circle].any()
    assert (same == np.asarray(picture)).all()


def test_a_unet_that_sees_the_rest_paints_parts_as_its_pipeline_does(model: Model, tmp_path: Path) -> None:
    unet = model.base.unet
    torch.manual_seed(0)
    first = unet.conv_in
    unet.conv_in = torch.nn.Conv2d(9, first.out_channels, first.kernel_size, padding=first.padding)
    unet.register_to_config(in_channels=9)
    pipeline = StableDiffusionXLInpaintPipeline(**model.base.components)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = ORACLE_SCHEDULERS[Sampler.EULER](with_spacing(pipeline.scheduler.config, 5))
    store, mask = FileStore(tmp_path), a_mask((48, 16, 90, 80))
    source = Source(sha256=put(store, drawing()), mask=put(store, mask), strength=0.8)
    recipe = request(size=SMALL, steps=5, source=source)
    theirs = pipeline(
        prompt=recipe.prompt,
        image=drawing(),
        mask_image=mask,
        strength=0.8,
        width=SIDE,
        height=SIDE,
        num_inference_steps=5,
        guidance_scale=recipe.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(recipe.seed),
    ).images[0]
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))

    ours, inside = paint(studio, recipe)["j"], np.asarray(mask) == 255

    assert furthest(ours[inside], np.asarray(theirs)[inside]) <= 1
    assert failure(studio, request(size=SMALL)) == (
        "This model paints parts of pictures alone. Use /edit or /extend."
    )


def test_a_strength_that_changes_nothing_is_refused_and_a_tiny_one_ends() -> None:
    with pytest.raises(InvalidRequest, match=r"--detail-strength must be from 0.05 to 1, not 0"):
        Finish(detail="face", detail_strength=0.0)
    assert steps_at_strength(20, 0.0) == steps_at_strength(20, 1e-300) == (100, 1)


def extended(file: Sha256, margins: Margins) -> Source:
    return Source(sha256=file, margins=margins, padding=1536, strength=0.8)


def test_what_was_deleted_is_not_remembered(studio: Studio, store: FileStore, files: Path) -> None:
    file = put(store, drawing())
    recipe = request(size=SMALL, source=Source(sha256=file, strength=0.5))
    assert not [event for event in work(studio, {0: [recipe]}) if isinstance(event, Failed)]

    stored_path(files, file).unlink()

    assert failure(studio, recipe) == "The picture that it starts from was deleted meanwhile."


def failure(studio: Studio, recipe: Paint) -> str:
    [failed] = [event for event in work(studio, {0: [recipe]}) if isinstance(event, Failed)]
    assert failed.expected
    return failed.reason


def test_what_cannot_be_started_from_is_refused_in_a_sentence(studio: Studio, store: FileStore) -> None:
    gone = Source(sha256=Sha256("0" * 64))
    good = put(store, drawing())

    def masked(mask: Image.Image) -> Source:
        return Source(sha256=good, mask=put(store, mask))

    reasons = [
        failure(studio, request(size=SMALL, source=source))
        for source in (
            gone,
            masked(a_mask((0, 0, 9, 9), 64, 64)),
            masked(a_mask((0, 0, 0, 0))),
            Source(sha256=good, strength=0.1),
        )
    ]

    assert reasons == [
        "The picture that it starts from was deleted meanwhile.",
        "The mask has 64x64 pixels, and the picture has 96x96. They must be of one size.",
        "The mask is empty. What is to be painted must be white in it.",
        "A strength of 0.1 is less than one of 6 steps. Give it at least 0.17, or more steps.",
    ]
