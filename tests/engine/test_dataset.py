"""The pictures of a training: buckets, crops, captions, and what is said of pictures that are no good."""

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.demo.renderer import draw
from engine.demo.world import sample_layout, sample_scene
from engine.messages import (
    Example,
    FileStore,
    InvalidRequest,
    JobId,
    PictureNote,
    Sha256,
    Train,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.training.batches import TrainingBatches
from engine.training.dataset import UPSCALE, PictureInspector, count_held_out, planned_steps
from engine.training.pictures.crops import View, crop_corner, crop_pixels, time_ids
from engine.training.pictures.items import Item, class_caption

SDXL, DEMO = 1024, 128


def draw_noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture of the demo model's world: sharp, and unlike that of another seed."""
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    return Image.fromarray(draw(scene, sample_layout(rng, scene, width, height)))


def store_picture(folder: Path, picture: Image.Image, kind: str = "PNG") -> Sha256:
    out = io.BytesIO()
    picture.save(out, kind)
    return FileStore(folder).put_bytes(out.getvalue())


def a_training(examples: Sequence[Example], **changes: object) -> Train:
    values: dict[str, object] = {"job": JobId("j"), "name": "maria", "trigger": "ohwx"}
    return Train(examples=tuple(examples), **(values | changes))  # type: ignore[arg-type]


def inspect_all(folder: Path, training: Train, side: int = DEMO) -> PictureInspector:
    examiner = PictureInspector(training, folder, side)
    while not examiner.done:
        examiner.step()
    return examiner


def look(folder: Path, *pictures: Image.Image, side: int = DEMO, **changes: object) -> PictureInspector:
    """What is found of these pictures, called 0.png and so on."""
    examples = [
        Example(sha256=store_picture(folder, picture), name=f"{n}.png") for n, picture in enumerate(pictures)
    ]
    return inspect_all(folder, a_training(examples, **changes), side)


def only(examiner: PictureInspector) -> tuple[Item, PictureNote]:
    [item], [note] = examiner.items, examiner.notes.shown
    return item, note


@pytest.mark.parametrize(
    ("original", "side", "bucket"),
    [
        ((1024, 1024), SDXL, (1024, 1024)),
        ((832, 1216), SDXL, (832, 1216)),
        ((1216, 832), SDXL, (1216, 832)),
        ((1600, 900), SDXL, (1344, 768)),
        ((4000, 1000), SDXL, (2048, 512)),
        ((200, 200), DEMO, (128, 128)),
        ((300, 200), DEMO, (152, 104)),
        ((200, 300), DEMO, (104, 152)),
        ((1000, 10 * 10), DEMO, (256, 64)),
    ],
)
def test_a_picture_gets_the_bucket_nearest_to_its_shape_at_the_training_area(
    tmp_path: Path, original: tuple[int, int], side: int, bucket: tuple[int, int]
) -> None:
    item, _ = only(look(tmp_path, Image.new("RGB", original), side=side))

    assert item.size == bucket
    assert item.original == original
    assert min(now - size for now, size in zip(item.resized, bucket, strict=True)) == 0
    assert all(now >= size for now, size in zip(item.resized, bucket, strict=True))


def test_the_training_area_is_what_the_settings_say_in_the_models_own_steps(tmp_path: Path) -> None:
    settings = TrainingSettings(resolution=512)

    item, _ = only(look(tmp_path, Image.new("RGB", (900, 600)), side=SDXL, settings=settings))

    assert item.size == (640, 384)
    assert all(size % 64 == 0 for size in item.size)


@pytest.mark.parametrize(
    ("resolution", "side", "allowed"),
    [(64, SDXL, "256 to 2048"), (255, SDXL, "256 to 2048"), (512, DEMO, "32 to 256")],
)
def test_a_resolution_that_the_model_cannot_learn_at_is_refused(
    tmp_path: Path, resolution: int, side: int, allowed: str
) -> None:
    training = a_training(
        [Example(sha256=Sha256("0" * 64))], settings=TrainingSettings(resolution=resolution)
    )

    with pytest.raises(InvalidRequest) as refusal:
        PictureInspector(training, tmp_path, side)

    assert str(refusal.value) == f"--resolution must be from {allowed} for this model, not {resolution}."


def test_fifty_identical_pictures_leave_one(tmp_path: Path) -> None:
    examiner = look(tmp_path, *[draw_noise(128, 128)] * 50, wanted=(5, 20))

    assert [item.place for item in examiner.items] == [0]
    assert [note.used for note in examiner.notes.shown] == [True] + [False] * 49
    assert examiner.notes.shown[49].problems == ("It is the same picture as 0.png.",)
    assert examiner.problems == ("1 picture can be used. This preset works best with 5 to 20.",)


def test_a_picture_that_would_have_to_be_enlarged_too_much_is_left_out(tmp_path: Path) -> None:
    examiner = look(
        tmp_path, Image.new("RGB", (1, 1)), draw_noise(60, 60), draw_noise(70, 70), draw_noise(128, 128, 1)
    )

    dot, tiny, small, fine = examiner.notes.shown
    assert [note.used for note in examiner.notes.shown] == [False, False, True, True]
    assert dot.problems[0].startswith("It is too small. Its 1x1 pixels would be enlarged 128.0 times.")
    assert tiny.problems[0].endswith(" At most 2 times is allowed.")
    assert small.problems == ("It is small. Its 70x70 pixels are enlarged 1.8 times.",)
    assert fine.problems == ()
    assert all(item.enlarged <= UPSCALE for item in examiner.items)


def test_no_picture_left_is_said_so(tmp_path: Path) -> None:
    examiner = look(tmp_path, Image.new("RGB", (1, 1)))

    assert not examiner.items
    assert examiner.problems == ("No picture is left to train on.", "Left out: 1 too small.")


@pytest.mark.parametrize("content", [b"", b"This is a text file.", b"\x89PNG\r\n\x1a\n", None, b"GIF89a"])
def test_a_file_that_is_broken_or_gone_is_noted_and_the_others_go_on(
    tmp_path: Path, content: bytes | None
) -> None:
    bad = Sha256("0" * 64) if content is None else FileStore(tmp_path).put_bytes(content)
    fine = store_picture(tmp_path, draw_noise(128, 128))

    examiner = inspect_all(tmp_path, a_training([Example(sha256=bad), Example(sha256=fine)]))

    assert [(note.used, note.problems) for note in examiner.notes.shown] == [
        (False, ("It cannot be read.",)),
        (True, ()),
    ]
    assert examiner.notes.shown[0].name == "picture 1"
    assert examiner.items[0].place == 1


def test_a_cut_jpeg_is_noted(tmp_path: Path) -> None:
    out = io.BytesIO()
    draw_noise(400, 300).save(out, "JPEG")
    cut = FileStore(tmp_path).put_bytes(out.getvalue()[:-2000])

    assert inspect_all(tmp_path, a_training([Example(sha256=cut)])).notes.shown[0].problems == (
        "It cannot be read.",
    )


def test_pictures_that_nearly_are_the_same_are_told_and_used(tmp_path: Path) -> None:
    picture = draw_noise(200, 200, 3)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=60)
    again = Image.open(io.BytesIO(out.getvalue()))
    others = [draw_noise(200, 200, seed) for seed in range(10, 20)]

    examiner = look(tmp_path, picture, again, picture.resize((180, 180)), *others)

    twins = [note.problems for note in examiner.notes.shown]
    assert twins == [(), *[("It is nearly the same as 0.png.",)] * 2, *[()] * 10]
    assert len(examiner.items) == 13


def test_the_same_shape_in_another_colour_is_another_picture(tmp_path: Path) -> None:
    red = draw_noise(128, 128, 3)
    blue = Image.merge("RGB", red.split()[::-1])

    assert [note.problems for note in look(tmp_path, red, blue).notes.shown] == [(), ()]


def test_a_blurred_picture_is_told_but_not_one_with_a_soft_background(tmp_path: Path) -> None:
    sharp = draw_noise(256, 256, 5)
    soft = sharp.filter(ImageFilter.GaussianBlur(9))
    portrait = soft.copy()
    portrait.paste(sharp.resize((64, 64)), (96, 96))

    notes = look(tmp_path, sharp, soft, portrait).notes.shown

    assert [("It is blurred." in note.problems) for note in notes] == [False, True, False]


def test_a_picture_of_one_colour_and_one_of_an_odd_shape_are_told(tmp_path: Path) -> None:
    plain, long, longest = look(
        tmp_path, Image.new("RGB", (128, 128), "red"), draw_noise(280, 128), draw_noise(900, 120)
    ).notes.shown

    assert plain.problems == ("It is almost of one colour.",)
    assert long.problems == ("Its shape is unusual. One side is 2.2 times as long as the other.",)
    assert longest.problems == (
        "It loses 47% of its area to the crop.",
        "Its shape is unusual. One side is 7.5 times as long as the other.",
    )
    assert longest.used


def test_the_note_has_the_crop_in_pixels_of_the_picture(tmp_path: Path) -> None:
    _, note = only(look(tmp_path, draw_noise(900, 120)))

    assert note.crop == (210, 0, 480, 120)
    assert note.size == (256, 64)
    assert (note.width, note.height) == (900, 120)


@pytest.mark.parametrize(
    ("wanted", "count", "problems"),
    [
        ((3, 5), 2, ("2 pictures can be used. This preset works best with 3 to 5.",)),
        ((1, 1), 2, ("2 pictures can be used. This preset works best with 1.",)),
        ((1, 2), 2, ()),
    ],
)
def test_too_few_and_too_many_pictures_are_told(
    tmp_path: Path, wanted: tuple[int, int], count: int, problems: tuple[str, ...]
) -> None:
    pictures = [draw_noise(128, 128, seed) for seed in range(count)]

    assert look(tmp_path, *pictures, wanted=wanted).problems == problems


@pytest.mark.parametrize(
    ("own", "subject", "template", "caption"),
    [
        ("", "woman", "a photo of {trigger} {subject}", "a photo of ohwx woman"),
        ("", "", "a photo of {trigger} {subject}", "a photo of ohwx"),
        ("", "house", "{subject}", "ohwx house"),
        ("", "a {b} c", "{trigger} {subject}", "ohwx a {b} c"),
        ("a cat in\n the rain", "cat", "{trigger}", "ohwx a cat in the rain"),
        ("a photo of OHWX, smiling", "woman", "{trigger}", "a photo of OHWX, smiling"),
        ("an ohwxy day", "", "{trigger}", "ohwx an ohwxy day"),
        ("a well-ohwx thing", "", "{trigger}", "ohwx a well-ohwx thing"),
    ],
)
def test_a_caption_has_the_trigger_and_keeps_its_own_words(
    tmp_path: Path, own: str, subject: str, template: str, caption: str
) -> None:
    example = Example(sha256=store_picture(tmp_path, draw_noise(128, 128)), caption=own)

    examiner = inspect_all(tmp_path, a_training([example], subject=subject, template=template))

    assert examiner.items[0].caption == caption


def test_captions_sizes_and_pixels_stay_with_their_picture_in_any_order(tmp_path: Path) -> None:
    colours = [(10 * n, 255 - 10 * n, 7 * n) for n in range(20)]
    shapes = [(128 + 8 * n, 300 - 8 * n) for n in range(20)]
    examples = [
        Example(sha256=store_picture(tmp_path, Image.new("RGB", shape, colour)), caption=f"ohwx {n}")
        for n, (shape, colour) in enumerate(zip(shapes, colours, strict=True))
    ]
    items = inspect_all(tmp_path, a_training(examples)).items

    for index in np.random.default_rng(0).permutation(20):
        item = items[index]
        assert item.place == index
        assert item.caption == f"ohwx {index}"
        assert item.original == shapes[index]
        crop = crop_pixels(tmp_path, item, View(corner=crop_corner(item, None)))
        assert crop.shape == (item.size[1], item.size[0], 3)
        assert crop.dtype == np.uint8
        assert tuple(int(value) for value in crop[5, 5]) == colours[index]


def test_the_crop_is_in_the_centre_or_anywhere_inside(tmp_path: Path) -> None:
    item, _ = only(look(tmp_path, draw_noise(900, 120)))
    rng = np.random.default_rng(0)

    corners = {crop_corner(item, rng) for _ in range(400)}

    assert item.resized == (480, 64)
    assert crop_corner(item, None) == (112, 0)
    assert {top for _, top in corners} == {0}
    lefts = sorted(left for left, _ in corners)
    assert lefts[0] <= 3 and lefts[-1] >= 221 and lefts[-1] <= 224
    assert max(later - earlier for earlier, later in pairwise(lefts)) < 12


def test_pixels_are_those_of_the_crop_and_mirrored_ones_of_the_mirrored_picture(tmp_path: Path) -> None:
    picture = draw_noise(300, 200, 4)
    item, _ = only(look(tmp_path, picture))
    whole = picture.resize(item.resized, Image.Resampling.LANCZOS)
    (width, height), corner = item.size, (3, 0)

    straight = crop_pixels(tmp_path, item, View(corner=corner))
    mirrored = crop_pixels(tmp_path, item, View(corner=corner, flip=True))

    assert np.array_equal(straight, np.asarray(whole)[:height, 3 : 3 + width])
    assert np.array_equal(mirrored, np.asarray(whole)[:height, ::-1][:, 3 : 3 + width])
    assert not np.array_equal(straight, mirrored)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (128, 128), (255, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 64, 128))
    palette = clear.quantize(8)
    palette.info["transparency"] = palette.getpixel((100, 5))

    for picture in (clear, palette):
        item, _ = only(look(tmp_path, picture))
        crop = crop_pixels(tmp_path, item, View(corner=(0, 0)))
        assert crop[5, 5].tolist() == [255, 0, 0]
        assert crop[5, 100].tolist() == [255, 255, 255]


def test_time_ids_tell_heights_before_widths(tmp_path: Path) -> None:
    item, _ = only(look(tmp_path, draw_noise(900, 120)))

    assert time_ids(item, (112, 3)) == (120, 900, 3, 112, 64, 256)


@pytest.mark.parametrize(
    ("share", "pictures", "held"), [(0.1, 16, 0), (0.1, 17, 2), (0.05, 20, 1), (0.25, 20, 5), (0.0, 50, 0)]
)
def test_pictures_are_held_out_only_where_there_are_enough(share: float, pictures: int, held: int) -> None:
    assert count_held_out(TrainingSettings(validation=share), pictures) == held


def test_epochs_become_the_steps_that_show_every_picture_so_often() -> None:
    assert planned_steps(TrainingSettings(steps=123), 8) == 123
    assert planned_steps(TrainingSettings(epochs=5, batch=2, accumulation=2), 6) == 8
    assert planned_steps(TrainingSettings(epochs=5, validation=0.1), 10) == 50
    assert planned_steps(TrainingSettings(epochs=5, validation=0.1), 20) == 90
    assert planned_steps(TrainingSettings(epochs=1, batch=16), 1) == 1


@pytest.mark.parametrize(
    ("shape", "settings", "size", "resized"),
    [
        ((600, 900), {"crop": ("832x1216", "1216x832")}, (832, 1216), (832, 1248)),
        ((900, 600), {"crop": ("832x1216", "1216x832")}, (1216, 832), (1248, 832)),
        ((1000, 1600), {"crop": ("360x512",), "resize": 368}, (360, 512), (368, 589)),
        ((1000, 1100), {"crop": ("360x512",), "resize": 368}, (360, 512), (465, 512)),
        ((1600, 1000), {"crop": ("1024x720",), "resize": 736}, (1024, 720), (1178, 736)),
    ],
)
def test_a_picture_fills_the_crop_of_the_nearest_shape(
    tmp_path: Path,
    shape: tuple[int, int],
    settings: dict[str, Any],
    size: tuple[int, int],
    resized: tuple[int, int],
) -> None:
    examiner = look(tmp_path, draw_noise(*shape), side=SDXL, settings=TrainingSettings(**settings))

    item, note = only(examiner)
    assert (item.size, item.resized) == (size, resized)
    assert note.size == size


def test_what_a_filter_leaves_out_is_said_by_its_name(tmp_path: Path) -> None:
    pictures = [
        draw_noise(200, 300, 1),
        draw_noise(300, 200, 2),
        draw_noise(310, 200, 3),
        draw_noise(100, 400, 4),
    ]

    some = look(tmp_path, *pictures, settings=TrainingSettings(max_aspect=0.69, min_aspect=0.5))
    none = look(tmp_path, *pictures[1:], settings=TrainingSettings(max_aspect=0.69, min_aspect=0.5))

    assert [item.place for item in some.items] == [0]
    assert some.notes.shown[1].problems == ("Its width / height is 1.50, above --max-aspect 0.69.",)
    assert none.problems == (
        "No picture is left to train on.",
        "Left out: 2 above --max-aspect 0.69, 1 below --min-aspect 0.5.",
    )


def test_random_crops_are_as_many_as_wanted_and_their_corners_are_in_the_time_ids(
    model: Model, tmp_path: Path
) -> None:
    settings = TrainingSettings(
        crop=("64x96",), resize=80, crops=20, random_crop=True, seed=3, validation=0.0, caption_dropout=0.0
    )
    picture = draw_noise(100, 150, 5)
    examiner = look(tmp_path, picture, settings=settings)
    items = examiner.items
    batches = TrainingBatches(settings, model, tmp_path, tmp_path / "shards")
    for _ in batches.encode(items, examiner.class_items):
        pass

    told = {tuple(ids) for number in range(20) for ids in batches.rows(number, 8).time_ids.tolist()}

    assert items[0].resized == (80, 120)
    assert 15 <= len(told) <= 21
    assert {(ids[0], ids[1], ids[4], ids[5]) for ids in told} == {(150, 100, 96, 64)}
    assert max(ids[2] for ids in told) > 12 and max(ids[3] for ids in told) > 8
    assert all(0 <= ids[2] <= 24 and 0 <= ids[3] <= 16 for ids in told)


def test_each_concept_has_its_trigger_and_pictures_of_its_class_keep_the_class(
    model: Model, tmp_path: Path
) -> None:
    examples = [
        Example(sha256=store_picture(tmp_path, draw_noise(64, 64, number)), **fields)  # type: ignore[arg-type]
        for number, fields in enumerate(
            [
                {"concept": "ohwx woman", "caption": "ohwx woman", "repeats": 3},
                {"concept": "sks dog", "caption": "a dog and a OHWX woman"},
                {"concept": "sks dog"},
                {"regularization": True, "caption": "a woman"},
                {"regularization": True, "concept": "sks dog", "caption": "a sks dog"},
            ]
        )
    ]
    settings = TrainingSettings(resolution=32, epochs=4, caption_dropout=0.0)
    request = a_training(examples, subject="woman", template="a {trigger} {subject}", settings=settings)
    examiner = inspect_all(tmp_path, request)
    batches = TrainingBatches(settings, model, tmp_path, tmp_path / "shards")
    for _ in batches.encode(examiner.items, examiner.class_items):
        pass

    shown = [batches.rows(number, 1).captions[0] for number in range(5)]
    of_class = {caption for number in range(4) for caption in batches.class_rows(number, 1).captions}

    assert sorted(shown) == sorted(["ohwx woman"] * 3 + ["sks a dog and a OHWX woman", "a sks dog"])
    assert of_class == {"a woman", "a dog"}
    assert planned_steps(settings, len(examiner.items), examiner.items.shown) == 20
    assert class_caption("sks a dog and a OHWX woman", *examiner.items.triggers) == "a dog and a woman"
